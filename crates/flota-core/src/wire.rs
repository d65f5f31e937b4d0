//! What travels on the queues: tagged, versioned JSON, one pack a message.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use thiserror::Error;

use crate::{
    Alias, ClientName, DeadLetter, Fault, FetchRetries, ModelName, PackKey, Prediction, Priority,
    RoundKey, TaskOutcome, TaskSource, limits::MAX_MESSAGE_BYTES, ports::NewMessage,
};

/// The last version that this program reads.
const VERSION: u32 = 2;
/// The version of a message about tasks of a request. Programs of that version read it still, for
/// what was added since they may leave out.
const VERSION_OF_REQUESTS: u32 = 1;

/// A message body that nobody here can read.
#[derive(Debug, Error)]
pub enum WireError {
    /// Not JSON of the wanted shape.
    #[error("the message is not of the wanted shape: {0}")]
    Shape(#[from] serde_json::Error),
    /// Written by a later program.
    #[error("the message has version {0}, and this program reads version {VERSION}")]
    Version(u32),
    /// Larger than a message may be.
    #[error("the message has {0} bytes, and {MAX_MESSAGE_BYTES} is the limit")]
    TooLarge(usize),
}

/// Tasks of one pack, for one worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TasksMessage {
    /// What made them.
    #[serde(flatten)]
    pub source: TaskSource,
    /// The round they belong to; of tasks of upload events, 1 and one more for each replay.
    pub round: u32,
    /// The pack they belong to; of tasks of upload events, 0.
    pub pack: u32,
    /// 0 where they are sent for the first time, and one more for each copy that the sweeper sends.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub copy: u32,
    /// Who submitted them.
    pub client: ClientName,
    /// How urgent they are.
    #[serde(rename = "lane")]
    pub priority: Priority,
    /// When they are no longer wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// The tasks, those of one image side by side.
    pub tasks: Vec<TaskMessage>,
}

/// One task of a [`TasksMessage`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskMessage {
    /// Its number in the request.
    pub n: u32,
    /// Where the image's bytes are.
    pub image: String,
    /// The model that is to look at it.
    pub model: ModelName,
    /// How often it was begun and ended in a transient fault.
    #[serde(default)]
    pub tries: u32,
    /// Those faults, the oldest first; at most [`MAX_FAULTS`](crate::MAX_FAULTS), the last ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
    /// What kept it from its image, where something did that is no attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetch_retries: Option<FetchRetries>,
}

/// Outcomes of one pack, from a worker to the recorder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutcomesMessage {
    /// What made the tasks.
    #[serde(flatten)]
    pub source: TaskSource,
    /// The round they belong to.
    pub round: u32,
    /// The pack they belong to.
    pub pack: u32,
    /// How the tasks ended.
    pub outcomes: Vec<TaskOutcome>,
    /// The predictions that were computed for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub predictions: Vec<Prediction>,
    /// What objects of S3 were found to contain.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<Alias>,
    /// What is kept beside those whose attempts ran out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dead_letters: Vec<DeadLetter>,
}

/// The version of a message about tasks of `source`.
fn version_of(source: TaskSource) -> u32 {
    match source {
        TaskSource::Request(_) => VERSION_OF_REQUESTS,
        TaskSource::Upload(_) => VERSION,
    }
}

impl TasksMessage {
    /// The round that the tasks belong to, if they are a request's.
    pub fn round(&self) -> Option<RoundKey> {
        Some(RoundKey { request: self.source.request()?, round: self.round })
    }

    /// The pack that the tasks belong to, if they are a request's.
    pub fn pack_key(&self) -> Option<PackKey> {
        Some(PackKey { round: self.round()?, pack: self.pack })
    }

    /// How many tasks of each model there are.
    pub fn task_counts(&self) -> BTreeMap<ModelName, u32> {
        let mut counts = BTreeMap::new();
        for task in &self.tasks {
            *counts.entry(task.model.clone()).or_insert(0) += 1;
        }
        counts
    }

    /// The body for the queue.
    pub fn encode(&self) -> Result<String, WireError> {
        encode(version_of(self.source), self)
    }

    /// The message for the queue, of the client, the trace and the pack of its tasks.
    ///
    /// # Errors
    /// If it is too large for one message.
    pub fn to_new_message(&self) -> Result<NewMessage, WireError> {
        Ok(NewMessage {
            trace: Some(self.source.trace()),
            pack: self.pack_key(),
            tasks: self.task_counts(),
            ..NewMessage::new(self.encode()?, self.client.as_str())
        })
    }

    /// Reads a body of this or an earlier version.
    pub fn decode(body: &str) -> Result<Self, WireError> {
        decode(body)
    }
}

impl OutcomesMessage {
    /// The round that the tasks belong to, if they are a request's.
    pub fn round(&self) -> Option<RoundKey> {
        Some(RoundKey { request: self.source.request()?, round: self.round })
    }

    /// The body for the queue.
    pub fn encode(&self) -> Result<String, WireError> {
        encode(version_of(self.source), self)
    }

    /// Reads a body of this or an earlier version.
    pub fn decode(body: &str) -> Result<Self, WireError> {
        decode(body)
    }
}

#[derive(Serialize, Deserialize)]
struct Versioned<M> {
    v: u32,
    #[serde(flatten)]
    message: M,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[derive(Deserialize)]
struct VersionOnly {
    v: u32,
}

fn encode<M: Serialize>(v: u32, message: &M) -> Result<String, WireError> {
    let body = serde_json::to_string(&Versioned { v, message })?;
    // SQS takes only what XML 1.0 can carry. serde_json escapes the control characters; of the
    // rest, only these two are not XML.
    let body = if body.contains(['\u{fffe}', '\u{ffff}']) {
        body.replace('\u{fffe}', "\\ufffe").replace('\u{ffff}', "\\uffff")
    } else {
        body
    };
    if body.len() > MAX_MESSAGE_BYTES {
        return Err(WireError::TooLarge(body.len()));
    }
    Ok(body)
}

/// Parses a readable body once. Only one that does not parse is looked at again, for its version: a later
/// program's message may have any shape.
fn decode<M: DeserializeOwned>(body: &str) -> Result<M, WireError> {
    match parse::<Versioned<M>>(body) {
        Ok(Versioned { v, message }) if is_ours(v) => Ok(message),
        Ok(Versioned { v, .. }) => Err(WireError::Version(v)),
        Err(error) => match parse(body) {
            Ok(VersionOnly { v }) if !is_ours(v) => Err(WireError::Version(v)),
            _ => Err(error.into()),
        },
    }
}

fn is_ours(v: u32) -> bool {
    (1..=VERSION).contains(&v)
}

/// One pass over the text of a body.
fn parse<T: DeserializeOwned>(body: &str) -> Result<T, serde_json::Error> {
    #[cfg(test)]
    tests::PASSES.set(tests::PASSES.get() + 1);
    serde_json::from_str(body)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use uuid::Uuid;

    use super::*;
    use crate::{
        Code, EventsId, MAX_FAULT_MESSAGE_BYTES, MAX_FAULTS, RequestId, Subject,
        limits::{MAX_ADDRESS_BYTES, MAX_PACK_TASKS, MAX_REQUEST_TASKS},
    };

    thread_local! {
        /// Passes over the texts of bodies.
        pub(super) static PASSES: Cell<u32> = const { Cell::new(0) };
    }

    /// What `work` gives, and how often it passed over a body.
    fn counting_passes<T>(work: impl FnOnce() -> T) -> (T, u32) {
        PASSES.set(0);
        let done = work();
        (done, PASSES.get())
    }

    fn message(image: &str) -> TasksMessage {
        TasksMessage {
            source: TaskSource::Request(RequestId(Uuid::from_u128(7))),
            round: 1,
            copy: 0,
            pack: 0,
            client: ClientName::default(),
            priority: Priority::Normal,
            deadline: None,
            tasks: vec![TaskMessage {
                n: 0,
                image: image.to_owned(),
                model: "cat".parse().unwrap(),
                tries: 0,
                faults: Vec::new(),
                fetch_retries: None,
            }],
        }
    }

    #[test]
    fn a_body_carries_only_what_xml_can() {
        let odd = message("https://a/\u{0}\u{8}\u{fffe}\u{ffff}\u{1f600}ü");
        let body = odd.encode().unwrap();
        let is_xml = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
        assert!(body.chars().all(is_xml), "{body:?}");
        assert_eq!(TasksMessage::decode(&body).unwrap(), odd);
    }

    #[test]
    fn a_full_pack_with_all_its_faults_fits_a_message() {
        let mut full = message(&"x".repeat(MAX_ADDRESS_BYTES));
        let at = "2026-11-30T23:59:59.123456789Z".parse().unwrap();
        full.deadline = Some(at);
        let fault = Fault::new(at, Code::FetchTimeout, &"x".repeat(MAX_FAULT_MESSAGE_BYTES));
        let task = &mut full.tasks[0];
        task.n = MAX_REQUEST_TASKS as u32;
        task.model = "m".repeat(40).parse().unwrap();
        task.tries = 1_000;
        task.faults = vec![fault; MAX_FAULTS];
        task.fetch_retries = Some(FetchRetries { since: at, count: u32::MAX });
        full.tasks = vec![full.tasks[0].clone(); MAX_PACK_TASKS];
        let body = full.encode().unwrap();
        assert_eq!(TasksMessage::decode(&body).unwrap(), full);
    }

    #[test]
    fn the_first_version_still_parses() {
        let body = r#"{"v":1,"request":"req_00000000000000000000000000000007","round":1,"pack":0,
            "client":"default","lane":"normal","tasks":[{"n":0,"image":"https://a","model":"cat"}]}"#;
        assert_eq!(TasksMessage::decode(body).unwrap(), message("https://a"));
    }

    #[test]
    fn outcomes_with_dead_letters_of_an_earlier_program_still_parse() {
        let letter = |subject: &str, more: &str| {
            format!(
                r#"{{"id":"dead_00000000000000000000000000000007-3-1","subject":"{subject}",
                "task":"task_00000000000000000000000000000007-3","round":1,"model":"cat",
                "image":"https://a"{more},"reason":"ATTEMPTS_EXHAUSTED","message":"timeout",
                "attempts":3,"created_at":"2026-11-30T12:00:00Z","state":{{"state":"open"}}}}"#
            )
        };
        let body = |v: u32, source: &str, letter: &str| {
            format!(
                r#"{{"v":{v},{source},"round":1,"pack":0,"outcomes":[],"dead_letters":[{letter}]}}"#
            )
        };
        let request =
            body(1, r#""request":"req_00000000000000000000000000000007""#, &letter("task", ""));
        let upload = body(
            2,
            r#""events":"evt_00000000000000000000000000000007""#,
            &letter("upload", r#","client":"default","lane":"normal""#),
        );
        for (body, source) in [
            (request, TaskSource::Request(RequestId(Uuid::from_u128(7)))),
            (upload, TaskSource::Upload(EventsId(Uuid::from_u128(7)))),
        ] {
            let message = OutcomesMessage::decode(&body).unwrap();
            assert_eq!(message.source, source);
            let Subject::Task { task, .. } = &message.dead_letters[0].subject else { panic!() };
            assert_eq!(*task, source.task(3));
            let again = OutcomesMessage::decode(&message.encode().unwrap()).unwrap();
            assert_eq!(again, message);
        }
    }

    #[test]
    fn a_message_of_a_request_is_still_read_by_the_first_version() {
        let body = message("https://a").encode().unwrap();
        assert!(body.starts_with(r#"{"v":1,"request":"req_"#), "{body}");
    }

    #[test]
    fn tasks_of_upload_events_have_no_request() {
        let events = EventsId(Uuid::from_u128(8));
        let message =
            TasksMessage { source: TaskSource::Upload(events), ..message("s3://photos/a") };
        let body = message.encode().unwrap();
        assert!(body.starts_with(r#"{"v":2,"events":"evt_"#), "{body}");
        assert_eq!(TasksMessage::decode(&body).unwrap(), message);
        assert_eq!(message.round(), None);
        assert_eq!(message.source.task(3).to_string(), "task_00000000000000000000000000000008-3");
    }

    #[test]
    fn a_readable_body_is_parsed_once_and_fields_of_later_programs_are_left_out() {
        let body = message("https://a").encode().unwrap();
        let later = body.replace(r#""v":1"#, r#""shard":{"of":[7]},"v":1"#);
        for body in [body, later] {
            let (decoded, passes) = counting_passes(|| TasksMessage::decode(&body));
            assert_eq!((decoded.unwrap(), passes), (message("https://a"), 1), "{body}");
        }
        let outcomes = r#"{"v":1,"request":"req_00000000000000000000000000000007","round":1,"pack":0,
            "outcomes":[]}"#;
        let (decoded, passes) = counting_passes(|| OutcomesMessage::decode(outcomes));
        assert_eq!((decoded.unwrap().outcomes.len(), passes), (0, 1));
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        assert!(matches!(TasksMessage::decode("{}"), Err(WireError::Shape(_))));
        for body in [r#"{"v":3}"#, r#"{"tasks":{},"v":3}"#] {
            assert!(matches!(TasksMessage::decode(body), Err(WireError::Version(3))), "{body}");
        }
        let foreign = message("https://a").encode().unwrap().replace(r#""v":1"#, r#""v":0"#);
        assert!(matches!(TasksMessage::decode(&foreign), Err(WireError::Version(0))));
        let large = message(&"x".repeat(MAX_MESSAGE_BYTES));
        assert!(matches!(large.encode(), Err(WireError::TooLarge(_))));
    }
}
