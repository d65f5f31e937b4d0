use flota_core::{PortError, with_causes};
use serde::Serialize;

/// One check of a set-up and its verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was checked.
    pub about: String,
    /// The verdict.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// The verdict of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// As it should be.
    Ok {
        /// What was found.
        found: String,
    },
    /// It works, with a drawback that somebody may have chosen.
    Warning {
        /// The drawback.
        problem: String,
        /// What to change, unless it was chosen.
        remedy: String,
    },
    /// It does not work, or will not.
    Error {
        /// What is wrong.
        problem: String,
        /// What to change.
        remedy: String,
    },
}

impl Check {
    /// `about` is as it should be.
    pub(crate) fn ok(about: impl Into<String>, found: impl Into<String>) -> Self {
        Self { about: about.into(), verdict: Verdict::Ok { found: found.into() } }
    }

    /// `about` works, with a drawback.
    pub(crate) fn warning(
        about: impl Into<String>,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let verdict = Verdict::Warning { problem: problem.into(), remedy: remedy.into() };
        Self { about: about.into(), verdict }
    }

    /// `about` does not work.
    pub(crate) fn error(
        about: impl Into<String>,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let verdict = Verdict::Error { problem: problem.into(), remedy: remedy.into() };
        Self { about: about.into(), verdict }
    }

    /// `about` could not be checked.
    pub(crate) fn unreadable(
        about: impl Into<String>,
        error: &PortError,
        remedy: impl Into<String>,
    ) -> Self {
        Self::error(about, with_causes(error), remedy)
    }

    /// Whether somebody must act, which `doctor` tells by its exit code.
    pub fn is_error(&self) -> bool {
        matches!(self.verdict, Verdict::Error { .. })
    }
}
