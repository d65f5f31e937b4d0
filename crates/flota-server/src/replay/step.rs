//! One step of a replay: evaluates what is in flight, and replays more.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use flota_core::{
    DeadLetter, Ending, Evaluation, KnownModels, PortResult, Replay, ReplayState, RequestId,
    StopReason, TaskSource, ports::DeadLetterFilter,
};
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use tracing::{debug, info};

use super::{ReplayResult, Replayer, active::ActiveReplay, evaluate::evaluate};
use crate::{metrics, request_state::RequestState};

/// Dead letters that are read at the same time.
const READS_AT_ONCE: usize = 8;
/// A dead letter whose request runs for longer than this is skipped.
const LETTER_TIMEOUT: Duration = Duration::from_secs(600);

impl Replayer {
    /// Does one step. False if the replay has ended, or another server runs it.
    pub(super) async fn step(&self, active: &mut ActiveReplay) -> PortResult<bool> {
        let now = self.clock.now();
        let open = self.look_at_hand(active, now).await?;
        let end = self.end(&active.replay, now).await?;
        let mut taken = Vec::new();
        match end {
            Some(state) => active.replay.state = state,
            None => taken = self.take(active, now).await?,
        }
        // Dead letters are recorded as in flight before they are sent, so that a server that
        // continues knows them.
        if !self.write(active, now).await? {
            return Ok(false);
        }
        let is_running = active.replay.is_running();
        if is_running {
            self.rerun(active, &open, now).await?;
            self.rerun(active, &taken, now).await?;
        } else {
            metrics::replay_ended(&active.replay);
        }
        Ok(is_running)
    }

    /// Evaluates dead letters in flight that have ended, and returns those whose tasks have not
    /// been sent.
    async fn look_at_hand(
        &self,
        active: &mut ActiveReplay,
        now: Timestamp,
    ) -> PortResult<Vec<DeadLetter>> {
        let mut letters = Vec::new();
        let mut unread = Vec::new();
        for in_flight in &active.replay.progress.in_flight {
            match active.running.get(&in_flight.letter) {
                Some(letter) => letters.push(letter.clone()),
                None => unread.push(in_flight.letter.clone()),
            }
        }
        let read = stream::iter(unread).map(async |id| {
            let letter = self.dead_letters.get(&id).await?;
            PortResult::Ok((id, letter))
        });
        let read: Vec<_> = read.buffered(READS_AT_ONCE).try_collect().await?;
        for (id, letter) in read {
            match letter {
                Some(letter) => letters.push(letter),
                None => self.evaluate_one(active, &id, Evaluation::Skipped),
            }
        }
        let by = active.replay.id.to_string();
        let to_version = active.replay.plan.to_version.as_ref();
        let evaluated = evaluate(self.runner.requests.as_ref(), &letters, &by, to_version).await?;
        for (id, evaluation) in evaluated {
            self.evaluate_one(active, &id, evaluation);
        }
        letters.retain(|letter| is_in_flight(&active.replay, &letter.id));
        let is_unsent = |letter: &DeadLetter| {
            letter.is_open() || letter.awaits_end() && !active.sent.contains(&letter.id)
        };
        let (open, running): (Vec<_>, Vec<_>) = letters.into_iter().partition(is_unsent);
        for letter in running {
            if letter.request().is_some() {
                active.running.insert(letter.id.clone(), letter);
            }
        }
        self.give_up_waiting(active, now);
        Ok(open)
    }

    /// Counts tasks of upload events as failed if nothing was heard of them until a request would
    /// have timed out.
    fn give_up_waiting(&self, active: &mut ActiveReplay, now: Timestamp) {
        let time_out_after = self.runner.settings.time_out_after;
        let in_flight = active.replay.progress.in_flight.iter();
        let lost: Vec<String> = in_flight
            .filter(|in_flight| in_flight.age(now) >= time_out_after)
            .filter(|in_flight| !active.running.contains_key(&in_flight.letter))
            .map(|in_flight| in_flight.letter.clone())
            .collect();
        for id in lost {
            self.evaluate_one(active, &id, Evaluation::Failed);
        }
    }

    fn evaluate_one(&self, active: &mut ActiveReplay, id: &str, evaluation: Evaluation) {
        debug!(replay.id = %active.replay.id, dead_letter.id = id, ?evaluation,
            "a replayed dead letter is evaluated");
        active.running.remove(id);
        active.sent.remove(id);
        active.replay.evaluate(id, evaluation);
    }

    /// How the replay ends; `None` if it goes on.
    async fn end(&self, replay: &Replay, at: Timestamp) -> PortResult<Option<ReplayState>> {
        if replay.is_exhausted() {
            let is_done = replay.progress.in_flight.is_empty();
            return Ok(is_done.then_some(ReplayState::Completed { at }));
        }
        let stopped = |why| Some(ReplayState::Stopped { at, why, by: None });
        if replay.has_failed_too_often() {
            return Ok(stopped(StopReason::TooManyFailed));
        }
        if let Some(wanted) = &replay.plan.to_version {
            let directory = &self.runner.directory;
            let is_current = |known: KnownModels| known.version(&replay.model) == Some(wanted);
            // A stopped replay cannot continue, so the cached version is not enough to stop it.
            if !is_current(directory.known().await?) && !is_current(directory.known_now().await?) {
                return Ok(stopped(StopReason::VersionNotCurrent));
            }
        }
        Ok(None)
    }

    /// Takes the next dead letters of the list.
    async fn take(&self, active: &mut ActiveReplay, now: Timestamp) -> PortResult<Vec<DeadLetter>> {
        let limit = match active.replay.is_exhausted() {
            true => 0,
            false => active.room(now),
        };
        if limit == 0 {
            return Ok(Vec::new());
        }
        let replay = &mut active.replay;
        let filter = DeadLetterFilter {
            selection: replay.plan.selection.clone(),
            include_resolved: false,
            after: replay.progress.after.clone(),
            limit,
        };
        let page = self.dead_letters.list(&filter).await?;
        let (letters, last) = self.of_whole_requests(replay, page.letters, limit).await?;
        match (last, page.next_after) {
            // The rest of the page is listed again later.
            (Some(last), _) => replay.progress.after = Some(last),
            (None, Some(after)) => replay.progress.after = Some(after),
            (None, None) => replay.progress.is_listed = true,
        }
        replay.take(letters.iter().map(|letter| letter.id.clone()), now);
        active.allowance -= letters.len() as f64;
        Ok(letters)
    }

    /// Selects about `limit` of `letters` that are not in flight, each with the other matching dead
    /// letters of its request, within the plan's limit. So the tasks of a request run in one round,
    /// with one callback. Also returns the last dead letter that was looked at, if some of
    /// `letters` are left.
    async fn of_whole_requests(
        &self,
        replay: &Replay,
        letters: Vec<DeadLetter>,
        limit: usize,
    ) -> PortResult<(Vec<DeadLetter>, Option<String>)> {
        let in_flight: HashSet<&str> =
            replay.progress.in_flight.iter().map(|in_flight| in_flight.letter.as_str()).collect();
        let mut whole: BTreeMap<String, DeadLetter> = BTreeMap::new();
        let mut last = None;
        for letter in letters {
            if whole.len() >= limit {
                return Ok((whole.into_values().collect(), last));
            }
            last = Some(letter.id.clone());
            if in_flight.contains(letter.id.as_str()) || whole.contains_key(&letter.id) {
                continue;
            }
            if let Some(request) = letter.request() {
                for other in self.others_of(request, &letter.id).await? {
                    let is_meant = other.is_open()
                        && replay.plan.selection.contains(&other)
                        && !in_flight.contains(other.id.as_str());
                    // One place is for the dead letter itself.
                    if is_meant && whole.len() + 1 < replay.left() {
                        whole.insert(other.id.clone(), other);
                    }
                }
            }
            whole.insert(letter.id.clone(), letter);
        }
        Ok((whole.into_values().collect(), None))
    }

    /// The dead letters of a request's failed tasks, except the one with the id `but`.
    async fn others_of(&self, request: RequestId, but: &str) -> PortResult<Vec<DeadLetter>> {
        let state = RequestState::load(self.runner.requests.as_ref(), request).await?;
        let Some(state) = state else { return Ok(Vec::new()) };
        let ended = state.all(self.runner.requests.as_ref()).await?.into_iter();
        let failed =
            ended.filter(|ended| matches!(ended.outcome.ending, Ending::Failed { .. })).map(
                |ended| DeadLetter::id_of(TaskSource::Request(request).task(ended.n), ended.round),
            );
        let ids: Vec<String> = failed.filter(|id| id != but).collect();
        let read = stream::iter(ids).map(async |id| self.dead_letters.get(&id).await);
        let read: Vec<Option<DeadLetter>> = read.buffered(READS_AT_ONCE).try_collect().await?;
        Ok(read.into_iter().flatten().collect())
    }

    /// Stores the replay if it has changed, and renews the claim. False if another server wrote
    /// first.
    async fn write(&self, active: &mut ActiveReplay, now: Timestamp) -> PortResult<bool> {
        let replay = &mut active.replay;
        let is_claim_fresh = replay.claimed_until > now + self.settings.claim / 2;
        if *replay == active.written && is_claim_fresh {
            return Ok(true);
        }
        replay.claimed_until = now + self.settings.claim;
        let is_ours = self.replays.update(replay).await?;
        replay.revision += 1;
        active.written = replay.clone();
        if !is_ours {
            info!(replay.id = %replay.id, "the replay was stopped, or another server goes on with it");
        }
        Ok(is_ours)
    }

    /// Runs the tasks of dead letters in flight. Those that must wait are tried in the next step;
    /// those that cannot run, or have waited too long, are skipped.
    async fn rerun(
        &self,
        active: &mut ActiveReplay,
        letters: &[DeadLetter],
        now: Timestamp,
    ) -> PortResult<()> {
        let by = active.replay.id.to_string();
        for (id, rerun) in self.runner.rerun(letters, &by).await? {
            let is_left = match rerun {
                ReplayResult::InRound(_) => {
                    active.sent.insert(id);
                    continue;
                }
                ReplayResult::RequestNotFinished => {
                    let in_flight = active.replay.progress.in_flight.iter();
                    let age =
                        in_flight.filter(|in_flight| in_flight.letter == id).map(|i| i.age(now));
                    age.max().is_some_and(|age| age >= LETTER_TIMEOUT)
                }
                ReplayResult::NotReadable
                | ReplayResult::NotSendable
                | ReplayResult::RequestNotFound
                | ReplayResult::ModelNotFound => true,
            };
            if is_left {
                self.evaluate_one(active, &id, Evaluation::Skipped);
            }
        }
        Ok(())
    }
}

fn is_in_flight(replay: &Replay, id: &str) -> bool {
    replay.progress.in_flight.iter().any(|in_flight| in_flight.letter == id)
}
