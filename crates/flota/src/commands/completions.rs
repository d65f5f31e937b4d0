use std::{io, process::ExitCode};

use clap::CommandFactory;

use crate::{
    cli::{Cli, CompletionsArgs},
    print::OutputError,
};

/// Prints what a shell needs to complete the command line.
pub(crate) fn completions(args: &CompletionsArgs) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "flota", &mut script);
    io::Write::write_all(&mut io::stdout().lock(), &script).map_err(OutputError::from)?;
    Ok(ExitCode::SUCCESS)
}
