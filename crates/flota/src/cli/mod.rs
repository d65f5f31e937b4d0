//! What can be typed after `flota`.

mod asking;
mod starting;

pub(crate) use asking::{
    CheckArgs, DeadLettersCommand, DiscardArgs, ListArgs, ModelsArgs, ReplayArgs, ShowArgs,
    StatusArgs, SubmitArgs,
};
pub(crate) use starting::{DemoArgs, ModelArgs, ServeArgs, SettingsArgs, UpArgs, WorkerArgs};

use clap::{Parser, Subcommand};

const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    something failed: the sentence on standard error says what
  2    the command was typed wrongly
  130  interrupted

Settings come from compiled-in defaults, then ./flota.toml or --config FILE, then variables such as
FLOTA__SERVER__LISTEN=127.0.0.1:9000.";

/// Runs images through models, durably, and calls back with what the models saw.
#[derive(Debug, Parser)]
#[command(name = "flota", version, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start the whole fleet on this machine and stay
    Up(UpArgs),
    /// Start a fleet in a temporary folder, run images through it, show what came back
    Demo(DemoArgs),
    /// Start the server alone: API, recorder, sweeper and notifier
    Serve(ServeArgs),
    /// Start the worker of one model folder
    Worker(WorkerArgs),
    /// Submit images to a running fleet
    Submit(SubmitArgs),
    /// Show where a request stands
    Status(StatusArgs),
    /// List the models that a fleet knows
    Models(ModelsArgs),
    /// Look at what failed for good, run it again or give it up
    #[command(subcommand)]
    DeadLetters(DeadLettersCommand),
    /// Work on a model folder
    #[command(subcommand)]
    Model(ModelCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelCommand {
    /// Check a model folder: manifest, weights, names in the ONNX file, golden examples
    Check(CheckArgs),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn ids_are_checked_while_typing() {
        let typed = ["flota", "status", "req_1"];
        let error = Cli::try_parse_from(typed).unwrap_err().to_string();
        assert!(error.contains("`req_1` is not the id of a request"), "{error}");
    }
}
