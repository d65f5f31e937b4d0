use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::SettingsArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum EngineCommand {
    /// Install the version of ONNX Runtime that Flota is tested with; needs Python 3 with pip or venv
    Install(InstallArgs),
    /// Show which engine would run the models, and why
    Show(SettingsArgs),
}

#[derive(Debug, Args)]
pub(crate) struct InstallArgs {
    /// Folder for the library, instead of the user's cache; then set `engine.library` to its path
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}
