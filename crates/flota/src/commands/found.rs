use anyhow::Context;
use flota_core::ports::{Clock, Registration};
use flota_platform::{SystemClock, settings::Settings};
use tempfile::TempDir;

use crate::{cli::FoundArgs, fleet};

/// Every model that `flota up` would find in the folders of the settings and of the arguments, or the
/// compiled-in ones where there is none, as a worker would make it known.
///
/// # Errors
/// If a folder is wrong, with file, line and cure.
pub(crate) fn registrations(
    args: &FoundArgs,
    settings: &Settings,
) -> anyhow::Result<Vec<Registration>> {
    let temporary = TempDir::with_prefix("flota-models-").context("no temporary folder")?;
    let (named, groups) = (&args.model_dir, &settings.models.groups);
    let found = fleet::find_all(settings, named, &[], groups, temporary.path())?;
    fleet::unpack(&found, temporary.path())?;
    let now = SystemClock.now();
    let looked = found.iter().map(|model| {
        flota_worker::look(&model.folder, |name| settings.models.worker_of(name), now)
    });
    Ok(looked.collect::<Result<_, _>>()?)
}
