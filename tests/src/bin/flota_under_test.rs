//! The command `flota` as the journeys run it: built together with them, so that no journey ever
//! runs a stale one.

use std::process::ExitCode;

fn main() -> ExitCode {
    flota::main()
}
