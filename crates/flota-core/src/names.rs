//! Names, checked where they enter.

use std::{fmt, marker::PhantomData, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Most characters of a model's, worker's or client's name. A queue's name, which contains one, has
/// at most 80.
pub const MAX_NAME_CHARS: usize = 40;

/// Text that does not match `[a-z0-9-]{1,40}`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is not a name: use 1 to {MAX_NAME_CHARS} of a-z, 0-9 and -")]
pub struct NameError(pub String);

/// A checked name of one `Kind` of thing. It matches `[a-z0-9-]{1,40}`.
#[derive(Serialize, Deserialize)]
#[serde(try_from = "String", into = "String", bound = "")]
pub struct Name<Kind> {
    text: String,
    kind: PhantomData<fn() -> Kind>,
}

/// The name of a model.
pub type ModelName = Name<ModelKind>;
/// The name of a worker, which owns a queue per priority. A worker that serves one model has the
/// model's name.
pub type WorkerName = Name<WorkerKind>;
/// The name of a client. It is `default` until API keys exist.
pub type ClientName = Name<ClientKind>;

/// The kind of [`ModelName`].
pub enum ModelKind {}
/// The kind of [`WorkerName`].
pub enum WorkerKind {}
/// The kind of [`ClientName`].
pub enum ClientKind {}

impl<Kind> Name<Kind> {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn unchecked(text: String) -> Self {
        Self { text, kind: PhantomData }
    }
}

impl From<&ModelName> for WorkerName {
    /// The worker that serves only this model.
    fn from(model: &ModelName) -> Self {
        Self::unchecked(model.text.clone())
    }
}

impl Default for ClientName {
    fn default() -> Self {
        Self::unchecked("default".to_owned())
    }
}

impl<Kind> FromStr for Name<Kind> {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if text.is_empty() || text.len() > MAX_NAME_CHARS || !text.chars().all(is_allowed) {
            return Err(NameError(text.chars().take(2 * MAX_NAME_CHARS).collect()));
        }
        Ok(Self::unchecked(text.to_owned()))
    }
}

impl<Kind> TryFrom<String> for Name<Kind> {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl<Kind> From<Name<Kind>> for String {
    fn from(name: Name<Kind>) -> Self {
        name.text
    }
}

impl<Kind> AsRef<str> for Name<Kind> {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

impl<Kind> fmt::Display for Name<Kind> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<Kind> fmt::Debug for Name<Kind> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<Kind> Clone for Name<Kind> {
    fn clone(&self) -> Self {
        Self::unchecked(self.text.clone())
    }
}

impl<Kind> PartialEq for Name<Kind> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl<Kind> Eq for Name<Kind> {}

impl<Kind> PartialOrd for Name<Kind> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<Kind> Ord for Name<Kind> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.text.cmp(&other.text)
    }
}

impl<Kind> std::hash::Hash for Name<Kind> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

/// The version of a model, as its manifest writes it. Different contents never share a version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ModelVersion(pub String);

impl ModelVersion {
    /// Whether this is a development version, which ends in `-dev`. Its predictions are never
    /// reused.
    pub fn is_dev(&self) -> bool {
        self.0.ends_with("-dev")
    }
}

impl fmt::Display for ModelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The urgency of a request. Each worker has a queue per priority.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Default,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumIter,
    strum::EnumString,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Priority {
    /// The only priority so far.
    #[default]
    Normal,
}

impl Priority {
    /// The share of a worker's slots for tasks of this priority while tasks of others wait,
    /// relative to the other weights.
    pub fn weight(self) -> u32 {
        match self {
            Self::Normal => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_outside_the_alphabet_are_refused() {
        for bad in ["", "A", "a_b", "ü", "a b", &"x".repeat(41)] {
            assert!(bad.parse::<ModelName>().is_err(), "{bad:?} was taken");
        }
        assert!(serde_json::from_str::<ClientName>("\"a/b\"").is_err());
        assert_eq!("image-quality".parse::<ModelName>().unwrap().as_str(), "image-quality");
    }
}
