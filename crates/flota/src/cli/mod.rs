//! What can be typed after `flota`.

mod asking;
mod dead_letters;
mod engine;
mod model;
mod operating;
mod starting;

pub(crate) use asking::{
    CompletionsArgs, DEFAULT_URL, HealthArgs, ModelsArgs, StatusArgs, SubmitArgs,
};
pub(crate) use dead_letters::{
    DeadLettersCommand, DiscardArgs, GroupsArgs, ListArgs, ReplayArgs, ReplaysArgs, ShowArgs,
    StopArgs, WatchArgs,
};
pub(crate) use engine::{EngineCommand, InstallArgs};
pub(crate) use model::{CheckArgs, ModelCommand, PredictArgs};
pub(crate) use operating::{DoctorArgs, Format, FoundArgs, ProvisionArgs, VacuumArgs};
pub(crate) use starting::{DemoArgs, ModelArgs, ServeArgs, SettingsArgs, UpArgs, WorkerArgs};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    failure, for example of a task, an image or a check: standard error says which
  2    usage error
  3    `provision --dry-run` found something missing or different
  70   a worker: its model hung or panicked
  75   `serve` or a worker: temporary failure; start it again
  78   `serve` or a worker: permanent failure; change the configuration first
  130  interrupted

Settings come from compiled-in defaults, then ./flota.toml or --config FILE, then variables such as FLOTA__SERVER__LISTEN=127.0.0.1:9000, then --set KEY=VALUE.";

/// Self-hosted inference queue for images: POST images, get predictions in signed webhooks
#[derive(Debug, Parser)]
#[command(name = "flota", version, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

// A variant without a comment takes the comment of its arguments: a comment here would hide their second paragraph
// from `--help`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Up(UpArgs),
    Demo(DemoArgs),
    Serve(ServeArgs),
    Worker(WorkerArgs),
    Provision(ProvisionArgs),
    Doctor(DoctorArgs),
    Vacuum(VacuumArgs),
    Health(HealthArgs),
    Submit(SubmitArgs),
    Status(StatusArgs),
    Models(ModelsArgs),
    /// Inspect, replay or discard dead letters: tasks that failed permanently
    #[command(subcommand)]
    DeadLetters(DeadLettersCommand),
    /// Check a model folder, or run its model on images
    #[command(subcommand)]
    Model(ModelCommand),
    /// Install ONNX Runtime, or show which engine is used
    #[command(subcommand)]
    Engine(EngineCommand),
    Completions(CompletionsArgs),
}

impl Cli {
    /// What was typed; what cannot be understood ends the process with a usage error.
    pub fn typed() -> Self {
        let matches = with_plain_usage(Self::command()).get_matches();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }
}

/// `command` with usage lines that are the same in errors as in its help. Clap's own name an option as if it were
/// required where a variable such as `FLOTA_URL` sets it.
fn with_plain_usage(command: clap::Command) -> clap::Command {
    let mut built = command.clone();
    built.build();
    with_usage_of(command, &built)
}

fn with_usage_of(command: clap::Command, built: &clap::Command) -> clap::Command {
    let mut command = command;
    let names: Vec<String> =
        command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    for name in names {
        let Some(built) = built.find_subcommand(&name) else { continue };
        command = command.mut_subcommand(name, |sub| with_usage_of(sub, built));
    }
    if command.has_subcommands() {
        return command;
    }
    let usage = built.clone().render_usage().to_string();
    let usage = usage.strip_prefix("Usage: ").unwrap_or(&usage).to_owned();
    command.override_usage(usage)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(typed: &[&str]) -> String {
        with_plain_usage(Cli::command()).try_get_matches_from(typed).unwrap_err().to_string()
    }

    #[test]
    fn usage_lines_name_as_required_what_is() {
        let replay = error(&["flota", "dead-letters", "replay", "--url", "a:1"]);
        let usage = "Usage: flota dead-letters replay [OPTIONS] <ID|--model <NAME>>";
        assert!(replay.contains(usage), "{replay}");
        let status = error(&["flota", "status", "--url", "a:1"]);
        assert!(status.contains("Usage: flota status [OPTIONS] <ID>\n"), "{status}");
        let by_id = ["flota", "dead-letters", "replay", "dead_1"];
        let by_model = ["flota", "dead-letters", "replay", "--model", "cat"];
        for typed in [by_id.as_slice(), &by_model] {
            assert!(Cli::try_parse_from(typed).is_ok(), "{typed:?}");
        }
    }

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
