//! The domain of Flota: requests, tasks, outcomes, and the ports to the outside world.
//!
//! This crate does no I/O, starts no threads, and uses no system clock and no unseeded randomness.

mod backoff;
mod batch;
mod callback;
mod code;
mod dead_letter;
mod embedding;
mod error;
mod fault;
mod fetch_retries;
mod ids;
mod manifest;
mod metadata;
mod model_directory;
mod names;
mod object;
mod outcome;
mod output;
mod prediction;
mod queue_names;
mod replay;
mod request;
mod round;
mod selection;
mod sha;
mod subject;
mod trace;
mod upload;
mod wire;

pub mod consume;
pub mod hosts;
pub mod limits;
pub mod ports;

pub use backoff::backoff;
pub use batch::{BatchLimits, Batcher, Batches};
pub use callback::{Callback, CallbackAttempt, CallbackState};
pub use code::Code;
pub use dead_letter::{DeadLetter, DeadLetterState, MAX_BY_CHARS, MAX_KEPT_BODY_BYTES, Reason};
pub use embedding::{BeyondF16, Embedding, MAX_EMBEDDING_LENGTH, VectorEncoding};
pub use error::{PortError, PortResult, with_causes};
pub use fault::{Fault, MAX_FAULT_MESSAGE_BYTES, MAX_FAULTS};
pub use fetch_retries::FetchRetries;
pub use ids::{CallbackId, EventsId, IdError, ReplayId, RequestId, TaskId, TaskSource};
pub use manifest::*;
pub use metadata::{Metadata, deserialize_submitted_metadata};
pub use model_directory::{KnownModels, ModelDirectory};
pub use names::{ClientName, ModelName, ModelVersion, Name, NameError, Priority, WorkerName};
pub use object::{Alias, OBJECT_PREFIX, ObjectAddress, ObjectAddressError, ObjectIdentity, Pin};
pub use outcome::{Ending, Outcome, TaskOutcome, Timings};
pub use output::*;
pub use prediction::{ImageFacts, ImageFlag, Prediction, PredictionKey};
pub use queue_names::{QueueName, QueueNames};
pub use replay::{
    Evaluation, InFlight, MAX_IN_FLIGHT, Replay, ReplayPlan, ReplayProgress, ReplayState,
    StopReason,
};
pub use request::{CallbackEvent, CallbackTarget, ImageRef, Pack, Request, Route, Task};
pub use round::{Counts, PackKey, PackRecord, Resend, Round, RoundKey, Status};
pub use selection::{DeadLetterSelection, MAX_SEARCH_CHARS};
pub use sha::{Sha256, Sha256Error, Sha256Hasher};
pub use subject::Subject;
pub use trace::TraceParent;
pub use upload::{UploadError, uploads};
pub use wire::{OutcomesMessage, TaskMessage, TasksMessage, WireError};
