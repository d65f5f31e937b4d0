//! The models that the store knows, against the folders of this machine.

use flota_core::{
    WorkerName,
    ports::{RegisteredModel, Registration},
};
use flota_platform::{Platform, aws::is_denied};

use super::Check;

/// What is to be said of each model of `found`, and of those that only the store knows.
pub(super) async fn check(platform: &Platform, found: &[Registration]) -> Vec<Check> {
    let known = match platform.models.list(platform.clock.now()).await {
        Ok(known) => known,
        Err(error) if is_denied(&error) => {
            let remedy = "look at them with the rights of infra/iam/operator.json";
            return vec![Check::warning("models", "not this role's to see", remedy)];
        }
        Err(error) => {
            return vec![Check::unreadable("models", &error, "put right what the sentence names")];
        }
    };
    let of = |model: &Registration| {
        let name = &model.manifest.name;
        known.iter().find(|known| known.registration.manifest.name == *name)
    };
    let mut checks: Vec<_> = found.iter().map(|model| compare(model, of(model))).collect();
    checks.extend(known.iter().map(workers));
    checks
}

fn compare(folder: &Registration, known: Option<&RegisteredModel>) -> Check {
    let about = format!("model {}", folder.manifest.name);
    let version = &folder.manifest.version;
    let Some(known) = known.map(|known| &known.registration) else {
        return Check::warning(
            about,
            "the store does not know it: requests that name it are refused",
            "run `flota provision`, or start its worker",
        );
    };
    let current = &known.manifest.version;
    if current != version {
        return Check::warning(
            about,
            format!("its folder has version {version}, and the store's current one is {current}"),
            "start its new worker, or bring the folder up to date",
        );
    }
    if known.digest != folder.digest && !version.is_dev() {
        return Check::error(
            about,
            format!("version {version} has other contents here than where it was registered"),
            "bump the `version` in its model.yaml: a worker would refuse to start",
        );
    }
    let (wanted, serving) = (&folder.worker, &known.worker);
    if wanted != serving && *wanted != WorkerName::from(&folder.manifest.name) {
        return Check::warning(
            about,
            format!("the worker {serving} serves it, and `models.groups` says {wanted}"),
            format!("start the worker {wanted}, which takes it over, or mend `models.groups`"),
        );
    }
    Check::ok(about, format!("version {version} is the current one"))
}

fn workers(known: &RegisteredModel) -> Check {
    let Registration { manifest, worker, .. } = &known.registration;
    let about = format!("workers of {}", manifest.name);
    let others: Vec<String> = known
        .alive_by_version
        .iter()
        .filter(|(version, _)| **version != manifest.version)
        .map(|(version, count)| format!("{count} of version {version}"))
        .collect();
    match known.workers_alive {
        count @ 1.. if !others.is_empty() => Check::warning(
            about,
            format!(
                "{count} alive, but {} while {} is the current version",
                others.join(" and "),
                manifest.version
            ),
            "end the roll-out: the version of the worker that ran says what an outcome is of",
        ),
        0 => Check::warning(
            about,
            "none is alive: its tasks wait",
            format!("start the worker {worker}, unless it is scaled to none"),
        ),
        count => Check::ok(about, format!("{count} alive")),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use flota_core::{Manifest, ModelVersion, Sha256, ports::WorkerHeartbeat};

    use flota_platform::{SystemClock, settings::Settings};

    use super::*;
    use crate::doctor::Verdict;

    fn registration(platform: &Platform, version: &str, contents: &str) -> Registration {
        let text = format!(
            "{{name: cat, version: '{version}', weights: {{file: w.onnx}}, labels: [a], \
             input: {{width: 8, height: 8, resize: {{mode: exact}}}}, \
             output: {{kind: regression}}}}"
        );
        let manifest = Manifest::parse("model.yaml", &text).unwrap();
        let worker = WorkerName::from(&manifest.name);
        let digest = Sha256::of(contents.as_bytes());
        Registration::new(manifest, digest, worker, platform.clock.now())
    }

    #[tokio::test]
    async fn a_model_is_known_with_the_contents_of_its_folder_or_something_is_said() {
        let clock = Arc::new(SystemClock);
        let store = flota_memory::open(clock.clone());
        let platform = Platform::over(store, &Settings::default(), clock).unwrap();
        let known = registration(&platform, "1", "a");
        let first = async |found| check(&platform, &[found]).await.swap_remove(0).verdict;
        assert!(matches!(first(known.clone()).await, Verdict::Warning { .. }));
        platform.models.register(&known).await.unwrap();
        assert!(matches!(first(known.clone()).await, Verdict::Ok { .. }));
        let other = registration(&platform, "1", "b");
        assert!(matches!(first(other).await, Verdict::Error { .. }));
        let newer = registration(&platform, "2", "b");
        assert!(matches!(first(newer).await, Verdict::Warning { .. }));
        let grouped = Registration { worker: "photo".parse().unwrap(), ..known.clone() };
        let verdict = first(grouped.clone()).await;
        assert!(matches!(&verdict, Verdict::Warning { problem, .. } if problem.contains("groups")));
        platform.models.register(&grouped).await.unwrap();
        assert!(matches!(first(grouped).await, Verdict::Ok { .. }));
        assert!(matches!(first(known.clone()).await, Verdict::Ok { .. }), "workers decide");
        let all = check(&platform, std::slice::from_ref(&known)).await;
        assert!(
            matches!(&all[1].verdict, Verdict::Warning { problem, .. } if problem.contains("wait"))
        );
        let line = |version: &str| WorkerHeartbeat {
            instance: version.to_owned(),
            worker: "photo".parse().unwrap(),
            models: vec![("cat".parse().unwrap(), ModelVersion(version.to_owned()))],
            until: platform.clock.now() + std::time::Duration::from_secs(60),
            drained_to: None,
            throughput: Default::default(),
        };
        platform.models.alive(&line("1")).await.unwrap();
        let workers =
            async || check(&platform, std::slice::from_ref(&known)).await.swap_remove(1).verdict;
        assert!(matches!(workers().await, Verdict::Ok { .. }));
        platform.models.alive(&line("0")).await.unwrap();
        let verdict = workers().await;
        assert!(
            matches!(&verdict, Verdict::Warning { problem, .. } if problem.contains("2 alive, but 1 of version 0")),
            "{verdict:?}"
        );
    }
}
