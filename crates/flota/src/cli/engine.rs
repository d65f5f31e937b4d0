use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::SettingsArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum EngineCommand {
    /// Fetch the ONNX Runtime that Flota is tested with; Python 3 with pip or venv does it
    Install(InstallArgs),
    /// Say which engine would run the models, and why
    Show(SettingsArgs),
}

#[derive(Debug, Args)]
pub(crate) struct InstallArgs {
    /// Where its library is put; there it is found only if `engine.library` names it
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}
