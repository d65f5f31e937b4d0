use flota_core::ports::{Clock, Registration};
use flota_platform::{SystemClock, settings::Settings};

use crate::{cli::FoundArgs, fleet};

/// Every model in the folders of the settings and of the arguments, as a worker would make it known.
///
/// # Errors
/// If a folder is wrong, with file, line and cure.
pub(crate) fn registrations(
    args: &FoundArgs,
    settings: &Settings,
) -> anyhow::Result<Vec<Registration>> {
    let found = fleet::find(&settings.models.dirs, &args.model_dir, &[])?;
    let now = SystemClock.now();
    let looked = found.iter().map(|model| {
        flota_worker::look(&model.folder, |name| settings.models.worker_of(name), now)
    });
    Ok(looked.collect::<Result<_, _>>()?)
}
