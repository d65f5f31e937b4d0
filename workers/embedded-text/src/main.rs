//! The worker of the model in this folder.

use std::process::ExitCode;

fn main() -> ExitCode {
    flota_worker::main(env!("CARGO_MANIFEST_DIR"))
}
