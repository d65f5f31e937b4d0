//! The worker of the model in this folder.

use std::process::ExitCode;

fn main() -> ExitCode {
    flota_worker::main_with_code(env!("CARGO_MANIFEST_DIR"), flota_image_quality::code())
}
