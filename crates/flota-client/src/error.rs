//! How a call fails.

use std::{error::Error as StdError, fmt, io, path::PathBuf, time::Duration};

use flota_api::{FieldError, ProblemCode, Word};
use reqwest::{StatusCode, Url, header::HeaderMap};
use serde::Deserialize;

/// How a call failed.
#[derive(Debug)]
pub enum Error {
    /// There is no server, or it did not answer. The source is the innermost cause alone: those around it, such as
    /// "client error (Connect)", say nothing to people.
    Unreachable {
        /// Where it was looked for.
        base: Url,
        /// How the call failed.
        source: reqwest::Error,
    },
    /// The server refused the call.
    Refused(Refusal),
    /// What answered is no Flota server, or one of another version.
    UnexpectedAnswer {
        /// Where it is.
        base: Url,
        /// What is wrong with its answer.
        source: serde_json::Error,
    },
    /// A file to upload cannot be read.
    File {
        /// Where it is.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// The server's problem (RFC 9457), as far as it sent one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: StatusCode,
    /// After which time the server takes the call again.
    pub retry_after: Option<Duration>,
    /// What it says, with its code.
    pub sentence: String,
    /// The stable code.
    pub code: Option<Word<ProblemCode>>,
    /// The fields that it names.
    pub errors: Vec<FieldError>,
}

/// What of a problem is read: a proxy's may have less than ours.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Said {
    title: Option<String>,
    detail: Option<String>,
    code: Option<Word<ProblemCode>>,
    errors: Vec<FieldError>,
}

impl Error {
    /// Whether there was no connection at all.
    pub fn is_connect(&self) -> bool {
        matches!(self, Self::Unreachable { source, .. } if source.is_connect())
    }

    /// What the server says, where it refused the call.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// Whether the cause passes, and the wait that the server asks for: the connection was lost, or the server has
    /// no room or no store at present.
    pub fn passing(&self) -> Option<Option<Duration>> {
        match self {
            Self::Refused(refusal) => {
                let is_passing =
                    matches!(refusal.status.as_u16(), 408 | 425 | 429 | 502 | 503 | 504);
                is_passing.then_some(refusal.retry_after)
            }
            Self::Unreachable { source, .. } => {
                (!source.is_builder() && !source.is_decode()).then_some(None)
            }
            Self::UnexpectedAnswer { .. } | Self::File { .. } => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without a name and a password, which logs must not have.
        let short = |base: &Url| {
            let mut base = base.clone();
            let _ = (base.set_username(""), base.set_password(None));
            base.as_str().trim_end_matches('/').to_owned()
        };
        match self {
            Self::Unreachable { base, .. } if self.is_connect() => {
                write!(f, "no fleet at {}", short(base))
            }
            Self::Unreachable { base, .. } => write!(f, "{} did not answer", short(base)),
            Self::Refused(refusal) => refusal.fmt(f),
            Self::UnexpectedAnswer { base, .. } => {
                write!(f, "the answer of {} is not that of a fleet", short(base))
            }
            Self::File { path, .. } => write!(f, "cannot read {}", path.display()),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Refused(_) => None,
            Self::UnexpectedAnswer { source, .. } => Some(source),
            Self::File { source, .. } => Some(source),
            Self::Unreachable { source, .. } => {
                let mut cause: &(dyn StdError + 'static) = source;
                while let Some(inner) = cause.source() {
                    cause = inner;
                }
                Some(cause)
            }
        }
    }
}

impl Refusal {
    /// Reads a refusal: `body` is a problem (RFC 9457), or anything.
    pub(crate) fn read(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let Said { title, detail, code, errors } = serde_json::from_slice(body).unwrap_or_default();
        let sentence = match (detail.or(title), &code) {
            (Some(sentence), Some(code)) => format!("{sentence} ({code})"),
            (Some(sentence), None) => format!("{sentence} (status {status})"),
            (None, _) => format!("the server answered with status {status}"),
        };
        Self { status, retry_after: retry_after(headers), sentence, code, errors }
    }

    /// Whether it is for what the call brought, such as an image that is too large, and says nothing of
    /// other calls.
    pub fn is_of_content(&self) -> bool {
        matches!(self.status.as_u16(), 400 | 413 | 415 | 422)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

/// What an answer says of when to call again: seconds, or a date (RFC 9110, section 10.2.3).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(reqwest::header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(std::time::SystemTime::now()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_no_password() {
        let base = "https://name:secret@fleet.example/".parse().unwrap();
        let source = serde_json::from_str::<u8>("no number").unwrap_err();
        let said = Error::UnexpectedAnswer { base, source }.to_string();
        assert_eq!(said, "the answer of https://fleet.example is not that of a fleet");
    }

    #[test]
    fn a_wait_is_seconds_or_a_date() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(reqwest::header::RETRY_AFTER, text.parse().unwrap());
            retry_after(&headers)
        };
        assert_eq!(of("120"), Some(Duration::from_secs(120)));
        assert_eq!(of("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        assert_eq!(of("soon"), None);
    }

    #[test]
    fn a_refusal_is_read_as_far_as_it_is_a_problem() {
        let read =
            |body: &str| Refusal::read(StatusCode::BAD_GATEWAY, &HeaderMap::new(), body.as_bytes());
        let ours = read(r#"{"title":"t","detail":"d","code":"STORAGE_FULL","errors":[]}"#);
        assert_eq!(ours.sentence, "d (STORAGE_FULL)");
        assert_eq!(ours.code, Some(ProblemCode::StorageFull.into()));
        assert_eq!(read(r#"{"title":"t"}"#).sentence, "t (status 502 Bad Gateway)");
        assert_eq!(read("<html>").sentence, "the server answered with status 502 Bad Gateway");
    }
}
