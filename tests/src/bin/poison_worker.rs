//! A worker whose model ends the process at an image of one width, as a network that crashes would. The width is in
//! `POISON_WIDTH`.

use std::{env, path::PathBuf, process, process::ExitCode};

use clap::Parser;
use flota_worker::{Hooks, ModelCode, WorkerFlags, WorkerProcess};

#[derive(Parser)]
struct Cli {
    folder: PathBuf,
    #[command(flatten)]
    flags: WorkerFlags,
}

fn main() -> ExitCode {
    let Cli { folder, flags } = Cli::parse();
    let poison = env::var("POISON_WIDTH").unwrap_or_default();
    let hooks = Hooks::default().after(move |answer, _| {
        if answer.image.width.to_string() == poison {
            process::abort();
        }
        Ok(())
    });
    let code = ModelCode::new("mean-color", 1, hooks);
    flota_worker::run(WorkerProcess::new(None, vec![folder]).with_code([code].into()), &flags)
}
