//! Making a worker's models known, without taking back one whose newer version is served already.

use std::time::Duration;

use anyhow::{Context, Result};
use flota_core::{
    Manifest, PortResult, Sha256,
    consume::WeightedQueue,
    ports::{RegisteredModel, Registration, RegistrationOutcome},
};
use flota_platform::Platform;
use tokio::time::{self, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// How often a worker looks whether its version may become the current one: once those of the current
/// one are gone, as at the end of a rollback.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// Why a worker can never serve as it is set up.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Refused(String);

impl Refused {
    pub(crate) fn nameless() -> Self {
        Self("a worker of several models needs a name".to_owned())
    }

    fn conflict(registration: &Registration, known: Sha256) -> Self {
        let Manifest { name, version, .. } = &registration.manifest;
        Self(format!(
            "version {version} of {name} is known with other contents (digest {known}, this one has \
             {}): bump the `version` in its manifest, or end it in `-dev` while you try things out",
            registration.digest
        ))
    }
}

/// Makes the models known, all or none as far as that can be told before, once their queues are there.
/// Returns those that were not made current: see [`is_superseded`].
///
/// # Errors
/// If a version is known with other contents, or the store cannot be reached.
pub(crate) async fn register(
    platform: &Platform,
    all: Vec<Registration>,
    queues: &[WeightedQueue],
) -> Result<Vec<Registration>> {
    for WeightedQueue { name, .. } in queues {
        let asked = platform.queue.depth(name).await;
        asked.with_context(|| format!("the queue {name} cannot be asked"))?;
    }
    let (mut registered, mut superseded) = (Vec::new(), Vec::new());
    for registration in all {
        let Manifest { name, version, .. } = &registration.manifest;
        let known = platform.models.get(name, registration.at).await;
        let known = known.with_context(|| format!("looking for the model {name}"))?;
        if let Some(known) = known.as_ref().map(|model| &model.registration)
            && known.manifest.version == *version
            && known.digest != registration.digest
            && !version.is_dev()
        {
            return Err(Refused::conflict(&registration, known.digest).into());
        }
        let looked = is_superseded(platform, &registration, known.as_ref()).await;
        match looked.with_context(|| format!("looking for the version of {name}"))? {
            true => superseded.push(registration),
            false => registered.push(registration),
        }
    }
    for registration in &registered {
        let name = &registration.manifest.name;
        let outcome = platform.models.register(registration).await;
        match outcome.with_context(|| format!("registering the model {name}"))? {
            RegistrationOutcome::Registered => {}
            RegistrationOutcome::Conflict(known) => {
                return Err(Refused::conflict(registration, known).into());
            }
        }
    }
    for Registration { manifest: Manifest { name, version, .. }, .. } in &superseded {
        tracing::warn!(model = %name, %version, "another version of the model is the current one and \
            is served: this one was registered before, takes tasks beside it, and does not take its \
            place");
    }
    Ok(superseded)
}

/// Makes each of `superseded` the current version once no worker of the one that is lives, until `stop`.
pub(crate) async fn take_over_later(
    platform: Platform,
    mut superseded: Vec<Registration>,
    stop: CancellationToken,
) {
    let mut ticks = time::interval(LOOK_AGAIN);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !superseded.is_empty() && stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let mut still = Vec::new();
        for registration in superseded {
            let Manifest { name, version, .. } = &registration.manifest;
            match take_over(&platform, &registration).await {
                Ok(true) => {
                    tracing::info!(model = %name, %version, "this version is current again")
                }
                Ok(false) => still.push(registration),
                Err(error) => {
                    tracing::warn!(model = %name, %version, %error, "a model cannot be taken over now");
                    still.push(registration);
                }
            }
        }
        superseded = still;
    }
}

async fn take_over(platform: &Platform, registration: &Registration) -> PortResult<bool> {
    let registration = Registration { at: platform.clock.now(), ..registration.clone() };
    let known = platform.models.get(&registration.manifest.name, registration.at).await?;
    if is_superseded(platform, &registration, known.as_ref()).await? {
        return Ok(false);
    }
    platform.models.register(&registration).await.map(|_| true)
}

/// Whether another version than this one is the current one and has workers, and this one was
/// registered before: then it is an old worker that starts again. A version that nobody knows is a
/// new one, and takes the model over at once.
async fn is_superseded(
    platform: &Platform,
    registration: &Registration,
    known: Option<&RegisteredModel>,
) -> PortResult<bool> {
    let Manifest { name, version, .. } = &registration.manifest;
    match known {
        Some(known)
            if known.registration.manifest.version != *version && known.is_current_alive() =>
        {
            platform.models.is_registered(name, version).await
        }
        Some(_) | None => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use flota_core::{ModelVersion, QueueNames, WorkerName, ports::WorkerHeartbeat};
    use flota_memory::SeededClock;
    use flota_platform::settings::Settings;

    use super::*;

    fn registration(platform: &Platform, version: &str) -> Registration {
        let text = format!(
            "{{name: cat, version: '{version}', weights: {{file: w.onnx}}, labels: [a], \
             input: {{width: 8, height: 8, resize: {{mode: exact}}}}, output: {{kind: regression}}}}"
        );
        let manifest = Manifest::parse("model.yaml", &text).unwrap();
        let (worker, digest) = (WorkerName::from(&manifest.name), Sha256::of(version.as_bytes()));
        Registration::new(manifest, digest, worker, platform.clock.now())
    }

    async fn live(platform: &Platform, version: &str) {
        let line = WorkerHeartbeat {
            instance: version.to_owned(),
            worker: "cat".parse().unwrap(),
            models: vec![("cat".parse().unwrap(), ModelVersion(version.to_owned()))],
            until: platform.clock.now() + 10 * LOOK_AGAIN,
            drained_to: None,
            throughput: Default::default(),
        };
        platform.models.alive(&line).await.unwrap();
    }

    async fn current(platform: &Platform) -> String {
        let known = platform.models.get(&"cat".parse().unwrap(), platform.clock.now()).await;
        known.unwrap().unwrap().registration.manifest.version.0
    }

    #[tokio::test(start_paused = true)]
    async fn an_old_worker_that_starts_again_does_not_take_its_model_back() {
        let clock = Arc::new(SeededClock::new(1));
        let store = flota_memory::open(clock.clone());
        let platform = Platform::over(store, &Settings::default(), clock).unwrap();
        let (names, worker) = (QueueNames::new("flota"), "cat".parse().unwrap());
        let queues: Vec<WeightedQueue> =
            names.tasks_of(&worker).map(|(_, queue)| queue.into()).collect();
        let start = async |version: &str| {
            let all = vec![registration(&platform, version)];
            let superseded = register(&platform, all, &queues).await.unwrap();
            live(&platform, version).await;
            superseded
        };
        for version in ["1", "2"] {
            assert!(start(version).await.is_empty(), "a version that is new takes over");
            assert_eq!(current(&platform).await, version);
        }
        let superseded = start("1").await;
        assert_eq!((superseded.len(), current(&platform).await.as_str()), (1, "2"));
        assert!(start("2").await.is_empty());

        // A rollback: those of version 2 go.
        let stop = CancellationToken::new();
        let later = tokio::spawn(take_over_later(platform.clone(), superseded, stop));
        time::sleep(2 * LOOK_AGAIN).await;
        assert_eq!(current(&platform).await, "2");
        platform.models.gone("2").await.unwrap();
        later.await.unwrap();
        assert_eq!(current(&platform).await, "1");
        // And nobody of it takes the model back.
        assert_eq!(start("2").await.len(), 1);
        assert_eq!(current(&platform).await, "1");
    }
}
