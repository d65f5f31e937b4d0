//! Turns a model folder into a running worker process: poll, fetch, decode, batch, infer, report.

mod ask;
mod calibration;
mod command;
mod engines;
mod exit;
mod folder;
mod golden;
mod health;
mod life;
mod load;
mod machine;
mod memory;
mod metrics;
mod pipeline;
mod process;
mod ready;
mod registering;
mod throughput;

pub use ask::{HealthArgs, health};
pub use command::{WorkerFlags, main, run};
pub use engines::{Engines, install, install_dir};
pub use exit::{EXIT_CONFIG, EXIT_NOT_NOW, exit_code};
pub use folder::{
    FetchFileError, FileError, FolderError, MANIFEST_FILE, ModelFolder, look, predict,
};
pub use golden::{Compared, EXAMPLES_FILE, Example, Examples, GoldenMismatch};
pub use pipeline::BeforeInfer;
pub use process::WorkerProcess;
pub use ready::{ReadyModel, ReadyReport};
