use anyhow::Context;
use flota_core::ports::{Clock, Registration};
use flota_platform::{SystemClock, settings::Settings};
use tempfile::TempDir;

use crate::{cli::FoundArgs, fleet, print::note};

/// Every model in the folders of the settings and of the arguments, and the compiled-in ones that the arguments
/// name, as a worker would make it known.
///
/// # Errors
/// If a folder is wrong, with file, line and cure, or a model that is named was not found.
pub(crate) fn registrations(
    args: &FoundArgs,
    settings: &Settings,
) -> anyhow::Result<Vec<Registration>> {
    let temporary = TempDir::with_prefix("flota-models-").context("no temporary folder")?;
    let found = fleet::find_named(settings, &args.model_dir, &args.models, temporary.path())?;
    if found.is_empty() {
        note(
            "no model in the folders of models.dirs or --model-dir; name compiled-in models with \
             --models NAME",
        );
    }
    let _unpacked = fleet::unpack(&found, temporary.path())?;
    let now = SystemClock.now();
    let looked = found.iter().map(|model| {
        flota_worker::look(&model.folder, |name| settings.models.worker_of(name), now)
    });
    Ok(looked.collect::<Result<_, _>>()?)
}
