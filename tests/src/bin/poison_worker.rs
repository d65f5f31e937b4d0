//! A worker that ends its own process when it is about to look at one image, as a decoder or a
//! model that crashes would. The image's SHA-256 is in `POISON_SHA256`.

use std::{env, path::PathBuf, process, process::ExitCode};

use clap::Parser;
use flota_core::Sha256;
use flota_worker::{WorkerFlags, WorkerProcess};

#[derive(Parser)]
struct Cli {
    folder: PathBuf,
    #[command(flatten)]
    flags: WorkerFlags,
}

fn main() -> ExitCode {
    let Cli { folder, flags } = Cli::parse();
    flota_worker::run(WorkerProcess::new(None, vec![folder]).before_infer(crash_on_poison), &flags)
}

fn crash_on_poison(image: &Sha256) {
    if env::var("POISON_SHA256").is_ok_and(|poison| poison == image.to_string()) {
        process::abort();
    }
}
