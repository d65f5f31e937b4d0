//! The domain of Flota: what is asked, how it ends, and the ports to the outside world.
//!
//! No I/O, no threads, no system clock and no unseeded randomness live here.

mod backoff;
mod callback;
mod code;
mod dead_letter;
mod error;
mod ids;
mod manifest;
mod names;
mod outcome;
mod output;
mod prediction;
mod request;
mod round;
mod sha;
mod wire;

pub mod consume;
pub mod limits;
pub mod ports;

pub use backoff::backoff;
pub use callback::{Callback, CallbackAttempt, CallbackState};
pub use code::Code;
pub use dead_letter::{
    DeadLetter, DeadLetterState, Fault, MAX_FAULT_MESSAGE_BYTES, MAX_FAULTS, MAX_KEPT_BODY_BYTES,
    Reason, Subject,
};
pub use error::{PortError, PortResult};
pub use ids::{CallbackId, IdError, RequestId, TaskId};
pub use manifest::*;
pub use names::{
    ClientName, Lane, ModelName, ModelVersion, Name, NameError, QueueName, WorkerName,
};
pub use outcome::{Ending, Outcome, TaskOutcome, Timings};
pub use output::*;
pub use prediction::{ImageFacts, Prediction, PredictionKey};
pub use request::{CallbackEvent, CallbackTarget, ImageRef, Pack, Request, Route, Task};
pub use round::{Counts, PackKey, PackRecord, Round, RoundKey, Status};
pub use sha::{Sha256, Sha256Error};
pub use wire::{OutcomesMessage, TaskMessage, TasksMessage, WireError};
