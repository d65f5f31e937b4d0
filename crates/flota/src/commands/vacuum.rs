use std::process::ExitCode;

use anyhow::{Context, bail};
use flota_platform::{embedded, settings::Backend};
use tokio::task::spawn_blocking;

use crate::{cli::VacuumArgs, print::print};

/// Writes the databases of the data folder anew.
pub(crate) async fn vacuum(args: VacuumArgs) -> anyhow::Result<ExitCode> {
    let settings = args.settings.load()?;
    if settings.backend != Backend::Embedded {
        bail!("no databases to vacuum: `backend` is not \"embedded\"");
    }
    let data_dir = settings.data_dir;
    if !data_dir.join("records.sqlite").exists() {
        bail!("no data folder {}", data_dir.display());
    }
    let rewritten = spawn_blocking(move || embedded::rewrite(&data_dir)).await;
    let freed_bytes = rewritten
        .context("vacuuming panicked")?
        .context("stop the fleet, and any other `flota vacuum`, first")?;
    print(format!("{} MiB freed", freed_bytes / (1024 * 1024)))?;
    Ok(ExitCode::SUCCESS)
}
