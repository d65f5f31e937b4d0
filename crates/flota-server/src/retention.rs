//! Deletes old data, if the store cannot do so itself.

use std::{sync::Arc, time::Duration};

use flota_core::{
    PortResult,
    ports::{Clock, Deleted, Retention, StoredKind},
};
use flota_platform::settings::RetentionSettings;
use strum::IntoEnumIterator;
use tokio::time::{self, Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::metrics;

/// Shortest pause between two steps, so that deletion takes a small part of the store's time.
const PAUSE: Duration = Duration::from_millis(10);
/// A pause also lasts this many times as long as the step before it.
const PAUSE_FACTOR: u32 = 4;
/// How often kinds are walked for which every record must be read: much old data of them stays, or
/// no index finds it.
const WALK_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// A clock that has gone ahead by more than this is not trusted for as long.
const MAX_GAP: Duration = Duration::from_secs(24 * 60 * 60);

/// Runs deletion by age.
pub(crate) struct Retainer {
    /// `None` if the store deletes by itself.
    pub(crate) retention: Option<Arc<dyn Retention>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: RetentionSettings,
}

impl Retainer {
    /// Deletes old data at intervals until `stop`. Errors do not end it.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let Some(retention) = &self.retention else { return stop.cancelled().await };
        let mut ticks = time::interval(self.settings.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut walked_at, mut doubted_at): (Option<Instant>, Option<Instant>) = (None, None);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            match self.believe_clock(retention.as_ref(), &mut doubted_at).await {
                Ok(true) => {}
                Ok(false) => continue,
                Err(error) => {
                    warn!(%error, "the clock could not be checked, nothing is deleted");
                    continue;
                }
            }
            let is_walk = walked_at.is_none_or(|at| at.elapsed() >= WALK_INTERVAL);
            if is_walk {
                walked_at = Some(Instant::now());
            }
            for kind in StoredKind::iter() {
                let must_walk = matches!(
                    kind,
                    StoredKind::Aliases | StoredKind::Images | StoredKind::Predictions
                );
                if is_walk || !must_walk {
                    self.delete(retention.as_ref(), kind, &stop).await;
                }
            }
            self.shrink(retention.as_ref(), &stop).await;
        }
    }

    /// Whether the clock can be trusted. A machine that starts with a clock years ahead must not
    /// delete everything before the clock is corrected. If the clock is more than [`MAX_GAP`] ahead
    /// of the last trusted time, it is not trusted until the server has run for that long.
    async fn believe_clock(
        &self,
        retention: &dyn Retention,
        doubted_at: &mut Option<Instant>,
    ) -> PortResult<bool> {
        let now = self.clock.now();
        let gap = match retention.believed_at().await? {
            Some(at) => Duration::try_from(now.duration_since(at)).unwrap_or_default(),
            None => Duration::ZERO,
        };
        if gap > MAX_GAP {
            let is_first = doubted_at.is_none();
            let since = doubted_at.get_or_insert_with(Instant::now);
            if since.elapsed() < MAX_GAP {
                if is_first {
                    let hours = gap.as_secs() / 3_600;
                    error!(
                        gap_hours = hours,
                        "the clock went ahead, or the server was away: nothing is deleted \
                        by age for a day; check the clock"
                    );
                }
                return Ok(false);
            }
        }
        *doubted_at = None;
        retention.believe(now).await?;
        Ok(true)
    }

    /// Deletes old data of one kind.
    async fn delete(&self, retention: &dyn Retention, kind: StoredKind, stop: &CancellationToken) {
        let Some(age) = self.settings.age(kind) else { return };
        let Ok(before) = self.clock.now().checked_sub(age) else { return };
        let name: &'static str = kind.into();
        let (mut total, mut total_bytes) = (0, 0);
        let mut after = None;
        loop {
            let begun = Instant::now();
            match retention.delete(kind, before, after.as_deref()).await {
                Ok(Deleted { count, size_bytes, next }) => {
                    metrics::deleted(kind, count, size_bytes);
                    total += count;
                    total_bytes += size_bytes;
                    after = next;
                }
                Err(error) => {
                    warn!(kind = name, %error, "deleting by age failed, it goes on later");
                    break;
                }
            }
            if after.is_none() || !pause(begun, stop).await {
                break;
            }
        }
        if total > 0 {
            info!(kind = name, count = total, size_bytes = total_bytes, "old records deleted");
        }
    }

    async fn shrink(&self, retention: &dyn Retention, stop: &CancellationToken) {
        loop {
            let begun = Instant::now();
            match retention.shrink().await {
                Ok(0) => break,
                Ok(bytes) => metrics::space_returned(bytes),
                Err(error) => {
                    warn!(%error, "returning free space failed, it goes on later");
                    break;
                }
            }
            if !pause(begun, stop).await {
                break;
            }
        }
    }
}

/// Pauses after a step. False if the server stops.
async fn pause(begun: Instant, stop: &CancellationToken) -> bool {
    let pause = PAUSE + begun.elapsed() * PAUSE_FACTOR;
    stop.run_until_cancelled(time::sleep(pause)).await.is_some()
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use flota_core::{RequestId, ports::UPLOADED_PREFIX};
    use tokio::task::JoinHandle;

    use super::*;
    use crate::{
        sweeper::Sweeper,
        testing::{Fixture, sha_of, succeeded},
    };

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    const AGES: [(&str, &str); 3] = [
        ("retention.requests_hours", "48"),
        ("retention.predictions_hours", "72"),
        ("retention.images_hours", "24"),
    ];

    /// A server that runs only retention. The sweeper's recording acts as the recorder.
    struct Retaining {
        fixture: Fixture,
        sweeper: Sweeper,
        running: JoinHandle<()>,
    }

    impl Retaining {
        async fn new(settings: &[(&str, &str)]) -> Self {
            let fixture = Fixture::with(settings).await;
            let roles = fixture.roles.lock().unwrap().take().expect("taken once");
            let running = tokio::spawn(roles.retainer.run(fixture.stop.clone()));
            Self { fixture, sweeper: roles.sweeper, running }
        }

        async fn work(&self, model: &str) {
            for message in self.fixture.take_tasks(model).await {
                self.sweeper.recording.record(&succeeded(&message)).await.unwrap();
            }
        }

        async fn status_of(&self, id: RequestId) -> StatusCode {
            self.fixture.get(&format!("/v1/requests/{id}")).await.status
        }

        async fn has_image(&self, image: &str) -> bool {
            let address = format!("{UPLOADED_PREFIX}{}", sha_of(image));
            self.fixture.platform.images.fetch(&address, 100).await.is_ok()
        }

        async fn end(self) {
            self.fixture.stop.cancel();
            self.running.await.unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_finished_long_ago_goes_and_what_is_open_stays() {
        let server = Retaining::new(&AGES).await;
        let finished = server.fixture.submit(2, &["cat"], None).await;
        server.work("cat").await;
        let open = server.fixture.submit(2, &["dog"], None).await;
        time::sleep(DAY).await;
        assert_eq!(server.status_of(finished).await, StatusCode::OK);
        time::sleep(2 * DAY).await;
        assert_eq!(server.status_of(finished).await, StatusCode::NOT_FOUND);
        assert_eq!(server.status_of(open).await, StatusCode::OK);
        server.work("dog").await;
        let view = server.fixture.get(&format!("/v1/requests/{open}")).await.json;
        assert_eq!(view["status"], "succeeded");
        let metrics = server.fixture.get("/metrics").await.json;
        let line = r#"flota_deleted_total{kind="requests"} "#;
        assert!(metrics.as_str().unwrap().contains(line), "{metrics}");
        server.end().await;
    }

    #[tokio::test(start_paused = true)]
    async fn an_image_stays_as_long_as_a_request_names_it() {
        let server = Retaining::new(&AGES).await;
        for image in ["named", "alone"] {
            server.fixture.post("/v1/images", image).await;
        }
        let body = serde_json::json!({
            "images": [{"url": format!("{UPLOADED_PREFIX}{}", sha_of("named"))}],
            "models": ["cat"],
        });
        let submitted = server.fixture.post("/v1/requests", &body.to_string()).await;
        assert_eq!(submitted.status, StatusCode::ACCEPTED);
        time::sleep(2 * DAY).await;
        assert!(server.has_image("named").await && !server.has_image("alone").await);
        server.work("cat").await;
        time::sleep(DAY).await;
        assert!(server.has_image("named").await, "its request is still there");
        time::sleep(2 * DAY).await;
        assert!(!server.has_image("named").await);
        server.end().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_ahead_deletes_nothing_before_it_has_run_for_a_day() {
        let server = Retaining::new(&AGES).await;
        let id = server.fixture.submit(1, &["cat"], None).await;
        server.work("cat").await;
        time::sleep(2 * Duration::from_secs(60)).await;
        let platform = &server.fixture.platform;
        let retention = platform.retention.clone().unwrap();
        assert!(retention.believed_at().await.unwrap().is_some());
        // Sets the clock three days ahead, so that all data is old.
        let past = platform.clock.now() - 3 * DAY;
        retention.believe(past).await.unwrap();
        time::sleep(DAY - Duration::from_secs(600)).await;
        assert_eq!(retention.believed_at().await.unwrap(), Some(past));
        assert_eq!(server.status_of(id).await, StatusCode::OK);
        time::sleep(2 * DAY).await;
        assert!(retention.believed_at().await.unwrap() > Some(past));
        assert_eq!(server.status_of(id).await, StatusCode::NOT_FOUND);
        server.end().await;
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_goes_where_the_settings_say_for_good() {
        let server = Retaining::new(&AGES.map(|(key, _)| (key, "0"))).await;
        server.fixture.post("/v1/images", "image").await;
        let id = server.fixture.submit(1, &["cat"], None).await;
        server.work("cat").await;
        time::sleep(100 * DAY).await;
        assert_eq!(server.status_of(id).await, StatusCode::OK);
        assert!(server.has_image("image").await);
        server.end().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_whose_prediction_was_deleted_after_it_was_found_runs_again() {
        let server = Retaining::new(&AGES).await;
        let id = server.fixture.submit(2, &["cat"], None).await;
        let messages = server.fixture.take_tasks("cat").await;
        let mut found = succeeded(&messages[0]);
        // The first prediction was cached and has been deleted; the second one was computed.
        found.predictions.remove(0);
        server.sweeper.recording.record(&found).await.unwrap();
        let path = format!("/v1/requests/{id}");
        let view = server.fixture.get(&path).await.json;
        assert_eq!(
            (&view["status"], &view["counts"]["succeeded"]),
            (&"processing".into(), &1.into())
        );

        time::sleep(server.fixture.settings.sweeper.resend).await;
        assert_eq!(server.sweeper.sweep().await.unwrap(), 1);
        let again = server.fixture.take_tasks("cat").await;
        let numbers: Vec<u32> = again[0].tasks.iter().map(|task| task.n).collect();
        assert_eq!(numbers, [found.outcomes[0].n]);
        server.sweeper.recording.record(&succeeded(&again[0])).await.unwrap();
        assert_eq!(server.fixture.get(&path).await.json["status"], "succeeded");
        server.end().await;
    }
}
