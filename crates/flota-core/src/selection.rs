//! Conditions on dead letters.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Code, DeadLetter, ModelName, Reason, Subject};

/// Most characters of a text to search for.
pub const MAX_SEARCH_CHARS: usize = 200;

/// Conditions on dead letters. All must be met; without a condition, all dead letters match.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DeadLetterSelection {
    /// The model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelName>,
    /// The reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// The code of the failed outcome, or of the last fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// Dead-lettered at this time or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Dead-lettered before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Text in the id, the last error, the image's URL, the queue or the body. Case does not
    /// matter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

impl DeadLetterSelection {
    /// Whether `letter` meets all conditions.
    pub fn contains(&self, letter: &DeadLetter) -> bool {
        let is_of = |model| letter.model() == Some(model);
        self.model.as_ref().is_none_or(is_of)
            && self.reason.is_none_or(|reason| reason == letter.reason)
            && self.code.is_none_or(|code| has_code(letter, code))
            && self.since.is_none_or(|since| letter.created_at >= since)
            && self.until.is_none_or(|until| letter.created_at < until)
            && self.text.as_ref().is_none_or(|text| has_text(letter, text))
    }
}

fn has_code(letter: &DeadLetter, code: Code) -> bool {
    letter.reason.code() == Some(code)
        || letter.history.last().is_some_and(|fault| fault.code == code)
}

fn has_text(letter: &DeadLetter, text: &str) -> bool {
    let wanted = text.to_lowercase();
    let has = |text: &str| text.to_lowercase().contains(&wanted);
    has(&letter.id)
        || has(&letter.message)
        || match &letter.subject {
            Subject::Task { task, image, .. } => {
                has(image) || has(&task.to_string()) || has(&task.source.to_string())
            }
            Subject::Message { queue, body, .. } => has(queue) || has(body),
        }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{ClientName, DeadLetterState, Fault, Priority, RequestId, TaskSource};

    fn letter() -> DeadLetter {
        let at = Timestamp::from_second(100).unwrap();
        let task = TaskSource::Request(RequestId(Uuid::from_u128(0xabc))).task(7);
        DeadLetter {
            id: DeadLetter::id_of(task, 1),
            subject: Subject::Task {
                task,
                round: 1,
                model: "cat".parse().unwrap(),
                image: "https://a/Größe.jpg".to_owned(),
                client: ClientName::default(),
                priority: Priority::default(),
            },
            reason: Reason::AttemptsExhausted,
            message: "3 attempts failed".to_owned(),
            attempts: 3,
            history: vec![Fault::new(at, Code::FetchTimeout, "no answer")],
            created_at: at,
            state: DeadLetterState::Open,
        }
    }

    fn is_meant(conditions: &str) -> bool {
        let selection: DeadLetterSelection = serde_json::from_str(conditions).unwrap();
        selection.contains(&letter())
    }

    #[test]
    fn every_condition_must_be_met() {
        for met in [
            "{}",
            r#"{"model": "cat", "reason": "ATTEMPTS_EXHAUSTED"}"#,
            r#"{"code": "FETCH_TIMEOUT"}"#,
            r#"{"code": "ATTEMPTS_EXHAUSTED"}"#,
            r#"{"since": "1970-01-01T00:01:40Z", "until": "1970-01-01T00:01:41Z"}"#,
            r#"{"text": "größe.JPG"}"#,
            r#"{"text": "req_00000000000000000000000000000abc"}"#,
            r#"{"text": "task_00000000000000000000000000000abc-7"}"#,
        ] {
            assert!(is_meant(met), "{met}");
        }
        for not_met in [
            r#"{"model": "cat", "reason": "WORKER_CRASHED"}"#,
            r#"{"model": "dog"}"#,
            r#"{"code": "FETCH_FAILED"}"#,
            r#"{"since": "1970-01-01T00:01:40.1Z"}"#,
            r#"{"until": "1970-01-01T00:01:40Z"}"#,
            r#"{"text": "dog"}"#,
        ] {
            assert!(!is_meant(not_met), "{not_met}");
        }
    }
}
