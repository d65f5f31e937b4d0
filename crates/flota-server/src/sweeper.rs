//! Sweeps overdue rounds: sends lost tasks again, finishes rounds that are complete, and times out
//! old ones.

use std::{sync::Arc, time::Duration};

use flota_core::{
    Code, Ending, Outcome, OutcomesMessage, Pack, PackKey, PortResult, Request, Resend, Round,
    TaskOutcome, TaskSource, Timings,
    ports::{Clock, Requests},
};
use flota_platform::settings::SweeperSettings;
use jiff::Timestamp;
use tokio::time::{self, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    dispatch::{Copies, Dispatcher, open_packs},
    evidence::{Evidence, Findings, Look, OpenPack},
    metrics::{self, SweepAction},
    recorder::Recording,
};

/// Overdue rounds that are claimed at once.
const ROUNDS_AT_ONCE: usize = 100;
const TIMED_OUT: &str = "no outcome came within the longest age of a request";

/// Claims and sweeps overdue rounds.
pub(crate) struct Sweeper {
    pub(crate) requests: Arc<dyn Requests>,
    pub(crate) recording: Arc<Recording>,
    pub(crate) dispatcher: Dispatcher,
    pub(crate) evidence: Evidence,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: SweeperSettings,
}

impl Sweeper {
    /// Sweeps at intervals until `stop`. Errors do not end it.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut ticks = time::interval(self.settings.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            loop {
                match self.sweep().await {
                    Ok(round_count) if round_count < ROUNDS_AT_ONCE => break,
                    Ok(_) if stop.is_cancelled() => break,
                    Ok(_) => {}
                    Err(error) => {
                        warn!(%error, "looking for overdue requests failed");
                        break;
                    }
                }
            }
        }
    }

    /// Sweeps the rounds that are due, up to a limit, and returns how many were. A round that fails
    /// is due again soon.
    pub(crate) async fn sweep(&self) -> PortResult<usize> {
        let now = self.clock.now();
        let next = now + self.settings.accept_grace;
        let due = self.requests.claim_overdue(now, next, ROUNDS_AT_ONCE).await?;
        let mut look = self.evidence.look(now);
        for round in &due {
            if let Err(error) = self.sweep_round(round, now, &mut look).await {
                warn!(request.id = %round.key.request, round = round.key.round, %error,
                    "an overdue request could not be swept, it is due again soon");
            }
        }
        Ok(due.len())
    }

    async fn sweep_round(
        &self,
        round: &Round,
        now: Timestamp,
        look: &mut Look<'_>,
    ) -> PortResult<()> {
        let Some(request) = self.requests.request(round.key.request).await? else {
            warn!(request.id = %round.key.request, "a round has no request");
            return Ok(());
        };
        let open = self.complete_what_is_recorded(&request, round).await?;
        if open.is_empty() {
            metrics::swept(SweepAction::Finished);
            return Ok(());
        }
        let age = Duration::try_from(now.duration_since(round.opened_at)).unwrap_or_default();
        if age >= self.settings.time_out_after {
            return self.time_out(&request, round, &open, now).await;
        }
        let open_count = open.len();
        let Findings { lost, look_again } = look.lost(&request, round, open).await?;
        if !lost.is_empty() && !self.send_copies(&request, round, &lost, now).await? {
            return Ok(());
        }
        if lost.len() < open_count {
            metrics::swept(SweepAction::Waiting);
        }
        // The wait grows with the age of the round: tasks that have waited for long are seldom
        // lost.
        let left = self.settings.time_out_after.saturating_sub(age);
        let wait = look_again.unwrap_or(self.settings.resend.max(age)).min(left);
        self.requests.set_due(round.key, now + wait).await
    }

    /// Sends packs again, each with the next copy number. False if some could not be sent. The
    /// number is recorded after sending: a copy that was never sent must not invalidate an earlier
    /// one.
    async fn send_copies(
        &self,
        request: &Request,
        round: &Round,
        lost: &[OpenPack],
        now: Timestamp,
    ) -> PortResult<bool> {
        let packs: Vec<Pack> = lost.iter().map(|(pack, _)| pack.clone()).collect();
        let next = |(pack, resent): &OpenPack| {
            (pack.index, resent.map_or(0, |resend| resend.copy).saturating_add(1))
        };
        let copies: Copies = lost.iter().map(next).collect();
        if !self.dispatcher.send_again(request, round.key.round, &packs, &copies).await {
            return Ok(false);
        }
        for (index, copy) in copies {
            let key = PackKey { round: round.key, pack: index };
            self.requests.set_resent(key, Resend { copy, sent_at: now }).await?;
        }
        metrics::swept(SweepAction::Resent);
        info!(request.id = %request.id, round = round.key.round, pack_count = packs.len(),
            "tasks that no queue holds and that have no outcome are sent again");
        Ok(true)
    }

    /// Completes the steps that a crashed recorder left out, and returns the open packs.
    async fn complete_what_is_recorded(
        &self,
        request: &Request,
        round: &Round,
    ) -> PortResult<Vec<OpenPack>> {
        let records = self.requests.packs(round.key).await?;
        let record = |pack: &Pack| {
            records.iter().find(|(index, _)| *index == pack.index).map(|(_, record)| record)
        };
        let packs = round.packs(request);
        let mut latest = round.clone();
        for pack in &packs {
            let record = record(pack).filter(|record| record.is_complete(pack));
            if let Some(record) = record.filter(|_| !latest.complete.contains(&pack.index)) {
                let key = PackKey { round: round.key, pack: pack.index };
                latest = self.recording.complete(request, key, record.counts(pack)).await?;
            }
        }
        self.recording.finish(request, &latest).await?;
        let is_open =
            |pack: &Pack, n| record(pack).is_none_or(|record| !record.outcomes.contains_key(&n));
        let resent = |pack: &Pack| record(pack).and_then(|record| record.resent);
        let open = open_packs(packs, is_open).into_iter();
        Ok(open.map(|pack| (resent(&pack), pack)).map(|(resent, pack)| (pack, resent)).collect())
    }

    async fn time_out(
        &self,
        request: &Request,
        round: &Round,
        open: &[OpenPack],
        now: Timestamp,
    ) -> PortResult<()> {
        for (pack, _) in open {
            let lost = |n: &u32| TaskOutcome {
                n: *n,
                outcome: Outcome {
                    ending: Ending::failed(Code::TimedOut, TIMED_OUT),
                    attempts: 0,
                    timings: Timings::default(),
                    ended_at: now,
                },
            };
            let message = OutcomesMessage {
                source: TaskSource::Request(request.id),
                round: round.key.round,
                pack: pack.index,
                outcomes: pack.tasks.iter().map(lost).collect(),
                predictions: Vec::new(),
                aliases: Vec::new(),
                dead_letters: Vec::new(),
            };
            self.recording.record(&message).await?;
        }
        metrics::swept(SweepAction::Lost);
        warn!(request.id = %request.id, round = round.key.round, "a request was ended as lost");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use flota_core::{Counts, ports::Finish};

    use super::*;
    use crate::testing::{Fixture, register, succeeded};

    fn sweeper(fixture: &Fixture) -> Sweeper {
        fixture.roles.lock().unwrap().take().expect("taken once").sweeper
    }

    async fn pass(seconds: u64) {
        time::advance(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_accepted_but_not_sent_is_sent_after_the_grace() {
        let fixture = Fixture::new().await;
        let id = fixture.submit(2, &["cat"], None).await;
        // Simulates a server that died after accepting the request and before sending its tasks.
        fixture.take_tasks("cat").await;
        let key = flota_core::RoundKey { request: id, round: 1 };
        let due_at = fixture.platform.clock.now() + fixture.settings.sweeper.accept_grace;
        fixture.platform.requests.set_due(key, due_at).await.unwrap();

        let sweeper = sweeper(&fixture);
        assert_eq!(sweeper.sweep().await.unwrap(), 0);
        pass(10).await;
        assert_eq!(sweeper.sweep().await.unwrap(), 1);
        assert_eq!(fixture.take_tasks("cat").await[0].tasks.len(), 2);
        pass(10).await;
        assert_eq!(sweeper.sweep().await.unwrap(), 0, "what was sent is not due again soon");
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_is_open_is_sent_again_and_ever_more_rarely() {
        let fixture = Fixture::new().await;
        fixture.submit(25, &["cat"], None).await;
        let messages = fixture.take_tasks("cat").await;
        let sweeper = sweeper(&fixture);
        let mut some = succeeded(&messages[0]);
        some.outcomes.retain(|outcome| outcome.n != 7);
        sweeper.recording.record(&some).await.unwrap();
        sweeper.recording.record(&succeeded(&messages[1])).await.unwrap();
        let mut times_sent = 0;
        for _ in 0..60 {
            pass(60).await;
            sweeper.sweep().await.unwrap();
            let again = fixture.take_tasks("cat").await;
            assert!(again.iter().all(|m| m.tasks.iter().all(|task| task.n == 7)), "{again:?}");
            times_sent += again.len();
        }
        assert_eq!(times_sent, 4, "at 5, 10, 20 and 40 minutes");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_sent_again_goes_to_who_serves_its_model_now() {
        let fixture = Fixture::new().await;
        fixture.submit(25, &["cat", "dog"], None).await;
        fixture.take_tasks("cat").await;
        fixture.take_tasks("dog").await;
        register(&fixture.platform, "cat", "1", "photo").await;
        pass(300).await;
        assert_eq!(sweeper(&fixture).sweep().await.unwrap(), 1);
        for (worker, count) in [("photo", 25), ("dog", 25), ("cat", 0)] {
            let messages = fixture.take_tasks(worker).await;
            assert_eq!(messages.iter().map(|m| m.tasks.len()).sum::<usize>(), count, "{worker}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_steps_that_a_crash_left_out_are_taken() {
        for step_count in 1..=2 {
            let fixture = Fixture::new().await;
            let id = fixture.submit(2, &["cat", "dog"], Some("client.example")).await;
            let mut messages = fixture.take_tasks("cat").await;
            messages.extend(fixture.take_tasks("dog").await);
            let requests = &fixture.platform.requests;
            for message in &messages {
                let key = PackKey { round: message.round().unwrap(), pack: message.pack };
                requests.record(key, &succeeded(message).outcomes).await.unwrap();
                if step_count > 1 {
                    requests.complete_pack(key, Counts::default()).await.unwrap();
                }
            }
            let path = format!("/v1/requests/{id}");
            assert_eq!(fixture.get(&path).await.json["status"], "processing");
            pass(300).await;
            assert_eq!(sweeper(&fixture).sweep().await.unwrap(), 1);
            let view = fixture.get(&path).await.json;
            assert_eq!(view["status"], "succeeded");
            assert_eq!(view["callbacks"].as_array().unwrap().len(), 1);
            assert!(fixture.take_tasks("cat").await.is_empty());
            let finish = Finish {
                key: messages[0].round().unwrap(),
                at: fixture.platform.clock.now(),
                callback: None,
            };
            assert!(!requests.finish(&finish).await.unwrap(), "it finishes once");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_older_than_the_longest_age_ends_as_lost() {
        let fixture = Fixture::new().await;
        let id = fixture.submit(2, &["cat", "dog"], Some("client.example")).await;
        let dogs = fixture.take_tasks("dog").await.remove(0);
        let sweeper = sweeper(&fixture);
        sweeper.recording.record(&succeeded(&dogs)).await.unwrap();
        pass(24 * 60 * 60).await;
        sweeper.sweep().await.unwrap();
        // A late outcome changes nothing.
        let cats = fixture.take_tasks("cat").await.remove(0);
        sweeper.recording.record(&succeeded(&cats)).await.unwrap();
        let view = fixture.get(&format!("/v1/requests/{id}")).await.json;
        assert_eq!(view["status"], "partially_failed");
        assert_eq!(view["outcomes"][0]["code"], "TIMED_OUT");
        assert_eq!(view["outcomes"][1]["outcome"], "succeeded");
        assert_eq!(view["callbacks"][0]["state"], "pending");
    }
}
