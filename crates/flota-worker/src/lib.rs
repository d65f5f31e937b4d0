//! Turns a model folder into a running worker process: poll, fetch, decode, batch, infer, report.

mod ask;
mod calibration;
mod command;
mod engines;
mod folder;
mod health;
mod life;
mod load;
mod machine;
mod memory;
mod metrics;
mod pipeline;
mod process;

pub use ask::{HealthArgs, health};
pub use command::{WorkerFlags, main, run};
pub use engines::{Engines, install, install_dir};
pub use folder::{FetchFileError, FolderError, MANIFEST_FILE, ModelFolder, look, predict};
pub use pipeline::BeforeInfer;
pub use process::WorkerProcess;
