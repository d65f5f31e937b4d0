//! Words from a list that may grow.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A word that `T` knows, or one that a later version of the server has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Word<T> {
    /// One of this version.
    Known(T),
    /// Another one, as it was written.
    Other(String),
}

impl<T> Word<T> {
    /// The word, if this version knows it.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(word) => Some(word),
            Self::Other(_) => None,
        }
    }
}

impl<T> From<T> for Word<T> {
    fn from(word: T) -> Self {
        Self::Known(word)
    }
}

impl<T: PartialEq> PartialEq<T> for Word<T> {
    fn eq(&self, other: &T) -> bool {
        self.known() == Some(other)
    }
}

impl<T: fmt::Display> fmt::Display for Word<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(word) => word.fmt(f),
            Self::Other(word) => word.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use flota_core::Code;

    use super::*;

    #[test]
    fn a_word_of_a_later_version_is_read_and_written_as_it_was() {
        for (text, known) in
            [(r#""FETCH_DENIED""#, Some(&Code::FetchDenied)), (r#""DECODE_TIRED""#, None)]
        {
            let word: Word<Code> = serde_json::from_str(text).unwrap();
            assert_eq!(word.known(), known);
            assert_eq!(serde_json::to_string(&word).unwrap(), text);
            assert_eq!(format!("\"{word}\""), text);
        }
        let word = Word::from(Code::FetchDenied);
        assert!(word == Code::FetchDenied);
    }
}
