//! One step of a replay: look at what is in hand, and take more.

use std::collections::{BTreeMap, HashSet};

use flota_core::{
    DeadLetter, Ending, Judgement, PortResult, Replay, ReplayState, RequestId, StopReason, Subject,
    ports::DeadLetterFilter,
};
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use metrics::counter;
use tracing::{debug, info, warn};

use super::{Replayer, Rerun, driven::Driven, judge::judge};
use crate::standing::Standing;

/// Dead letters read at the same time.
const READS_AT_ONCE: usize = 8;

impl Replayer {
    /// Goes on by one step. False where somebody else goes on with it, or it has ended.
    pub(super) async fn step(&self, driven: &mut Driven) -> PortResult<bool> {
        let now = self.clock.now();
        let open = self.look_at_hand(driven, now).await?;
        let end = self.end(&driven.replay, now).await?;
        let mut taken = Vec::new();
        match end {
            Some(state) => driven.replay.state = state,
            None => taken = self.take(driven, now).await?,
        }
        // What is taken is written down before it is sent: whoever goes on looks for it.
        if !self.write(driven, now).await? {
            return Ok(false);
        }
        let is_running = driven.replay.is_running();
        if is_running {
            self.rerun(driven, &open, now).await?;
            self.rerun(driven, &taken, now).await?;
        } else {
            log_end(&driven.replay);
        }
        Ok(is_running)
    }

    /// Judges what has ended, and returns the dead letters in hand whose tasks are still to be run.
    async fn look_at_hand(
        &self,
        driven: &mut Driven,
        now: Timestamp,
    ) -> PortResult<Vec<DeadLetter>> {
        let mut letters = Vec::new();
        let mut unread = Vec::new();
        for in_hand in &driven.replay.progress.in_hand {
            match driven.running.get(&in_hand.letter) {
                Some(letter) => letters.push(letter.clone()),
                None => unread.push(in_hand.letter.clone()),
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
                None => self.judge_one(driven, &id, Judgement::Skipped),
            }
        }
        let by = driven.replay.id.to_string();
        let to_version = driven.replay.plan.to_version.as_ref();
        let judged = judge(self.reruns.requests.as_ref(), &letters, &by, to_version).await?;
        for (id, judgement) in judged {
            self.judge_one(driven, &id, judgement);
        }
        letters.retain(|letter| is_in_hand(&driven.replay, &letter.id));
        let is_unsent = |letter: &DeadLetter| {
            letter.is_open() || letter.awaits_end() && !driven.sent.contains(&letter.id)
        };
        let (open, running): (Vec<_>, Vec<_>) = letters.into_iter().partition(is_unsent);
        for letter in running {
            if let Subject::Task { .. } = letter.subject {
                driven.running.insert(letter.id.clone(), letter);
            }
        }
        self.give_up_waiting(driven, now);
        Ok(open)
    }

    /// An upload's task that was sent and of which nothing is heard has failed, once a request's
    /// would end as lost.
    fn give_up_waiting(&self, driven: &mut Driven, now: Timestamp) {
        let lost_after = self.reruns.settings.lost_after;
        let in_hand = driven.replay.progress.in_hand.iter();
        let lost: Vec<String> = in_hand
            .filter(|in_hand| in_hand.age(now) >= lost_after)
            .filter(|in_hand| !driven.running.contains_key(&in_hand.letter))
            .map(|in_hand| in_hand.letter.clone())
            .collect();
        for id in lost {
            self.judge_one(driven, &id, Judgement::Failed);
        }
    }

    fn judge_one(&self, driven: &mut Driven, id: &str, judgement: Judgement) {
        debug!(replay.id = %driven.replay.id, dead_letter.id = id, ?judgement,
            "a replayed dead letter is judged");
        driven.running.remove(id);
        driven.sent.remove(id);
        driven.replay.judge(id, judgement);
    }

    /// How the replay ends, if it does now.
    async fn end(&self, replay: &Replay, at: Timestamp) -> PortResult<Option<ReplayState>> {
        if replay.is_exhausted() {
            let is_done = replay.progress.in_hand.is_empty();
            return Ok(is_done.then_some(ReplayState::Completed { at }));
        }
        let stopped = |why| Some(ReplayState::Stopped { at, why, by: None });
        if replay.has_failed_too_often() {
            return Ok(stopped(StopReason::TooManyFailed));
        }
        if let Some(wanted) = &replay.plan.to_version {
            let known = self.reruns.models.get(&replay.model, at).await?;
            let is_current =
                known.is_some_and(|known| known.registration.manifest.version == *wanted);
            if !is_current {
                return Ok(stopped(StopReason::VersionNotCurrent));
            }
        }
        Ok(None)
    }

    /// Takes the next dead letters of the list in hand.
    async fn take(&self, driven: &mut Driven, now: Timestamp) -> PortResult<Vec<DeadLetter>> {
        let limit = match driven.replay.is_exhausted() {
            true => 0,
            false => driven.room(now),
        };
        if limit == 0 {
            return Ok(Vec::new());
        }
        let replay = &mut driven.replay;
        let filter = DeadLetterFilter {
            selection: replay.plan.selection.clone(),
            decided: false,
            after: replay.progress.after.clone(),
            limit,
        };
        let page = self.dead_letters.list(&filter).await?;
        let (letters, last) = self.of_whole_requests(replay, page.letters, limit).await?;
        match (last, page.next_after) {
            // The rest of the page is listed again.
            (Some(last), _) => replay.progress.after = Some(last),
            (None, Some(after)) => replay.progress.after = Some(after),
            (None, None) => replay.progress.is_listed = true,
        }
        replay.take(letters.iter().map(|letter| letter.id.clone()), now);
        driven.allowance -= letters.len() as f64;
        Ok(letters)
    }

    /// The first of `letters` that are not in flight, about `limit`, each with all others of its request that
    /// are meant, as far as the plan's limit allows: so a request's tasks run in one round, which is called
    /// back once, and no more are taken than `limit` and a request. And the last one that was looked at, where
    /// some are left.
    async fn of_whole_requests(
        &self,
        replay: &Replay,
        letters: Vec<DeadLetter>,
        limit: usize,
    ) -> PortResult<(Vec<DeadLetter>, Option<String>)> {
        let in_flight: HashSet<&str> =
            replay.progress.in_hand.iter().map(|in_hand| in_hand.letter.as_str()).collect();
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
            if let Subject::Task { task, .. } = &letter.subject {
                for other in self.others_of(task.request, &letter.id).await? {
                    let is_meant = other.is_open()
                        && replay.plan.selection.contains(&other)
                        && !in_flight.contains(other.id.as_str());
                    // One place is the letter's own.
                    if is_meant && whole.len() + 1 < replay.left() {
                        whole.insert(other.id.clone(), other);
                    }
                }
            }
            whole.insert(letter.id.clone(), letter);
        }
        Ok((whole.into_values().collect(), None))
    }

    /// The dead letters beside the failed tasks of a request, except the one with the id `but`.
    async fn others_of(&self, request: RequestId, but: &str) -> PortResult<Vec<DeadLetter>> {
        let standing = Standing::load(self.reruns.requests.as_ref(), request).await?;
        let Some(standing) = standing else { return Ok(Vec::new()) };
        let failed = (0..standing.request.task_count())
            .filter_map(|n| Some((n, standing.latest(n)?)))
            .filter(|(_, (_, outcome))| matches!(outcome.ending, Ending::Failed { .. }))
            .map(|(n, (round, _))| DeadLetter::task_id(request, n, round));
        let ids: Vec<String> = failed.filter(|id| id != but).collect();
        let read = stream::iter(ids).map(async |id| self.dead_letters.get(&id).await);
        let read: Vec<Option<DeadLetter>> = read.buffered(READS_AT_ONCE).try_collect().await?;
        Ok(read.into_iter().flatten().collect())
    }

    /// Keeps what has changed, and the claim. False where somebody else wrote first.
    async fn write(&self, driven: &mut Driven, now: Timestamp) -> PortResult<bool> {
        let replay = &mut driven.replay;
        let is_claim_fresh = replay.claimed_until > now + self.settings.claim / 2;
        if *replay == driven.written && is_claim_fresh {
            return Ok(true);
        }
        replay.claimed_until = now + self.settings.claim;
        let is_ours = self.replays.update(replay).await?;
        replay.revision += 1;
        driven.written = replay.clone();
        if !is_ours {
            info!(replay.id = %replay.id, "the replay was stopped, or another server goes on with it");
        }
        Ok(is_ours)
    }

    /// Runs the tasks of open dead letters in hand. What must wait is looked at in the next step,
    /// what cannot run, or waited too long, is left.
    async fn rerun(
        &self,
        driven: &mut Driven,
        letters: &[DeadLetter],
        now: Timestamp,
    ) -> PortResult<()> {
        let by = driven.replay.id.to_string();
        for (id, rerun) in self.reruns.rerun(letters, &by).await? {
            let is_left = match rerun {
                Rerun::InRound(_) => {
                    driven.sent.insert(id);
                    continue;
                }
                Rerun::RequestNotFinished => {
                    let in_hand = driven.replay.progress.in_hand.iter();
                    let age = in_hand.filter(|in_hand| in_hand.letter == id).map(|i| i.age(now));
                    age.max().is_some_and(|age| age >= self.settings.patience)
                }
                Rerun::NotReadable
                | Rerun::NotSendable
                | Rerun::RequestNotFound
                | Rerun::ModelNotFound => true,
            };
            if is_left {
                self.judge_one(driven, &id, Judgement::Skipped);
            }
        }
        Ok(())
    }
}

fn is_in_hand(replay: &Replay, id: &str) -> bool {
    replay.progress.in_hand.iter().any(|in_hand| in_hand.letter == id)
}

/// The line by which an operator finds what a replay did.
pub(super) fn log_end(replay: &Replay) {
    let progress = &replay.progress;
    let (id, by, model) = (&replay.id, &replay.by, &replay.model);
    let (succeeded_count, failed_count) = (progress.succeeded_count, progress.failed_count);
    let skipped_count = progress.skipped_count;
    let result = match &replay.state {
        ReplayState::Stopped { why, .. } => why.to_string().to_lowercase(),
        _ => "completed".to_owned(),
    };
    counter!("flota_replays_ended_total", "result" => result).increment(1);
    match &replay.state {
        ReplayState::Stopped { why, .. } => warn!(replay.id = %id, by, %model, %why,
            succeeded_count, failed_count, skipped_count, "a replay was stopped"),
        _ => info!(replay.id = %id, by, %model, succeeded_count, failed_count, skipped_count,
            "a replay is completed"),
    }
}
