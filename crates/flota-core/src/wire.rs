//! Messages on the queues: versioned JSON, one pack per message.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use thiserror::Error;

use crate::{
    Alias, ClientName, DeadLetter, Fault, FetchRetries, ModelName, PackKey, Prediction, Priority,
    RoundKey, TaskOutcome, TaskSource, limits::MAX_MESSAGE_BYTES, ports::NewMessage,
};

/// The latest version that this program reads.
const VERSION: u32 = 2;
/// The version of messages about tasks of a request. Programs of that version can read them,
/// because they may ignore later fields.
const VERSION_OF_REQUESTS: u32 = 1;

/// A body that this program cannot read or send.
#[derive(Debug, Error)]
pub enum WireError {
    /// JSON of another shape, or no JSON.
    #[error("the message is not of the wanted shape: {0}")]
    Shape(#[from] serde_json::Error),
    /// A version that this program does not know.
    #[error("the message has version {0}, and this program reads version {VERSION}")]
    Version(u32),
    /// The body is larger than a message may be; its size in bytes.
    #[error("the message has {0} bytes, and {MAX_MESSAGE_BYTES} is the limit")]
    TooLarge(usize),
}

/// Tasks of one pack for one worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TasksMessage {
    /// The source of the tasks.
    #[serde(flatten)]
    pub source: TaskSource,
    /// The round of the tasks. For upload events: 1, and one more for each replay.
    pub round: u32,
    /// The index of the pack; 0 for upload events.
    pub pack: u32,
    /// 0 for the first message about the tasks, and one more for each copy that the sweeper sends.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub copy: u32,
    /// The client that submitted the tasks.
    pub client: ClientName,
    /// The priority of the tasks.
    #[serde(rename = "lane")]
    pub priority: Priority,
    /// When the tasks expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// The tasks. Those of one image are adjacent.
    pub tasks: Vec<TaskMessage>,
}

/// One task of a [`TasksMessage`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskMessage {
    /// The number of the task in its source.
    pub n: u32,
    /// The URL of the image.
    pub image: String,
    /// The model to run.
    pub model: ModelName,
    /// The number of attempts that ended with a transient fault.
    #[serde(default)]
    pub tries: u32,
    /// The faults of these attempts, oldest first; at most [`MAX_FAULTS`](crate::MAX_FAULTS), the
    /// last ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
    /// Faults of the image's host, which do not count as attempts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetch_retries: Option<FetchRetries>,
}

/// Outcomes of one pack, from a worker to the recorder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutcomesMessage {
    /// The source of the tasks.
    #[serde(flatten)]
    pub source: TaskSource,
    /// The round of the tasks.
    pub round: u32,
    /// The index of the pack.
    pub pack: u32,
    /// The outcomes.
    pub outcomes: Vec<TaskOutcome>,
    /// Predictions that were computed for the tasks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub predictions: Vec<Prediction>,
    /// Contents of S3 objects that were determined for the tasks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<Alias>,
    /// Dead letters of tasks that failed for good.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dead_letters: Vec<DeadLetter>,
}

/// The version of messages about tasks of `source`.
fn version_of(source: TaskSource) -> u32 {
    match source {
        TaskSource::Request(_) => VERSION_OF_REQUESTS,
        TaskSource::Upload(_) => VERSION,
    }
}

impl TasksMessage {
    /// The round of the tasks; `None` for upload events.
    pub fn round(&self) -> Option<RoundKey> {
        Some(RoundKey { request: self.source.request()?, round: self.round })
    }

    /// The key of the pack; `None` for upload events.
    pub fn pack_key(&self) -> Option<PackKey> {
        Some(PackKey { round: self.round()?, pack: self.pack })
    }

    /// The number of tasks per model.
    pub fn task_counts(&self) -> BTreeMap<ModelName, u32> {
        let mut counts = BTreeMap::new();
        for task in &self.tasks {
            *counts.entry(task.model.clone()).or_insert(0) += 1;
        }
        counts
    }

    /// Encodes the body of a message.
    pub fn encode(&self) -> Result<String, WireError> {
        encode(version_of(self.source), self)
    }

    /// A message with these tasks and their client, trace context and pack.
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

    /// Decodes a body of this or an earlier version.
    pub fn decode(body: &str) -> Result<Self, WireError> {
        decode(body)
    }
}

impl OutcomesMessage {
    /// The round of the tasks; `None` for upload events.
    pub fn round(&self) -> Option<RoundKey> {
        Some(RoundKey { request: self.source.request()?, round: self.round })
    }

    /// Encodes the body of a message.
    pub fn encode(&self) -> Result<String, WireError> {
        encode(version_of(self.source), self)
    }

    /// Decodes a body of this or an earlier version.
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
    // SQS accepts only characters of XML 1.0. serde_json escapes control characters; of the others,
    // only these two are not allowed.
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

/// Parses a readable body once. Only a body that does not parse is parsed again for its version: a
/// message of a later program may have any shape.
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
        /// How often the text of a body was parsed.
        pub(super) static PASSES: Cell<u32> = const { Cell::new(0) };
    }

    /// The result of `work`, and how often it parsed a body.
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
