//! Commands that work on a model folder, without a fleet.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::SettingsArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum ModelCommand {
    /// Check a model folder: manifest, weights, names in the ONNX file, golden examples
    Check(CheckArgs),
    /// Show images to a model, here and now
    Predict(PredictArgs),
}

/// Check a model folder: manifest, weights, names in the ONNX file, golden examples.
///
/// Runs the model on ten made pictures and looks for mistakes that no other error would show: logits taken
/// for probabilities, a softmax applied twice, mean and std on another scale, an answer that never
/// changes. Exit code 1 if something is wrong; warnings alone leave it at 0.
#[derive(Debug, Args)]
#[command(after_help = "\
Golden examples stand in DIR/golden/examples.json:
  {\"tolerance\": 1e-3, \"examples\": [{\"image\": \"golden/x.png\", \"output\": {…}}]}

Example:
  flota model check workers/image-quality
  flota model check image-quality         # the compiled-in one")]
pub(crate) struct CheckArgs {
    /// The folder with model.yaml, or the name of a compiled-in model
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,

    /// Print one JSON object: what was checked, `findings`, golden examples
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub settings: SettingsArgs,
}

/// Show images to a model, here and now.
///
/// Decodes, prepares and infers as a worker does, one image after the other, without queue or
/// store. Exit code 1 if an image cannot be read; the others are shown all the same.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flota model predict workers/image-quality photo.jpg
  flota model predict my-model ~/Pictures --json | jq .predictions")]
pub(crate) struct PredictArgs {
    /// The folder with model.yaml, or the name of a compiled-in model
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,

    /// Images, or folders that are searched for images
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    /// Print one JSON object, its scores in full precision
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub settings: SettingsArgs,
}
