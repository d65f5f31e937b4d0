use std::fmt;

use serde::Serialize;

/// Something that is wrong with a model, or looks as if it were, with its numbers and a cure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Finding {
    pub level: Level,
    /// Stable, for programs.
    pub code: &'static str,
    pub message: String,
}

/// How sure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Level {
    /// The model's answers cannot be right.
    Error,
    /// They may be.
    Warning,
}

impl Finding {
    pub fn error(code: &'static str, message: String) -> Self {
        Self { level: Level::Error, code, message }
    }

    pub fn warning(code: &'static str, message: String) -> Self {
        Self { level: Level::Warning, code, message }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Error => "error",
            Level::Warning => "warning",
        };
        write!(f, "{level}[{}]: {}", self.code, self.message)
    }
}
