//! Commands that start processes.

use std::path::PathBuf;

use clap::Args;
use flota_core::{ModelName, WorkerName};
use flota_platform::settings::{ModelGroup, Role, Settings, SettingsError};
use flota_worker::WorkerFlags;

/// The sources of the settings.
#[derive(Debug, Clone, Args)]
pub(crate) struct SettingsArgs {
    /// Settings file instead of ./flota.toml
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Override a setting, such as log.level=warn; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting)]
    pub set: Vec<(String, String)>,
}

impl SettingsArgs {
    /// Reads the settings.
    pub fn load(&self) -> Result<Settings, SettingsError> {
        Settings::load(self.config.as_deref(), &self.set)
    }

    /// Sets `key`, over whatever else sets it.
    pub fn put(&mut self, key: &str, value: impl Into<String>) {
        self.set.push((key.to_owned(), value.into()));
    }
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

fn role(text: &str) -> Result<Role, &'static str> {
    text.parse().map_err(|_| "expected api, recorder, sweeper, notifier or ingest")
}

/// The models to run.
#[derive(Debug, Clone, Args)]
pub(crate) struct ModelArgs {
    /// Models to start, by name [default: all whose weights are on this machine]; compiled-in models are started if
    /// no folder holds a model, or if they are named here or in a group
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub models: Vec<ModelName>,

    /// Another model folder, or a folder of model folders; may be repeated. A model in a folder takes precedence over
    /// the compiled-in model of the same name
    #[arg(long, value_name = "DIR")]
    pub model_dir: Vec<PathBuf>,

    /// Serve several models with one worker, so that they share the fetch and the decode of an image; may be repeated
    #[arg(long, value_name = "WORKER=MODEL,…")]
    pub group: Vec<ModelGroup>,
}

/// Run the whole fleet on this machine.
///
/// Starts one server process, and one worker process per model or group of models, and restarts a process that
/// dies. Ctrl-C lets all of them finish their work; a second Ctrl-C stops them at once. The API has no
/// authentication: keep it on a loopback address, or put it behind a proxy.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flota up
  flota up --models image-quality --listen 127.0.0.1:9000
  flota up --group photo=image-quality,embedded-text
  flota up --model-dir ~/my-models")]
pub(crate) struct UpArgs {
    #[command(flatten)]
    pub models: ModelArgs,

    /// Data folder [default: ./flota-data]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// Address of the API; port 0 selects a free port [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<String>,

    #[command(flatten)]
    pub settings: SettingsArgs,
}

/// Run images through a temporary fleet and print the predictions.
///
/// The demo receives its own callbacks and verifies their signatures. It leaves nothing behind.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flota demo
  flota demo ~/Pictures --models image-quality
  flota demo photo.jpg --json | jq .predictions")]
pub(crate) struct DemoArgs {
    /// Images, or folders to search for images [default: the compiled-in example images]
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    #[command(flatten)]
    pub models: ModelArgs,

    /// Store the data in this folder, and keep it
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub settings: SettingsArgs,
}

/// Run the server without workers, or some of its roles.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  FLOTA__DATA_DIR=/var/lib/flota flota serve
  flota serve --roles api --set backend=aws --set aws.bucket=my-images")]
pub(crate) struct ServeArgs {
    /// Roles of this process: api, recorder, sweeper, notifier, ingest [default: all]
    #[arg(long, value_name = "ROLE,…", value_delimiter = ',', value_parser = role)]
    pub roles: Vec<Role>,

    #[command(flatten)]
    pub settings: SettingsArgs,

    /// Stop when standard input closes; `flota up` uses this for its children
    #[arg(long)]
    pub stop_on_stdin_close: bool,
}

/// Run the worker of one model folder, or of several.
///
/// Models of one worker share the fetch and the decode of an image. The worker registers its models when it
/// starts, and their tasks go to it from then on: a model may move from one worker to another at any time.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flota worker workers/image-quality
  flota worker image-quality
  flota worker my-model --data-dir /srv/flota/flota-data
  flota worker workers/image-quality workers/embedded-text --name photo")]
pub(crate) struct WorkerArgs {
    /// Folders with model.yaml, or names of compiled-in models
    #[arg(value_name = "DIR", required = true)]
    pub folders: Vec<PathBuf>,

    /// Name of the worker and of its queue; required for several models [default: the model's name]
    #[arg(long, value_name = "NAME")]
    pub name: Option<WorkerName>,

    /// Data folder, the same as that of `flota up` or `flota serve` [default: ./flota-data]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    #[command(flatten)]
    pub flags: WorkerFlags,
}
