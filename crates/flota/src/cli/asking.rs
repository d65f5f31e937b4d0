//! Commands that ask a running fleet, or look at files.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use flota_core::{ModelName, Reason, RequestId};
use reqwest::Url;

/// Which fleet is asked.
#[derive(Debug, Clone, Args)]
pub(crate) struct Server {
    /// Address of the fleet
    #[arg(long, value_name = "URL", env = "FLOTA_URL", default_value = "http://127.0.0.1:8080")]
    pub url: Url,
}

/// Submit images to a running fleet.
///
/// Files are uploaded; addresses are fetched by the workers. More than a thousand tasks become
/// several requests.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flota submit photo.jpg --model image-quality --wait
  flota submit https://example.org/a.jpg --model image-quality --callback https://example.org/hook")]
pub(crate) struct SubmitArgs {
    /// Files, folders of images, or http(s) addresses
    #[arg(required = true, value_name = "PATH|URL")]
    pub images: Vec<String>,

    /// Model that looks at the images; may be repeated
    #[arg(long = "model", required = true, value_name = "NAME", value_delimiter = ',')]
    pub models: Vec<ModelName>,

    /// Wait until it is finished and show what the models saw; exit code 1 if a task failed
    #[arg(long)]
    pub wait: bool,

    /// Address that is told when it is finished
    #[arg(long, value_name = "URL")]
    pub callback: Option<Url>,

    /// Print JSON, one request a line
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub server: Server,
}

/// Show where a request stands.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// The request
    #[arg(value_name = "ID")]
    pub id: RequestId,

    /// Print what the server answers
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub server: Server,
}

/// List the models that a fleet knows.
#[derive(Debug, Args)]
pub(crate) struct ModelsArgs {
    /// Print what the server answers
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub server: Server,
}

/// Look at what failed for good, run it again or give it up.
#[derive(Debug, Subcommand)]
pub(crate) enum DeadLettersCommand {
    /// List dead letters, the oldest first
    List(ListArgs),
    /// Show one
    Show(ShowArgs),
    /// Run tasks again, in a new round that is called back by itself
    Replay(ReplayArgs),
    /// Give one up
    Discard(DiscardArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Of this model
    #[arg(long, value_name = "NAME")]
    pub model: Option<ModelName>,

    /// For this reason, such as WORKER_CRASHED
    #[arg(long)]
    pub reason: Option<Reason>,

    /// Also those that were replayed or discarded
    #[arg(long)]
    pub all: bool,

    /// Print what the server answers
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub server: Server,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The dead letter
    #[arg(value_name = "ID")]
    pub id: String,

    /// Print what the server answers
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub server: Server,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flota dead-letters replay dead_0193…-7-1
  flota dead-letters replay --model image-quality --dry-run")]
pub(crate) struct ReplayArgs {
    /// The dead letter; or choose several by --model and --reason
    #[arg(value_name = "ID", required_unless_present_any = ["model", "reason"])]
    pub id: Option<String>,

    /// All of this model
    #[arg(long, value_name = "NAME", conflicts_with = "id")]
    pub model: Option<ModelName>,

    /// All for this reason
    #[arg(long, conflicts_with = "id")]
    pub reason: Option<Reason>,

    /// Only say what would be run
    #[arg(long)]
    pub dry_run: bool,

    /// Print what the server answers
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub server: Server,
}

#[derive(Debug, Args)]
pub(crate) struct DiscardArgs {
    /// The dead letter
    #[arg(value_name = "ID")]
    pub id: String,

    /// Print what the server answers
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub server: Server,
}

/// Check a model folder: manifest, weights, names in the ONNX file, golden examples.
#[derive(Debug, Args)]
#[command(after_help = "\
Golden examples stand in DIR/golden/examples.json:
  {\"tolerance\": 1e-3, \"examples\": [{\"image\": \"golden/x.png\", \"output\": {…}}]}

Example:
  flota model check workers/image-quality")]
pub(crate) struct CheckArgs {
    /// The folder with model.yaml
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,

    #[command(flatten)]
    pub settings: super::SettingsArgs,
}
