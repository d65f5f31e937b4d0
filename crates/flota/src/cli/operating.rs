//! Commands for who operates a fleet.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use flota_core::{ModelName, WorkerName};

use super::SettingsArgs;

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// One JSON object
    Json,
}

/// Make on AWS what the fleet needs, or say what differs.
///
/// Queues, tables, the bucket of uploads, and the notifications that the ingest rules need, for
/// every model in a model folder and every compiled-in model that --models names; the models are made
/// known too, and their versions current. What is there and as it is to be is
/// left alone, and nothing is ever deleted.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: as of every command, and
  3    --dry-run, and something is missing or differs

Examples:
  flota provision --dry-run
  flota provision --models image-quality
  flota provision --set backend=aws --set aws.bucket=my-images --format json")]
pub(crate) struct ProvisionArgs {
    /// Only say what would be made or changed
    #[arg(long)]
    pub dry_run: bool,

    #[command(flatten)]
    pub models: FoundArgs,

    /// How the answer is written
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,

    #[command(flatten)]
    pub settings: SettingsArgs,
}

/// Look for what is wrong with a set-up and say what to change.
///
/// Nothing is changed. On AWS it looks at queues, tables, buckets and the clock, and tries the
/// rights of the roles in server.roles, or of one worker; on one machine at the data folder, its
/// room and its databases.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit code 1 where something is wrong; what is only doubtful does not count.

Examples:
  flota doctor
  flota doctor --set server.roles=api --all
  flota doctor --worker image-quality")]
pub(crate) struct DoctorArgs {
    /// Also say what is as it should be
    #[arg(long)]
    pub all: bool,

    /// Try the rights of this worker, in place of those of the roles in server.roles
    #[arg(long, value_name = "NAME")]
    pub worker: Option<WorkerName>,

    #[command(flatten)]
    pub models: FoundArgs,

    /// How the answer is written
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,

    #[command(flatten)]
    pub settings: SettingsArgs,
}

/// Make the databases of the data folder as small as they can be; stop the fleet first.
///
/// Databases that an earlier version made and that are larger than 64 MiB do not shrink by themselves; after
/// this they do. It takes about a minute for each few gigabytes, and needs free space of twice their size.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flota vacuum
  flota vacuum --set data_dir=/srv/flota")]
pub(crate) struct VacuumArgs {
    #[command(flatten)]
    pub settings: SettingsArgs,
}

/// Which models are meant, and where they are looked for beside the folders in models.dirs.
#[derive(Debug, Clone, Args)]
pub(crate) struct FoundArgs {
    /// Only these models, by name [default: all in model folders]; a compiled-in model is taken only when
    /// it is named here
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub models: Vec<ModelName>,

    /// One more model folder, or a folder of such folders; may be repeated
    #[arg(long, value_name = "DIR")]
    pub model_dir: Vec<PathBuf>,
}
