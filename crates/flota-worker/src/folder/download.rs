//! Fetches a large file over HTTP, going on where it broke off.

use std::{io::Write, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use reqwest::{
    Client, Response, StatusCode,
    header::{CONTENT_RANGE, HeaderMap, RANGE},
};
use url::Url;

use super::{
    FetchFileError,
    cache::{Part, at, shown},
    file::SizeLimit,
};

/// Tries in a row that bring no byte more.
const MAX_TRIES: u32 = 5;
/// The first wait after a try that brought nothing; each next one is longer by it.
const RETRY_BASE: Duration = Duration::from_millis(500);
/// Longest wait for a connection, and for the next bytes of an answer: a stalled server is left.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);

/// A file that an operator's manifest names by its address.
pub(super) struct Download {
    client: Client,
    url: Url,
    limit: SizeLimit,
}

/// How a try ended before the end of the file.
enum Broken {
    /// Time may heal it.
    Again(String),
    /// It will end so again.
    For(FetchFileError),
}

impl Download {
    pub(super) fn new(url: &Url, limit: SizeLimit) -> Result<Self, FetchFileError> {
        let client = Client::builder()
            .connect_timeout(STALL_TIMEOUT)
            .read_timeout(STALL_TIMEOUT)
            .build()
            .map_err(FetchFileError::Client)?;
        Ok(Self { client, url: url.clone(), limit })
    }

    /// Appends to `part` whatever it lacks.
    pub(super) async fn append_to(&self, part: &Part) -> Result<(), FetchFileError> {
        let url = shown(&self.url);
        tracing::info!(url, size_bytes = part.size_bytes()?, "fetching a file of the model");
        let bar = bar();
        let mut tries = 0;
        loop {
            let before = part.size_bytes()?;
            let reason = match self.try_once(part, &bar).await {
                Ok(()) => {
                    bar.finish_and_clear();
                    return Ok(());
                }
                Err(Broken::For(error)) => return Err(error),
                Err(Broken::Again(reason)) => reason,
            };
            let is_further = part.size_bytes()? > before;
            tries = if is_further { 1 } else { tries + 1 };
            if tries == MAX_TRIES {
                let (came_bytes, kept) = (part.size_bytes()?, part.kept.clone());
                return Err(FetchFileError::Unfinished { url, tries, reason, came_bytes, kept });
            }
            tracing::warn!(url, tries, reason, "fetching broke off, it goes on");
            if !is_further {
                tokio::time::sleep(RETRY_BASE * tries).await;
            }
        }
    }

    async fn try_once(&self, part: &Part, bar: &ProgressBar) -> Result<(), Broken> {
        let have_bytes = part.size_bytes()?;
        let mut request = self.client.get(self.url.clone());
        if have_bytes > 0 {
            request = request.header(RANGE, format!("bytes={have_bytes}-"));
        }
        let response = request.send().await.map_err(again)?;
        match response.status() {
            StatusCode::PARTIAL_CONTENT if starts_at(response.headers(), have_bytes) => {}
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {
                part.clear()?;
                return Err(Broken::Again("the server gave another part than asked".to_owned()));
            }
            // A server that knows no ranges begins again.
            status if status.is_success() => part.clear()?,
            status if is_passing(status) => return Err(Broken::Again(status.to_string())),
            status => {
                let refused = FetchFileError::Refused { url: shown(&self.url), status };
                return Err(Broken::For(refused));
            }
        }
        self.write(response, part, bar).await
    }

    async fn write(
        &self,
        mut response: Response,
        part: &Part,
        bar: &ProgressBar,
    ) -> Result<(), Broken> {
        let mut size_bytes = part.size_bytes()?;
        bar.set_position(size_bytes);
        if let Some(rest_bytes) = response.content_length() {
            bar.set_length(size_bytes + rest_bytes);
        }
        while let Some(chunk) = response.chunk().await.map_err(again)? {
            size_bytes += chunk.len() as u64;
            if size_bytes > self.limit.bytes {
                part.clear()?;
                let (url, limit_bytes) = (shown(&self.url), self.limit.bytes);
                return Err(Broken::For(FetchFileError::TooLarge { url, limit_bytes }));
            }
            (&part.file).write_all(&chunk).map_err(at(&part.path))?;
            bar.set_position(size_bytes);
        }
        Ok(())
    }
}

impl From<FetchFileError> for Broken {
    fn from(error: FetchFileError) -> Self {
        Self::For(error)
    }
}

fn again(error: reqwest::Error) -> Broken {
    Broken::Again(error.without_url().to_string())
}

/// Whether an answer of 206 begins where it was asked to (RFC 9110, section 14.4).
fn starts_at(headers: &HeaderMap, first_byte: u64) -> bool {
    let range = headers.get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
    range.is_some_and(|range| range.starts_with(&format!("bytes {first_byte}-")))
}

fn is_passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 500..)
}

/// A bar that is drawn where standard error is a terminal, and nowhere else.
fn bar() -> ProgressBar {
    let template = "{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
    let style = ProgressStyle::with_template(template).expect("the template is a constant");
    ProgressBar::no_length().with_style(style)
}
