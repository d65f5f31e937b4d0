//! Trace contexts, for following a request through several systems.

use std::fmt;

use uuid::Uuid;

/// The trace context of a message, as the header `traceparent` of W3C's Trace Context 1 writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent(Uuid);

impl TraceParent {
    /// The trace context of all messages that follow from the request or upload events with this
    /// id. The trace id is the id in hexadecimal digits.
    pub(crate) fn of(id: Uuid) -> Self {
        Self(id)
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The parent id is the lower half of the UUID. The variant bits keep it from being zero.
        let (_, parent) = self.0.as_u64_pair();
        write!(f, "00-{}-{parent:016x}-01", self.0.simple())
    }
}

#[cfg(test)]
mod tests {
    use crate::{RequestId, TaskSource};

    #[test]
    fn a_trace_is_written_as_the_standard_writes_it() {
        let id: RequestId = "req_019aa5b64c807000800000000000002a".parse().unwrap();
        let trace = TaskSource::Request(id).trace().to_string();
        assert_eq!(trace, "00-019aa5b64c807000800000000000002a-800000000000002a-01");
    }
}
