//! The command line of a worker.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use flota_engine::{ModelCode, ModelCodes, disable_telemetry};
use flota_platform::{
    Platform, ignore_file_size_signal, settings::Settings, shutdown::Shutdown, telemetry,
};

use crate::{HealthArgs, WorkerProcess, exit_code, health, memory::share_one_heap};

/// What every worker takes on its command line.
#[derive(Debug, Clone, Args)]
pub struct WorkerFlags {
    /// Settings file instead of ./flota.toml
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Override a setting, such as worker.attempts=3; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting)]
    pub set: Vec<(String, String)>,
    /// Stop when standard input closes, and print a line when ready; `flota up` uses this for its children
    #[arg(long)]
    pub stop_on_stdin_close: bool,
}

/// Worker of Flota for one model
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    action: Option<Action>,
    /// Model folder, instead of the one from which this worker was built
    #[arg(long, value_name = "DIR")]
    model_dir: Option<PathBuf>,
    #[command(flatten)]
    flags: WorkerFlags,
}

/// What a worker does beside serving.
#[derive(Debug, Subcommand)]
enum Action {
    /// Check whether the worker in this container is ready
    Health(HealthArgs),
}

/// All of the `main` of a worker that serves the model in `folder`, which is data alone.
pub fn main(folder: &str) -> ExitCode {
    serve(folder, ModelCodes::default())
}

/// All of the `main` of a worker that serves the model in `folder`, with `code` before and after its network.
pub fn main_with_code(folder: &str, code: ModelCode) -> ExitCode {
    serve(folder, [code].into())
}

fn serve(folder: &str, codes: ModelCodes) -> ExitCode {
    let Cli { action, model_dir, flags } = Cli::parse();
    if let Some(Action::Health(args)) = action {
        return health(&args);
    }
    let folder = model_dir.unwrap_or_else(|| PathBuf::from(folder));
    run(WorkerProcess::new(None, vec![folder]).with_code(codes), &flags)
}

/// Runs `worker` to its end, with settings, logs and signals as `flags` and the environment have
/// it. What keeps it from running is written to standard error.
pub fn run(worker: WorkerProcess, flags: &WorkerFlags) -> ExitCode {
    match try_run(worker, flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            exit_code(&error).into()
        }
    }
}

fn try_run(worker: WorkerProcess, flags: &WorkerFlags) -> Result<()> {
    share_one_heap();
    ignore_file_size_signal();
    disable_telemetry();
    let settings = Settings::load(flags.config.as_deref(), &flags.set)?;
    telemetry::init(&settings.log)?;
    let runtime = tokio::runtime::Runtime::new().context("starting the runtime")?;
    let ended = runtime.block_on(async {
        let mut shutdown = Shutdown::on_signals().context("listening for signals")?;
        if flags.stop_on_stdin_close {
            shutdown = shutdown.and_on_stdin_close().context("watching standard input")?;
        }
        let platform = Platform::open(&settings).await?;
        let worker = if flags.stop_on_stdin_close { worker.reporting_ready() } else { worker };
        worker.run(settings, platform, shutdown.token()).await
    });
    // A decoder that hangs on its thread must not keep the process.
    runtime.shutdown_background();
    ended
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("it is not of the form KEY=VALUE")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}
