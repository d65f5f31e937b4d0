use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use clap::{CommandFactory, error::ErrorKind};
use flota_platform::{
    ignore_file_size_signal,
    settings::{Backend, Settings},
};
use flota_worker::{WorkerFlags, WorkerProcess, disable_telemetry};

use crate::{
    advice,
    built_in::{self, Unpacked},
    check,
    cli::{Cli, Command, ModelCommand, WorkerArgs},
    commands, demo,
    image_files::is_data_folder,
    print::{self, OutputError},
    submit,
};

/// What a shell sees of a command that Ctrl-C ended.
pub(crate) const INTERRUPTED: u8 = 130;

/// Reads the command line and does what it says.
pub fn main() -> ExitCode {
    ignore_file_size_signal();
    disable_telemetry();
    let ended = match Cli::typed().command {
        // A worker makes its own runtime: its threads are part of what it is.
        Command::Worker(args) => return worker(args),
        Command::Provision(args) => on_runtime(commands::provision(args)),
        Command::Doctor(args) => on_runtime(commands::doctor(args)),
        Command::Vacuum(args) => on_runtime(commands::vacuum(args)),
        Command::Health(args) => {
            return flota_worker::health(&flota_worker::HealthArgs { url: args.url() });
        }
        Command::Up(args) => on_runtime(commands::up(args)),
        Command::Demo(args) => on_runtime(demo::demo(args)),
        Command::Serve(args) => {
            // Somebody may keep it running, and is to know whether that makes sense.
            return on_runtime(commands::serve(args)).unwrap_or_else(|error| {
                report(&error);
                flota_worker::exit_code(&error).into()
            });
        }
        Command::Submit(args) => on_runtime(submit::submit(args)),
        Command::Status(args) => on_runtime(commands::status(args)),
        Command::Models(args) => on_runtime(commands::models(args)),
        Command::DeadLetters(command) => on_runtime(commands::dead_letters(command)),
        Command::Model(ModelCommand::Check(args)) => on_runtime(check::check(args)),
        Command::Model(ModelCommand::Predict(args)) => on_runtime(commands::predict(args)),
        Command::Completions(args) => commands::completions(&args),
        Command::Engine(command) => on_runtime(commands::engine(command)),
    };
    ended.unwrap_or_else(|error| report(&error))
}

fn worker(WorkerArgs { folders, name, data_dir, mut flags }: WorkerArgs) -> ExitCode {
    if let Some(dir) = data_dir {
        flags.set.push(("data_dir".to_owned(), dir.display().to_string()));
    }
    if name.is_none() && folders.len() > 1 {
        let wanted = "a worker of several models needs a name: --name NAME";
        Cli::command().error(ErrorKind::MissingRequiredArgument, wanted).exit();
    }
    // Settings that cannot be read are for the worker itself to refuse. A child of `flota up` has its data folder.
    match Settings::load(flags.config.as_deref(), &flags.set) {
        Ok(settings) if !flags.stop_on_stdin_close && settings.backend == Backend::Embedded => {
            print::note(data_folder(&settings.data_dir));
        }
        _ => {}
    }
    match unpacked(folders, &flags) {
        Ok((folders, _in_use)) => {
            let worker = WorkerProcess::new(name, folders).with_code(built_in::codes());
            flota_worker::run(worker, &flags)
        }
        Err(error) => {
            report(&error);
            flota_worker::exit_code(&error).into()
        }
    }
}

/// Which data folder a worker uses, and whether anybody else does.
fn data_folder(dir: &Path) -> String {
    let absolute = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    let path = absolute.to_string_lossy();
    match is_data_folder(dir) {
        true => format!("data folder: {path}"),
        false => format!(
            "data folder: {path}, which is new: no server uses it. Start `flota up` with it, or set \
             --data-dir to the folder of a running server"
        ),
    }
}

/// The folders of a worker, those of compiled-in models in the data folder, and what keeps these there.
fn unpacked(
    given: Vec<PathBuf>,
    flags: &WorkerFlags,
) -> anyhow::Result<(Vec<PathBuf>, Vec<Unpacked>)> {
    let (mut folders, mut in_use) = (Vec::new(), Vec::new());
    for given in given {
        let Some(model) = built_in::named(&given)? else {
            folders.push(given);
            continue;
        };
        let settings = Settings::load(flags.config.as_deref(), &flags.set)?;
        let dir = built_in::unpacked_dir(&settings);
        let unpacked = model.unpack(&dir)?;
        folders.push(unpacked.folder.clone());
        in_use.push(unpacked);
        built_in::remove_unused(&dir);
    }
    Ok((folders, in_use))
}

fn on_runtime(command: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Runtime::new().context("cannot start threads")?;
    let ended = runtime.block_on(command);
    // What still blocks a thread, such as the reading of standard input, must not hold up the end.
    runtime.shutdown_background();
    ended
}

/// Writes an error and its causes, one a line.
fn report(error: &anyhow::Error) -> ExitCode {
    // A reader that has seen enough, such as `head`, is no failure.
    if error.downcast_ref().is_some_and(OutputError::is_closed) {
        return ExitCode::SUCCESS;
    }
    let mut said = advice::with_causes(error).into_iter();
    print::error(&said.next().unwrap_or_default());
    said.for_each(|cause| print::note(format!("  because: {cause}")));
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_says_whether_its_data_folder_is_new() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().display();
        let new = data_folder(dir.path());
        assert!(
            new.starts_with(&format!("data folder: {path}, which is new: no server uses it")),
            "{new}"
        );
        std::fs::write(dir.path().join("records.sqlite"), "").unwrap();
        assert_eq!(data_folder(dir.path()), format!("data folder: {path}"));
    }
}
