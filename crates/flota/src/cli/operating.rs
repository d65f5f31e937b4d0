//! Commands for operators of a fleet.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use flota_core::{ModelName, WorkerName};

use super::SettingsArgs;

/// The format of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// One JSON object
    Json,
}

/// Create the fleet's AWS resources, or report what differs.
///
/// Creates queues, tables, the bucket for uploads and the notifications that ingest rules need, for every model
/// in a model folder and every compiled-in model that --models names. Registers the models, too, and makes their
/// versions current. Leaves alone what is as it should be, and never deletes anything.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: as for every command, and
  3    with --dry-run: something is missing or different

Examples:
  flota provision --dry-run
  flota provision --models image-quality
  flota provision --set backend=aws --set aws.bucket=my-images --format json")]
pub(crate) struct ProvisionArgs {
    /// Only report what would be created or changed
    #[arg(long)]
    pub dry_run: bool,

    #[command(flatten)]
    pub models: FoundArgs,

    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,

    #[command(flatten)]
    pub settings: SettingsArgs,
}

/// Check a setup and say what to fix.
///
/// Changes nothing. On AWS it checks queues, tables, buckets and the clock, and the permissions of the roles in
/// server.roles, or of one worker; on one machine the data folder, its free space and its databases.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit code 1 if there is an error; warnings alone leave it at 0.

Examples:
  flota doctor
  flota doctor --set server.roles=api --all
  flota doctor --worker image-quality")]
pub(crate) struct DoctorArgs {
    /// Also list passed checks
    #[arg(long)]
    pub all: bool,

    /// Check the permissions of this worker, instead of those of the roles in server.roles
    #[arg(long, value_name = "NAME")]
    pub worker: Option<WorkerName>,

    #[command(flatten)]
    pub models: FoundArgs,

    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,

    #[command(flatten)]
    pub settings: SettingsArgs,
}

/// Shrink the databases of the data folder; stop the fleet first.
///
/// Databases of more than 64 MiB that an earlier version made do not shrink by themselves; after this they do. It takes
/// about a minute for each few gigabytes, and needs free space of twice their size.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flota vacuum
  flota vacuum --set data_dir=/srv/flota")]
pub(crate) struct VacuumArgs {
    #[command(flatten)]
    pub settings: SettingsArgs,
}

/// The models, and where to find them in addition to the folders in models.dirs.
#[derive(Debug, Clone, Args)]
pub(crate) struct FoundArgs {
    /// Only these models, by name [default: all in model folders]; a compiled-in model is included only if it is
    /// named here
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub models: Vec<ModelName>,

    /// Another model folder, or a folder of model folders; may be repeated
    #[arg(long, value_name = "DIR")]
    pub model_dir: Vec<PathBuf>,
}
