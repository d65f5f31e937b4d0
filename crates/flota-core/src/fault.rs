//! The faults of a task's attempts.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Code;

/// Most faults that are stored for a task. Few tasks have more attempts.
pub const MAX_FAULTS: usize = 5;
/// Longest message of a fault in bytes. A pack of twenty tasks with the longest URLs and all their
/// faults must fit one message.
pub const MAX_FAULT_MESSAGE_BYTES: usize = 80;

/// An attempt at a task that ended with a fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// When the attempt ended.
    pub at: Timestamp,
    /// The stable code.
    pub code: Code,
    /// One sentence that is safe to show to clients, cut to [`MAX_FAULT_MESSAGE_BYTES`].
    pub message: String,
}

impl Fault {
    /// A fault whose message is cut to its bound.
    pub fn new(at: Timestamp, code: Code, message: &str) -> Self {
        let end = message.floor_char_boundary(MAX_FAULT_MESSAGE_BYTES);
        Self { at, code, message: message[..end].to_owned() }
    }

    /// Appends this fault to `earlier` ones and keeps the last [`MAX_FAULTS`].
    pub fn after(self, earlier: &[Self]) -> Vec<Self> {
        let dropped = (earlier.len() + 1).saturating_sub(MAX_FAULTS);
        let mut faults = earlier[dropped.min(earlier.len())..].to_vec();
        faults.push(self);
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_faults_are_kept_and_their_messages_are_cut() {
        let at = Timestamp::UNIX_EPOCH;
        let mut faults = Vec::new();
        for n in 0..MAX_FAULTS + 2 {
            faults = Fault::new(at, Code::FetchFailed, &n.to_string()).after(&faults);
        }
        let messages: Vec<&str> = faults.iter().map(|fault| fault.message.as_str()).collect();
        assert_eq!(messages, ["2", "3", "4", "5", "6"]);
        let long = Fault::new(at, Code::FetchFailed, &"ä".repeat(MAX_FAULT_MESSAGE_BYTES));
        assert_eq!(long.message.len(), MAX_FAULT_MESSAGE_BYTES);
        let odd = format!("a{}", long.message);
        assert_eq!(
            Fault::new(at, Code::FetchFailed, &odd).message.len(),
            MAX_FAULT_MESSAGE_BYTES - 1
        );
    }
}
