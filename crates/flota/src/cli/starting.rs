//! Commands that start processes.

use std::path::PathBuf;

use clap::Args;
use flota_core::{ModelName, WorkerName};
use flota_platform::settings::{ModelGroup, Role, Settings, SettingsError};
use flota_worker::WorkerFlags;

/// Where the settings come from.
#[derive(Debug, Clone, Args)]
pub(crate) struct SettingsArgs {
    /// Settings file instead of ./flota.toml
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// A setting, such as log.level=warn; may be repeated
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
    let (key, value) = text.split_once('=').ok_or("KEY=VALUE is wanted")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

fn role(text: &str) -> Result<Role, &'static str> {
    text.parse().map_err(|_| "the roles are api, recorder, sweeper, notifier and ingest")
}

/// Which models run.
#[derive(Debug, Clone, Args)]
pub(crate) struct ModelArgs {
    /// Models to start, by name [default: all whose weights are on this machine]; the compiled-in models
    /// are started where no folder holds a model, or when they are named here or in a group
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub models: Vec<ModelName>,

    /// One more model folder, or a folder of such folders; may be repeated. A model in a folder goes
    /// before the compiled-in one of its name
    #[arg(long, value_name = "DIR")]
    pub model_dir: Vec<PathBuf>,

    /// Have one worker serve several models, which then share the fetch and the decode of an image;
    /// may be repeated
    #[arg(long, value_name = "WORKER=MODEL,…")]
    pub group: Vec<ModelGroup>,
}

/// Start the whole fleet on this machine and stay.
///
/// One server process, and one worker process per model or group of models. A process that dies is
/// started again; Ctrl-C lets all of them finish what they have begun, a second one stops them at
/// once.
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

    /// Folder of the data [default: ./flota-data]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// Address of the API; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<String>,

    #[command(flatten)]
    pub settings: SettingsArgs,
}

/// Start a fleet in a temporary folder, run images through it, show what came back.
///
/// The demo receives its own callbacks and verifies their signatures. It leaves nothing behind.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flota demo
  flota demo ~/Pictures --models image-quality
  flota demo photo.jpg --json | jq .predictions")]
pub(crate) struct DemoArgs {
    /// Images, or folders that are searched for images [default: the example images of this command]
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    #[command(flatten)]
    pub models: ModelArgs,

    /// Keep the data in this folder
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub settings: SettingsArgs,
}

/// Start the server alone, or some of its roles.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  FLOTA__DATA_DIR=/var/lib/flota flota serve
  flota serve --roles api --set backend=aws --set aws.bucket=my-images")]
pub(crate) struct ServeArgs {
    /// What this process does [default: all of it; roles: api, recorder, sweeper, notifier, ingest]
    #[arg(long, value_name = "ROLE,…", value_delimiter = ',', value_parser = role)]
    pub roles: Vec<Role>,

    #[command(flatten)]
    pub settings: SettingsArgs,

    /// Stop when standard input closes, as `flota up` asks of its children
    #[arg(long)]
    pub stop_on_stdin_close: bool,
}

/// Start the worker of a model folder, or of several.
///
/// Models of one worker share the fetch and the decode of an image. Requests find them by what the
/// worker registers when it starts: a model may move from one worker to another at any time.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flota worker workers/image-quality
  flota worker image-quality
  flota worker my-model --data-dir /srv/flota/flota-data
  flota worker workers/image-quality workers/embedded-text --name photo")]
pub(crate) struct WorkerArgs {
    /// Folders with a model.yaml each, or names of compiled-in models
    #[arg(value_name = "DIR", required = true)]
    pub folders: Vec<PathBuf>,

    /// The worker's name, and its queue's; wanted where it serves several models [default: the
    /// model's]
    #[arg(long, value_name = "NAME")]
    pub name: Option<WorkerName>,

    /// Folder of the data, the same as that of `flota up` or `flota serve` [default: ./flota-data]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    #[command(flatten)]
    pub flags: WorkerFlags,
}
