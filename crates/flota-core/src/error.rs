//! What goes wrong behind a port.

use std::{error::Error as StdError, sync::Arc};

use thiserror::Error;

/// A port that could not do what it was asked. The consume loop alone decides about retrying.
#[derive(Debug, Clone, Error)]
pub enum PortError {
    /// Time may heal it: busy, throttled, a lost connection.
    #[error("{what}")]
    Transient {
        /// What was being done, lower case.
        what: String,
        /// The cause.
        source: Option<Arc<dyn StdError + Send + Sync>>,
    },
    /// There is no room to keep it, and will be none until somebody makes some.
    #[error("{what}")]
    Full {
        /// What was being done, lower case.
        what: String,
        /// The cause.
        source: Option<Arc<dyn StdError + Send + Sync>>,
    },
    /// The store takes no record as large as this one.
    #[error("{what}")]
    TooLarge {
        /// What was being done and how large it is, lower case.
        what: String,
    },
    /// It will fail again: corrupt, refused.
    #[error("{what}")]
    Permanent {
        /// What was being done, lower case.
        what: String,
        /// The cause.
        source: Option<Arc<dyn StdError + Send + Sync>>,
    },
}

impl PortError {
    /// A fault that time may heal, with its cause.
    pub fn transient(
        what: impl Into<String>,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self::Transient { what: what.into(), source: Some(source.into().into()) }
    }

    /// A fault that stays, with its cause.
    pub fn permanent(
        what: impl Into<String>,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self::Permanent { what: what.into(), source: Some(source.into().into()) }
    }

    /// There is no room, with the cause.
    pub fn full(
        what: impl Into<String>,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self::Full { what: what.into(), source: Some(source.into().into()) }
    }

    /// Whether time may heal it.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Transient { .. })
    }
}

/// What a port answers.
pub type PortResult<T> = Result<T, PortError>;

/// An error and what is behind it, on one line, for logs and operators. What was said is not said
/// again.
pub fn with_causes(error: &dyn StdError) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !said.contains(&next) {
            said = format!("{said}: {next}");
        }
        cause = error.source();
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_with_all_that_is_behind_it_and_nothing_twice() {
        let inner = PortError::permanent("asking the service", "no route to the host");
        let middle = PortError::transient("reading: asking the service", inner);
        let outer = PortError::permanent("showing a request", middle);
        let said = "showing a request: reading: asking the service: no route to the host";
        assert_eq!(with_causes(&outer), said);
    }
}
