//! Planned workers that do not run.

use flota_api::MissingWorker;
use flota_core::{ModelName, ports::RegisteredModel};
use flota_platform::settings::ModelGroup;

/// The workers of `planned` with a model that is not registered or has no running worker.
pub(crate) fn missing(planned: &[ModelGroup], known: &[RegisteredModel]) -> Vec<MissingWorker> {
    planned.iter().filter_map(|worker| look(worker, known)).collect()
}

fn look(planned: &ModelGroup, known: &[RegisteredModel]) -> Option<MissingWorker> {
    let ModelGroup { worker, models } = planned;
    let of =
        |name: &ModelName| known.iter().find(|known| known.registration.manifest.name == *name);
    let unknown = models.iter().find(|name| of(name).is_none());
    let idle = models.iter().find(|name| of(name).is_some_and(|known| known.workers_alive == 0));
    let reason = match (unknown, idle) {
        (Some(model), _) => {
            format!("the worker `{worker}` is missing: its model `{model}` is not registered yet")
        }
        (None, Some(model)) => {
            format!("the worker `{worker}` is missing: no process serves its model `{model}`")
        }
        (None, None) => return None,
    };
    Some(MissingWorker { worker: worker.clone(), models: models.clone(), reason })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use flota_core::ports::WorkerHeartbeat;

    use crate::testing::{Fixture, register};

    #[tokio::test(start_paused = true)]
    async fn a_planned_worker_that_does_not_run_is_said_and_the_server_is_not_ready() {
        let fixture = Fixture::with(&[
            ("models.planned", r#"["cat=cat", "photo=bird,fish"]"#),
            ("server.roles", r#"["api"]"#),
        ])
        .await;
        let platform = &fixture.platform;
        let ready = async || {
            let answer = fixture.get("/readyz").await;
            (answer.status.as_u16(), answer.json["detail"].as_str().unwrap_or("").to_owned())
        };
        let missing = async || fixture.get("/v1/models").await.json["missing_workers"].clone();
        let line = |worker: &str, models: &[&str]| WorkerHeartbeat {
            instance: worker.to_owned(),
            worker: worker.parse().unwrap(),
            models: models
                .iter()
                .map(|model| (model.parse().unwrap(), flota_core::ModelVersion("1".to_owned())))
                .collect(),
            until: platform.clock.now() + Duration::from_secs(15),
            drained_to: None,
            throughput: Default::default(),
        };
        platform.models.alive(&line("cat", &["cat"])).await.unwrap();
        let (status, detail) = ready().await;
        assert_eq!(status, 503);
        assert!(
            detail.contains("`photo`") && detail.contains("`bird` is not registered"),
            "{detail}"
        );
        register(platform, "bird", "1", "photo").await;
        register(platform, "fish", "1", "photo").await;
        let (status, detail) = ready().await;
        assert_eq!(status, 503);
        assert!(detail.contains("no process serves its model `bird`"), "{detail}");
        assert_eq!(missing().await[0]["worker"], "photo");
        platform.models.alive(&line("photo", &["bird", "fish"])).await.unwrap();
        assert_eq!(ready().await.0, 200);
        assert_eq!(missing().await.as_array().unwrap().len(), 0);
        tokio::time::advance(Duration::from_secs(15)).await;
        assert_eq!(ready().await.0, 503, "both are dead");
        assert_eq!(missing().await.as_array().unwrap().len(), 2);
    }
}
