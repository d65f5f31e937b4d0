//! Runs failed tasks again: those of a request in a new round, those of upload events and messages
//! by sending them again.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use flota_core::{
    ClientName, DeadLetter, DeadLetterState, KnownModels, ModelDirectory, PortError, PortResult,
    QueueName, QueueNames, Reason, RequestId, RoundKey, Subject, TaskMessage, TaskSource,
    TasksMessage,
    ports::{Clock, DeadLetters, NewMessage, Queue, Requests},
    with_causes,
};
use flota_platform::settings::SweeperSettings;
use tracing::{info, warn};

use crate::{
    dispatch::{Copies, Dispatcher, open_packs},
    metrics,
    queues::fleet_queues,
};

/// Runs failed tasks again. All tasks of a request run in one round.
#[derive(Clone)]
pub(crate) struct ReplayRunner {
    pub(crate) requests: Arc<dyn Requests>,
    pub(crate) dead_letters: Arc<dyn DeadLetters>,
    pub(crate) directory: Arc<ModelDirectory>,
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) dispatcher: Dispatcher,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) queue_names: QueueNames,
    pub(crate) settings: SweeperSettings,
}

/// The result of replaying a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReplayResult {
    /// Its task runs in this round, or it was sent again.
    InRound(u32),
    /// Its request is still running. A new round can open when the current one is finished.
    RequestNotFinished,
    /// Its message cannot be decoded, so there is nothing to run.
    NotReadable,
    /// Its queue rejects the message for good.
    NotSendable,
    /// Its request does not exist any more.
    RequestNotFound,
    /// Its model or its queue does not exist any more.
    ModelNotFound,
}

/// A dead letter of a request's task.
struct OfRequest<'a> {
    letter: &'a DeadLetter,
    n: u32,
    died_in: u32,
}

impl ReplayRunner {
    /// Runs the tasks of `letters` again on behalf of `by`, and returns the result of each, by id.
    /// The dead letters must be open or [await the end](DeadLetter::awaits_end) of an upload's
    /// task. Repeating it after a crash opens no second round.
    pub(crate) async fn rerun(
        &self,
        letters: &[DeadLetter],
        by: &str,
    ) -> PortResult<Vec<(String, ReplayResult)>> {
        let mut runner = Vec::new();
        let mut by_request: BTreeMap<RequestId, Vec<OfRequest<'_>>> = BTreeMap::new();
        for letter in letters {
            let rerun = match &letter.subject {
                Subject::Task { task, round, .. } => match task.source {
                    TaskSource::Request(request) => {
                        let of_request = OfRequest { letter, n: task.n, died_in: *round };
                        by_request.entry(request).or_default().push(of_request);
                        continue;
                    }
                    TaskSource::Upload(_) => self.rerun_upload(letter, by).await?,
                },
                Subject::Message { .. } => self.resend(letter, by).await?,
            };
            runner.push((letter.id.clone(), rerun));
        }
        for (request, letters) in by_request {
            runner.extend(self.rerun_request(request, &letters, by).await?);
        }
        Ok(runner)
    }

    /// Why the task of an open dead letter cannot run again; `None` if it can.
    pub(crate) async fn refusal(&self, letter: &DeadLetter) -> PortResult<Option<ReplayResult>> {
        Ok(match &letter.subject {
            Subject::Task { task, model, .. } => match task.source {
                TaskSource::Request(id) => match self.requests.rounds(id).await?.last() {
                    None => Some(ReplayResult::RequestNotFound),
                    Some(last) if last.finished_at.is_none() => {
                        Some(ReplayResult::RequestNotFinished)
                    }
                    Some(_) => None,
                },
                TaskSource::Upload(_) => {
                    let known = self.directory.get(model).await?;
                    known.is_none().then_some(ReplayResult::ModelNotFound)
                }
            },
            Subject::Message { .. } if letter.reason == Reason::Unreadable => {
                Some(ReplayResult::NotReadable)
            }
            Subject::Message { queue, .. } => {
                self.queue_named(queue).await?.is_none().then_some(ReplayResult::ModelNotFound)
            }
        })
    }

    async fn rerun_request(
        &self,
        id: RequestId,
        letters: &[OfRequest<'_>],
        by: &str,
    ) -> PortResult<Vec<(String, ReplayResult)>> {
        let all = |rerun| letters.iter().map(|of| (of.letter.id.clone(), rerun)).collect();
        let rounds = self.requests.rounds(id).await?;
        let Some(last) = rounds.last() else { return Ok(all(ReplayResult::RequestNotFound)) };
        // After a crash, a dead letter may be open although its task runs again already. It is
        // resolved now, and its task is not run twice.
        let later =
            |of: &OfRequest<'_>| rounds.iter().find(|r| r.key.round > of.died_in && r.runs(of.n));
        let mut runner = Vec::new();
        let mut new = Vec::new();
        for of in letters {
            match later(of) {
                Some(round) => runner.push(self.decide(of.letter, round.key.round, by).await?),
                None => new.push(of),
            }
        }
        if new.is_empty() {
            return Ok(runner);
        }
        let tasks: BTreeSet<u32> = new.iter().map(|of| of.n).collect();
        let key = RoundKey { request: id, round: last.key.round + 1 };
        let is_opened = last.finished_at.is_some() && self.open(key, &tasks).await?;
        for of in new {
            runner.push(match is_opened {
                true => self.decide(of.letter, key.round, by).await?,
                false => (of.letter.id.clone(), ReplayResult::RequestNotFinished),
            });
        }
        Ok(runner)
    }

    async fn decide(
        &self,
        letter: &DeadLetter,
        round: u32,
        by: &str,
    ) -> PortResult<(String, ReplayResult)> {
        let (by, at) = (by.to_owned(), self.clock.now());
        let state = DeadLetterState::Replayed { round, at, by, succeeded: None };
        if self.dead_letters.decide(&letter.id, &state).await? {
            metrics::dead_letter_replayed();
        }
        Ok((letter.id.clone(), ReplayResult::InRound(round)))
    }

    /// Opens the round and sends its tasks. False if another round was opened first.
    async fn open(&self, key: RoundKey, tasks: &BTreeSet<u32>) -> PortResult<bool> {
        let Some(request) = self.requests.request(key.request).await? else { return Ok(false) };
        let now = self.clock.now();
        let due_at = now + self.settings.accept_grace;
        if !self.requests.open_round(key, tasks, now, due_at).await? {
            return Ok(false);
        }
        info!(request.id = %key.request, round = key.round, task_count = tasks.len(),
            "dead letters are replayed in a new round");
        let packs = open_packs(request.packs(), |_, n| tasks.contains(&n));
        if self.dispatcher.send_again(&request, key.round, &packs, &Copies::new()).await {
            let due_at = self.clock.now() + self.settings.resend;
            if let Err(error) = self.requests.set_due(key, due_at).await {
                warn!(request.id = %key.request, %error, "the sweeper will send the tasks again");
            }
        }
        Ok(true)
    }

    /// Sends the task of an upload event again. The dead letter is resolved first, so that the end
    /// of the task can be recorded in it. After a crash in between, the server that continues sends
    /// the task.
    async fn rerun_upload(&self, letter: &DeadLetter, by: &str) -> PortResult<ReplayResult> {
        let Subject::Task { task, round, model, image, client, priority } = &letter.subject else {
            return Ok(ReplayResult::NotReadable);
        };
        let Some(known) = self.directory.get(model).await? else {
            return Ok(ReplayResult::ModelNotFound);
        };
        let queue = self.queue_names.tasks(&known.registration.worker, *priority);
        let message = TasksMessage {
            source: task.source,
            round: *round + 1,
            pack: 0,
            copy: 0,
            client: client.clone(),
            priority: *priority,
            deadline: None,
            tasks: vec![TaskMessage {
                n: task.n,
                image: image.clone(),
                model: model.clone(),
                tries: 0,
                faults: Vec::new(),
                fetch_retries: None,
            }],
        };
        let message = match message.to_new_message() {
            Ok(message) => message,
            Err(error) => {
                let error = PortError::permanent("writing the task of an upload event", error);
                return not_sent(letter, error);
            }
        };
        let (_, rerun) = self.decide(letter, *round + 1, by).await?;
        match self.send(&queue, message).await {
            Ok(()) => Ok(rerun),
            Err(error) => not_sent(letter, error),
        }
    }

    /// Sends a message again, if it can be decoded.
    async fn resend(&self, letter: &DeadLetter, by: &str) -> PortResult<ReplayResult> {
        let Subject::Message { queue, body, .. } = &letter.subject else {
            return Ok(ReplayResult::NotReadable);
        };
        if letter.reason == Reason::Unreadable {
            return Ok(ReplayResult::NotReadable);
        }
        let Some(queue) = self.queue_named(queue).await? else {
            return Ok(ReplayResult::ModelNotFound);
        };
        // Outcomes and upload events hold no tasks.
        let tasks =
            TasksMessage::decode(body).map_or_else(|_| BTreeMap::new(), |it| it.task_counts());
        let group = ClientName::default();
        let message = NewMessage { tasks, ..NewMessage::new(body.clone(), group.as_str()) };
        if let Err(error) = self.send(&queue, message).await {
            return not_sent(letter, error);
        }
        let (_, rerun) = self.decide(letter, 1, by).await?;
        Ok(rerun)
    }

    async fn send(&self, queue: &QueueName, message: NewMessage) -> PortResult<()> {
        self.queue.send(queue, &[message]).await?.into_iter().collect()
    }

    async fn queue_named(&self, name: &str) -> PortResult<Option<QueueName>> {
        let find = |known: &KnownModels| {
            let mut queues = fleet_queues(known, &self.queue_names).into_iter();
            queues.find_map(|(queue, _)| (queue.as_str() == name).then_some(queue))
        };
        Ok(match find(&self.directory.known().await?) {
            Some(queue) => Some(queue),
            None => find(&self.directory.known_now().await?),
        })
    }
}

/// The result for a dead letter that could not be sent. If its queue rejects it for good, the
/// others still go on.
fn not_sent(letter: &DeadLetter, error: PortError) -> PortResult<ReplayResult> {
    match error {
        PortError::Permanent { .. } | PortError::TooLarge { .. } => {
            let error = with_causes(&error);
            warn!(dead_letter.id = letter.id, error, "a dead letter can never be sent again");
            Ok(ReplayResult::NotSendable)
        }
        PortError::Transient { .. } | PortError::Full { .. } => Err(error),
    }
}
