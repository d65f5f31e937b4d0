//! Bodies as they arrive: within a limit, no slower than a client that means it, and as far as there is room.

use std::time::Duration;

use axum::{
    body::Body,
    extract::{FromRequest, FromRequestParts, Request},
    http::{HeaderMap, header},
};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Limited};
use tokio::time::{self, Instant};

use super::{
    problem::{Problem, ProblemCode},
    state::Api,
};
use crate::shares::{Peer, Share};

/// In each such time at least [`LEAST_BYTES`] must arrive, but for the last.
const WINDOW: Duration = Duration::from_secs(10);
/// 16 KiB a second, as the slowest of mobile networks have.
const LEAST_BYTES: u64 = 16 * 1024 * WINDOW.as_secs();
/// How long a body waits for room.
pub(crate) const ROOM_WAIT: Duration = Duration::from_secs(2);
/// Most that is read and thrown away of a body that was refused.
const MAX_DISCARDED_BYTES: usize = 64 << 20;
/// Longest time for that: a refused client is owed an answer, not a connection.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(10);

/// The body of a call, of which nothing was read yet.
pub(crate) struct Incoming {
    headers: HeaderMap,
    body: Body,
    room: Share,
}

/// A body that is being read.
pub(crate) struct Arriving {
    body: Body,
    limit: u64,
    arrived_bytes: u64,
    room: Share,
    window_end: Instant,
    /// Of the window.
    window_bytes: u64,
}

impl FromRequest<Api> for Incoming {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let Ok(peer) = Peer::from_request_parts(&mut parts, api).await;
        Ok(Self { headers: parts.headers, body, room: api.bodies.none(peer) })
    }
}

impl Incoming {
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Begins to read a body of at most `limit` bytes. A longer one is refused; what it still sends is thrown
    /// away, within bounds, for a client that is cut off while it writes never reads the refusal.
    pub(crate) async fn within(self, limit: u64) -> Result<Arriving, Problem> {
        let announced = self.headers.get(header::CONTENT_LENGTH);
        let announced = announced.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        if announced.is_some_and(|size_bytes| size_bytes > limit) {
            return Err(self.refuse(too_large(limit)).await);
        }
        let Self { body, room, .. } = self;
        let window_end = Instant::now() + WINDOW;
        Ok(Arriving { body, limit, arrived_bytes: 0, room, window_end, window_bytes: 0 })
    }

    /// Gives up the body, so that its client reads why.
    pub(crate) async fn refuse(self, problem: Problem) -> Problem {
        // A client that asked before it sends would take the reading for a yes.
        if !self.headers.contains_key(header::EXPECT) {
            discard(self.body).await;
        }
        problem
    }

    /// The whole body, and the room that it takes.
    pub(crate) async fn read(self, limit: u64) -> Result<(Bytes, Share), Problem> {
        let mut arriving = self.within(limit).await?;
        let mut bytes = BytesMut::new();
        while let Some(more) = arriving.next().await? {
            bytes.extend_from_slice(&more);
        }
        Ok((bytes.freeze(), arriving.room))
    }
}

impl Arriving {
    /// The next bytes; `None` at the end. What has arrived counts, not what was announced.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        while let Some(bytes) = self.frame().await? {
            let size_bytes = bytes.len() as u64;
            self.arrived_bytes += size_bytes;
            self.window_bytes += size_bytes;
            if self.arrived_bytes > self.limit {
                return Err(self.refuse(too_large(self.limit)).await);
            }
            if !self.make_room(size_bytes).await {
                return Err(self.refuse(no_room()).await);
            }
            if !bytes.is_empty() {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }

    /// Takes room for so many bytes more; whether there was some in time.
    pub(crate) async fn make_room(&mut self, size_bytes: u64) -> bool {
        let began = Instant::now();
        let has_room = self.room.grow(size_bytes, ROOM_WAIT).await;
        // The client did not cause this wait.
        self.window_end += began.elapsed();
        has_room
    }

    /// The bytes of the next frame, if the client sends as fast as it must.
    async fn frame(&mut self) -> Result<Option<Bytes>, Problem> {
        loop {
            // A body of which a byte is always there would keep the timer from being asked.
            if Instant::now() >= self.window_end {
                if self.window_bytes < LEAST_BYTES {
                    return Err(too_slow());
                }
                self.window_end = Instant::now() + WINDOW;
                self.window_bytes = 0;
            }
            match time::timeout_at(self.window_end, self.body.frame()).await {
                Err(_) => {}
                Ok(None) => return Ok(None),
                Ok(Some(Ok(frame))) => return Ok(Some(frame.into_data().unwrap_or_default())),
                Ok(Some(Err(error))) => {
                    return Err(Problem::new(ProblemCode::BodyIncomplete, error.to_string()));
                }
            }
        }
    }

    /// Gives up the body and its room, so that its client reads why.
    pub(crate) async fn refuse(&mut self, problem: Problem) -> Problem {
        self.room.release();
        discard(std::mem::take(&mut self.body)).await;
        problem
    }
}

/// What a client reads for whose body there is no room.
pub(crate) fn no_room() -> Problem {
    let detail = "too many bodies are arriving at once; try again in a moment";
    Problem::new(ProblemCode::Overloaded, detail)
}

fn too_large(limit: u64) -> Problem {
    let detail = format!("at most {limit} bytes are taken here");
    Problem::new(ProblemCode::BodyTooLarge, detail).with_limit(limit)
}

fn too_slow() -> Problem {
    let (least, seconds) = (LEAST_BYTES / 1024, WINDOW.as_secs());
    let detail = format!("at least {least} KiB of it must arrive every {seconds} s");
    Problem::new(ProblemCode::BodyTimeout, detail)
}

/// Reads what a refused client still sends, within bounds.
pub(crate) async fn discard(body: Body) {
    let rest = async {
        let mut frames = Limited::new(body, MAX_DISCARDED_BYTES);
        while let Some(Ok(_)) = frames.frame().await {}
    };
    // Whether it came to its end or to a bound, the answer is the same.
    time::timeout(DISCARD_TIMEOUT, rest).await.ok();
}
