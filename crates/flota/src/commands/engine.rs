use std::process::ExitCode;

use anyhow::Context;
use flota_worker::{Engines, install, install_dir};

use crate::{
    cli::{EngineCommand, InstallArgs, SettingsArgs},
    print::{note, print},
};

/// Fetches ONNX Runtime, or says which engine would run the models.
pub(crate) async fn engine(command: EngineCommand) -> anyhow::Result<ExitCode> {
    match command {
        EngineCommand::Install(args) => install_into(args).await?,
        EngineCommand::Show(args) => show(&args)?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn install_into(args: InstallArgs) -> anyhow::Result<()> {
    let dir = args.dir.clone().or_else(install_dir);
    let dir = dir.context("no cache folder found: name a folder with --dir")?;
    note(format!("installing ONNX Runtime into {}", dir.display()));
    let library = tokio::task::spawn_blocking(move || install(&dir)).await??;
    print(library.display())?;
    if args.dir.is_some() {
        note(format!("to use it, set engine.library = \"{}\"", library.display()));
    }
    Ok(())
}

fn show(args: &SettingsArgs) -> anyhow::Result<()> {
    let engines = Engines::open(&args.load()?.engine)?;
    print(&engines)?;
    note(engines.reason());
    Ok(())
}
