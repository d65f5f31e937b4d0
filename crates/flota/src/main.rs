//! The command `flota`.

use std::process::ExitCode;

fn main() -> ExitCode {
    flota::main()
}
