//! Request bodies, with limits on their size, their slowness and the memory of all of them.

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

/// In each window at least [`LEAST_BYTES`] must arrive, except in the last.
const WINDOW: Duration = Duration::from_secs(10);
/// 16 KiB a second: the slowest mobile networks reach it.
const LEAST_BYTES: u64 = 16 * 1024 * WINDOW.as_secs();
/// How long a body waits for free memory.
pub(crate) const ROOM_WAIT: Duration = Duration::from_secs(2);
/// Most bytes of a rejected body that are read and discarded.
const MAX_DISCARDED_BYTES: usize = 64 << 20;
/// Longest time for discarding. A rejected client should read the answer, but not hold the
/// connection.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(10);

/// The body of a call, unread.
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
    /// The bytes that have arrived in the current window.
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

    /// Starts to read a body of at most `limit` bytes. A longer one is rejected, and the rest of it
    /// is discarded within bounds: a client whose connection is cut while it writes never reads the
    /// answer.
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

    /// Discards the body, so that the client reads `problem`.
    pub(crate) async fn refuse(self, problem: Problem) -> Problem {
        // A client that sent `Expect` takes reading for consent, and would send the body.
        if !self.headers.contains_key(header::EXPECT) {
            discard(self.body).await;
        }
        problem
    }

    /// Reads the whole body. The share is its memory.
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
    /// The next bytes; `None` at the end. The limit applies to the bytes that arrive, not to
    /// `Content-Length`.
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

    /// Reserves memory for `size_bytes` more. False if none is free in time.
    pub(crate) async fn make_room(&mut self, size_bytes: u64) -> bool {
        let began = Instant::now();
        let has_room = self.room.grow(size_bytes, ROOM_WAIT).await;
        // This wait is not the client's fault.
        self.window_end += began.elapsed();
        has_room
    }

    /// The bytes of the next frame. Fails if the client sends too slowly.
    async fn frame(&mut self) -> Result<Option<Bytes>, Problem> {
        loop {
            // If a byte is always available, the timer below would never be polled.
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

    /// Discards the body and frees its memory, so that the client reads `problem`.
    pub(crate) async fn refuse(&mut self, problem: Problem) -> Problem {
        self.room.release();
        discard(std::mem::take(&mut self.body)).await;
        problem
    }
}

/// The problem for a body for which no memory is free.
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

/// Reads and discards the rest of a rejected body, within bounds.
pub(crate) async fn discard(body: Body) {
    let rest = async {
        let mut frames = Limited::new(body, MAX_DISCARDED_BYTES);
        while let Some(Ok(_)) = frames.frame().await {}
    };
    // At the end of the body or at a bound, the answer is the same.
    time::timeout(DISCARD_TIMEOUT, rest).await.ok();
}
