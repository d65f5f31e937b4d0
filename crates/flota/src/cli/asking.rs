//! Commands that ask a running fleet, or look at files.

use clap::Args;
use flota_core::{ModelName, RequestId};
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
