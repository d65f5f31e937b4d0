use flota_core::{PortError, with_causes};
use serde::Serialize;

/// Something that was looked at, and how it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub about: String,
    /// How it is.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// How something is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// As it should be.
    Good {
        /// What was seen.
        seen: String,
    },
    /// It works, with a drawback that somebody may have chosen.
    Doubtful {
        /// The drawback.
        problem: String,
        /// What to change, unless it was chosen.
        remedy: String,
    },
    /// It does not work, or will not.
    Wrong {
        /// What is wrong.
        problem: String,
        /// What to change.
        remedy: String,
    },
}

impl Check {
    /// `about` is as it should be.
    pub(crate) fn good(about: impl Into<String>, seen: impl Into<String>) -> Self {
        Self { about: about.into(), verdict: Verdict::Good { seen: seen.into() } }
    }

    /// `about` works, with a drawback.
    pub(crate) fn doubtful(
        about: impl Into<String>,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let verdict = Verdict::Doubtful { problem: problem.into(), remedy: remedy.into() };
        Self { about: about.into(), verdict }
    }

    /// `about` does not work.
    pub(crate) fn wrong(
        about: impl Into<String>,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let verdict = Verdict::Wrong { problem: problem.into(), remedy: remedy.into() };
        Self { about: about.into(), verdict }
    }

    /// `about` could not be looked at.
    pub(crate) fn unseen(
        about: impl Into<String>,
        error: &PortError,
        remedy: impl Into<String>,
    ) -> Self {
        Self::wrong(about, with_causes(error), remedy)
    }

    /// Whether somebody must act.
    pub fn is_wrong(&self) -> bool {
        matches!(self.verdict, Verdict::Wrong { .. })
    }
}
