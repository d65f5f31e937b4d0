//! Bounds that hold everywhere, each with its reason.

use std::time::Duration;

use jiff::SignedDuration;

/// Most tasks (images x models) in a request. It keeps the pack records of a request few and small.
pub const MAX_REQUEST_TASKS: usize = 1_000;
/// Most tasks in a pack. It keeps an outcomes message and a pack's record within a few kilobytes.
pub const MAX_PACK_TASKS: usize = 20;
/// Largest message body in bytes. SQS bills by started 64 KB, attributes included.
pub const MAX_MESSAGE_BYTES: usize = 60 * 1024;
/// Largest JSON body of an API call in bytes: a request with a thousand presigned URLs of about a
/// kilobyte each. Image uploads have a limit of their own.
pub const MAX_API_BODY_BYTES: usize = 1_280 * 1024;
/// Largest callback body in bytes that a setting may allow. Most receivers of webhooks accept no
/// more.
pub const MAX_CALLBACK_BODY_BYTES: usize = 1024 * 1024;
/// Longest URL of an image or a callback, in bytes.
pub const MAX_ADDRESS_BYTES: usize = 2 * 1024;
/// Largest metadata of a request in bytes of JSON.
pub const MAX_METADATA_BYTES: usize = 4 * 1024;
/// Largest prediction in bytes of JSON: room for an embedding of 16,384 numbers of 16 bits. A
/// prediction and its outcome always fit one message.
pub const MAX_PREDICTION_BYTES: usize = 48 * 1024;
/// Longest `Idempotency-Key` in bytes.
pub const MAX_IDEMPOTENCY_KEY_BYTES: usize = 255;
/// Longest id that a client gives an image, in bytes.
pub const MAX_IMAGE_ID_BYTES: usize = 128;
/// Longest message of a failed outcome, in characters. A pack's record holds twenty.
pub const MAX_FAILURE_MESSAGE_CHARS: usize = 300;
/// Most entries in one call to a queue: the limit of SQS.
pub const MAX_QUEUE_BATCH: usize = 10;
/// How often a message may be received before its queue moves it to the dead-letter queue: the
/// maximum of SQS. Flota counts attempts itself, and allows far fewer. But releasing a message also
/// costs a receive, and a store that is down for hours must not create dead letters.
pub const MAX_RECEIVE_COUNT: u32 = 1_000;
/// Longest delay of a message: the limit of SQS. Longer waits are kept in the store.
pub const MAX_MESSAGE_DELAY: Duration = Duration::from_secs(15 * 60);
/// Longest time that a message stays on a queue: the limit of SQS.
pub const MAX_MESSAGE_AGE: SignedDuration = SignedDuration::from_hours(14 * 24);
/// Longest long poll: the limit of SQS.
pub const MAX_POLL_WAIT: Duration = Duration::from_secs(20);
/// Longest lease from its receipt: the limit of SQS. A lease that seems to end later has expired:
/// the clock went back.
pub const MAX_LEASE: Duration = Duration::from_secs(12 * 60 * 60);
/// Longest wait that a client may ask for with `Prefer: wait` or `?wait=`.
pub const MAX_CLIENT_WAIT: Duration = Duration::from_secs(60);
