use flota_core::{WorkerName, ports::Registration, with_causes};
use flota_platform::{
    Platform,
    aws::Clients,
    settings::{Backend, Settings},
};
use tokio::task::spawn_blocking;

use super::{Check, aws, data_folder, models, settings};

/// Looks at the set-up that `settings` name and at the models in it; `found` are those of this
/// machine's folders. On AWS it tries the rights of the roles in the settings, or else of `worker`.
/// Nothing is changed, and every finding says what to change.
pub async fn run_checks(
    settings: &Settings,
    found: &[Registration],
    worker: Option<&WorkerName>,
) -> Vec<Check> {
    let mut checks = settings::check(settings, found);
    let is_there = match settings.backend {
        Backend::Embedded => {
            let data_dir = settings.data_dir.clone();
            let min_free_bytes = settings.embedded.min_free_bytes;
            let looked =
                spawn_blocking(move || data_folder::check(&data_dir, min_free_bytes)).await;
            checks.extend(looked.expect("looking at a folder does not panic"));
            settings.data_dir.exists()
        }
        Backend::Aws => {
            match Clients::new(&settings.aws).await {
                Ok(clients) => {
                    checks.extend(aws::run_checks(&clients, settings, found, worker).await);
                }
                Err(error) => {
                    checks.push(Check::error("AWS", error.to_string(), "name the region"))
                }
            }
            true
        }
    };
    // Opening makes what is not there, and what is broken has been said.
    if is_there && !checks.iter().any(Check::is_error) {
        match Platform::open(settings).await {
            Ok(platform) => checks.extend(models::check(&platform, found).await),
            Err(error) => checks.push(Check::error(
                "store",
                with_causes(&error),
                "put right what the sentence names",
            )),
        }
    }
    checks
}
