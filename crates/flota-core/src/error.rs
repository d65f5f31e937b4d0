//! Errors of ports.

use std::{error::Error as StdError, sync::Arc};

use thiserror::Error;

/// The error of a port. Only the consume loop decides about retries.
#[derive(Debug, Clone, Error)]
pub enum PortError {
    /// The fault may pass: busy, throttled, connection lost.
    #[error("{what}")]
    Transient {
        /// The operation, in lower case.
        what: String,
        /// The cause.
        source: Option<Arc<dyn StdError + Send + Sync>>,
    },
    /// The store is full, and stays full until somebody frees space.
    #[error("{what}")]
    Full {
        /// The operation, in lower case.
        what: String,
        /// The cause.
        source: Option<Arc<dyn StdError + Send + Sync>>,
    },
    /// The record is too large for the store.
    #[error("{what}")]
    TooLarge {
        /// The operation and the size of the record, in lower case.
        what: String,
    },
    /// The operation would fail again: corrupt data, access denied.
    #[error("{what}")]
    Permanent {
        /// The operation, in lower case.
        what: String,
        /// The cause.
        source: Option<Arc<dyn StdError + Send + Sync>>,
    },
}

impl PortError {
    /// A transient fault with its cause.
    pub fn transient(
        what: impl Into<String>,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self::Transient { what: what.into(), source: Some(source.into().into()) }
    }

    /// A permanent fault with its cause.
    pub fn permanent(
        what: impl Into<String>,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self::Permanent { what: what.into(), source: Some(source.into().into()) }
    }

    /// A full store, with the cause.
    pub fn full(
        what: impl Into<String>,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self::Full { what: what.into(), source: Some(source.into().into()) }
    }

    /// Whether the fault may pass.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Transient { .. })
    }
}

/// The result of a call to a port.
pub type PortResult<T> = Result<T, PortError>;

/// An error and its causes on one line, for logs and operators. A cause whose text the line
/// contains already is left out.
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
