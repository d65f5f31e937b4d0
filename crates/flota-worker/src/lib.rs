//! Turns a model folder into a running worker process: poll, fetch, decode, batch, infer, report.

mod ask;
mod autotune;
mod command;
mod engines;
mod executor;
mod exit;
mod folder;
mod golden;
mod health;
mod heartbeat;
mod load;
mod machine;
mod memory;
mod metrics;
mod pipeline;
mod process;
mod ready;
mod registering;
mod stages;
mod throughput;
mod watchdog;
mod watched;

pub use ask::{HealthArgs, health};
pub use command::{WorkerFlags, main, main_with_code, run};
pub use engines::{Engines, install, install_dir};
pub use exit::{EXIT_CONFIG, EXIT_NOT_NOW, exit_code};
pub use flota_core::{ImageFacts, LabelScore, Output};
pub use flota_engine::{
    Activation, Cause, DecodedImage, End, Hooks, Model, ModelCode, ModelCodes, NamedTensors,
    NetworkAnswer, ProbeAgain, Session, Structure, Tensor, TensorData, disable_telemetry,
};
pub use folder::{FetchFileError, FileError, FolderError, MANIFEST_FILE, ModelFolder, look};
pub use golden::{Compared, EXAMPLES_FILE, Example, Examples, GoldenMismatch};
pub use process::WorkerProcess;
pub use ready::{ReadyModel, ReadyReport};
pub use watched::{WatchedSession, predict};
