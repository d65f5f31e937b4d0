//! Commands that work on a model folder, without a fleet.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::SettingsArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum ModelCommand {
    Check(CheckArgs),
    Predict(PredictArgs),
}

/// Check a model folder: manifest, weights, names in the ONNX file, golden examples.
///
/// Also runs the model on generated images and reports mistakes that cause no other error: logits taken for
/// probabilities, a softmax applied twice, mean and std on another scale, an output that never changes or that
/// depends on other images, labels from the wrong place. Exit code 1 if there is an error; 0 if there are only
/// warnings.
#[derive(Debug, Args)]
#[command(after_help = "\
Golden examples are in DIR/golden/examples.json:
  {\"tolerance\": 1e-3, \"examples\": [{\"image\": \"golden/x.png\", \"output\": {…}}]}
Make them of PNG files: PyTorch's answer to a JPEG differs, for no two decoders of JPEG agree to the last
level. Or allow a tolerance of 0.02.

Examples:
  flota model check workers/image-quality
  flota model check image-quality         # the compiled-in model")]
pub(crate) struct CheckArgs {
    /// Folder with model.yaml, or name of a compiled-in model
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,

    /// Print one JSON object with the checks, `findings` and golden examples
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub settings: SettingsArgs,
}

/// Run a model on images, without a fleet.
///
/// Decodes, prepares and infers as a worker does, one image after the other, without queue or
/// store. Exit code 1 if an image cannot be read; predictions for the others are still printed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flota model predict workers/image-quality photo.jpg
  flota model predict my-model ~/Pictures --json | jq .predictions")]
pub(crate) struct PredictArgs {
    /// Folder with model.yaml, or name of a compiled-in model
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,

    /// Images, or folders to search for images
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    /// Print one JSON object with scores in full precision
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub settings: SettingsArgs,
}
