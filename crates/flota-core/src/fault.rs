//! What went wrong at the attempts of a task.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Code;

/// Most faults kept of a task, the last ones: a task is seldom tried more often.
pub const MAX_FAULTS: usize = 5;
/// Longest message of a fault in bytes: a pack of twenty tasks, each with the longest address and
/// all its faults, must fit a message.
pub const MAX_FAULT_MESSAGE_BYTES: usize = 80;

/// An attempt at a task that ended in a fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// When it ended.
    pub at: Timestamp,
    /// What went wrong.
    pub code: Code,
    /// One safe sentence, cut to [`MAX_FAULT_MESSAGE_BYTES`].
    pub message: String,
}

impl Fault {
    /// A fault with its sentence, cut.
    pub fn new(at: Timestamp, code: Code, message: &str) -> Self {
        let end = message.floor_char_boundary(MAX_FAULT_MESSAGE_BYTES);
        Self { at, code, message: message[..end].to_owned() }
    }

    /// `earlier` faults and this one, the last [`MAX_FAULTS`] of them.
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
