//! The bounds that hold everywhere, each with its reason.

use std::time::Duration;

use jiff::SignedDuration;

/// Most tasks (images x models) in a request: its packs' records then stay few and small.
pub const MAX_REQUEST_TASKS: usize = 1_000;
/// Most tasks in a pack: an outcomes message and a pack's record stay within a few kilobytes.
pub const MAX_PACK_TASKS: usize = 20;
/// Largest message body in bytes: SQS bills by begun 64 KB, attributes included.
pub const MAX_MESSAGE_BYTES: usize = 60 * 1024;
/// Largest body of an API call in bytes, uploads of images aside: a thousand presigned URLs, of about a
/// kilobyte each, make one request.
pub const MAX_API_BODY_BYTES: usize = 1_280 * 1024;
/// Largest body of a callback in bytes that a setting may ask for: what receivers of events take at most.
pub const MAX_CALLBACK_BODY_BYTES: usize = 1024 * 1024;
/// Longest address of an image or a callback in bytes.
pub const MAX_ADDRESS_BYTES: usize = 2 * 1024;
/// Largest metadata of a request in bytes of JSON.
pub const MAX_METADATA_BYTES: usize = 4 * 1024;
/// Largest prediction in bytes of JSON: an embedding of 16,384 numbers of 16 bits, and one always fits a
/// message, with the outcome that names it.
pub const MAX_PREDICTION_BYTES: usize = 48 * 1024;
/// Longest `Idempotency-Key` in bytes.
pub const MAX_IDEMPOTENCY_KEY_BYTES: usize = 255;
/// Longest id that a client gives an image, in bytes.
pub const MAX_IMAGE_ID_BYTES: usize = 128;
/// Longest message of a failed outcome in characters: a pack's record holds twenty.
pub const MAX_FAILURE_MESSAGE_CHARS: usize = 300;
/// Entries in one call to a queue: what SQS takes.
pub const MAX_QUEUE_BATCH: usize = 10;
/// How often a message is received before its queue gives it up, where queues do. Attempts of a task
/// are counted by us and far fewer; but giving a message back costs a receive too, and a store that
/// is away for hours must not make dead letters. The most that SQS takes.
pub const MAX_RECEIVE_COUNT: u32 = 1_000;
/// Longest delay of a message: what SQS takes. Longer waits live in the store.
pub const MAX_MESSAGE_DELAY: Duration = Duration::from_secs(15 * 60);
/// Longest that a message lies on a queue: what SQS takes.
pub const MAX_MESSAGE_AGE: SignedDuration = SignedDuration::from_hours(14 * 24);
/// Longest long poll: what SQS takes.
pub const MAX_POLL_WAIT: Duration = Duration::from_secs(20);
/// Longest lease from its receipt: what SQS takes. A lease that claims to end later has expired,
/// for a clock went back.
pub const MAX_LEASE: Duration = Duration::from_secs(12 * 60 * 60);
/// Longest wait that a client may ask of `Prefer: wait` and `?wait=`.
pub const MAX_CLIENT_WAIT: Duration = Duration::from_secs(60);
