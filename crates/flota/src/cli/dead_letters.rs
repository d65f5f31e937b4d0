//! What can be typed after `flota dead-letters`.

use clap::{ArgGroup, Args, Subcommand};
use flota_core::{Code, DeadLetterSelection, ModelName, Reason, ReplayId};
use jiff::{Span, SpanRelativeTo, Timestamp};

use super::asking::Server;

/// Inspect, replay or discard dead letters: tasks that failed permanently.
#[derive(Debug, Subcommand)]
pub(crate) enum DeadLettersCommand {
    /// List dead letters, the oldest first
    List(ListArgs),
    /// Count dead letters by model and reason
    Groups(GroupsArgs),
    /// Show one dead letter
    Show(ShowArgs),
    /// Run dead letters again, in a new round with a callback of its own
    Replay(ReplayArgs),
    /// List replays, the newest first: who replayed what, when, with which result
    Replays(ReplaysArgs),
    /// Follow a replay until it ends
    Watch(WatchArgs),
    /// Stop a replay; tasks that it has started go on
    Stop(StopArgs),
    /// Discard one dead letter, or many
    Discard(DiscardArgs),
}

/// Filters of dead letters. All given filters must match.
#[derive(Debug, Clone, Args)]
pub(crate) struct SelectionArgs {
    /// Only dead letters of this model
    #[arg(long, value_name = "NAME")]
    model: Option<ModelName>,

    /// Only with this reason, such as WORKER_CRASHED
    #[arg(long)]
    reason: Option<Reason>,

    /// Only with this code of the failure or of the last fault, such as FETCH_TIMEOUT
    #[arg(long)]
    code: Option<Code>,

    /// Only dead-lettered at or after this time, such as 2026-11-21T10:00:00Z, or an age such as 2h or 3d
    #[arg(long, value_name = "WHEN", value_parser = parse_when)]
    since: Option<Timestamp>,

    /// Only dead-lettered before this time or age
    #[arg(long, value_name = "WHEN", value_parser = parse_when)]
    until: Option<Timestamp>,

    /// Only with this text in an id, the last error, the image's URL, the queue or the body
    #[arg(long)]
    text: Option<String>,
}

/// The operator, for the audit log.
#[derive(Debug, Clone, Args)]
pub(crate) struct Person {
    /// Operator name for the audit log
    #[arg(long = "by", value_name = "NAME", env = "USER", default_value = "default")]
    pub name: String,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub selection: SelectionArgs,

    /// Include resolved dead letters: those that were replayed or discarded
    #[arg(long)]
    pub all: bool,

    /// Maximum number of dead letters
    #[arg(long, value_name = "COUNT")]
    pub limit: Option<usize>,

    /// Print the server's JSON answer
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub server: Server,
}

#[derive(Debug, Args)]
pub(crate) struct GroupsArgs {
    #[command(flatten)]
    pub selection: SelectionArgs,

    /// Include resolved dead letters: those that were replayed or discarded
    #[arg(long)]
    pub all: bool,

    /// Print the server's JSON answer
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub server: Server,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// Id of the dead letter, dead_…
    #[arg(value_name = "ID")]
    pub id: String,

    /// Print the server's JSON answer
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub server: Server,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("chosen").args(["id", "model"]).required(true).multiple(true))]
#[command(after_help = "\
The server replays several dead letters: a canary of ten first, then the rest. The replay stops if more than a fifth fail again. After Ctrl-C it continues on the server; `flota dead-letters watch` follows it again.

Exit code 1 if a task failed again or was skipped, or if the replay was stopped.

Examples:
  flota dead-letters replay dead_0193…-7-1
  flota dead-letters replay --model image-quality --dry-run
  flota dead-letters replay --model image-quality --code FETCH_TIMEOUT --since 3d --rate 20")]
pub(crate) struct ReplayArgs {
    /// Id of the dead letter, dead_…; or select several with --model and other filters
    #[arg(value_name = "ID")]
    pub id: Option<String>,

    #[command(flatten)]
    pub selection: SelectionArgs,

    /// Maximum number of dead letters
    #[arg(long, value_name = "COUNT", conflicts_with = "id")]
    pub limit: Option<u32>,

    /// Maximum number per second
    #[arg(long, value_name = "COUNT", conflicts_with = "id")]
    pub rate: Option<u32>,

    /// Run only while this is the current version of the model; results of another version count as failed
    #[arg(long, value_name = "VERSION", conflicts_with = "id")]
    pub to_version: Option<String>,

    /// Only print what would run
    #[arg(long)]
    pub dry_run: bool,

    /// Start the replay without following it
    #[arg(long, conflicts_with = "dry_run")]
    pub detach: bool,

    #[command(flatten)]
    pub person: Person,

    /// Print the server's JSON answer
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub server: Server,
}

#[derive(Debug, Args)]
pub(crate) struct ReplaysArgs {
    /// Only replays of this model
    #[arg(long, value_name = "NAME")]
    pub model: Option<ModelName>,

    /// Print the server's JSON answer
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub server: Server,
}

#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// Id of the replay, replay_…
    #[arg(value_name = "ID")]
    pub id: ReplayId,

    /// Print the server's JSON answer
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub server: Server,
}

#[derive(Debug, Args)]
pub(crate) struct StopArgs {
    /// Id of the replay, replay_…
    #[arg(value_name = "ID")]
    pub id: ReplayId,

    #[command(flatten)]
    pub person: Person,

    /// Print the server's JSON answer
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub server: Server,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flota dead-letters discard dead_0193…-7-1
  flota dead-letters discard --reason UNREADABLE --until 30d --yes")]
pub(crate) struct DiscardArgs {
    /// Id of the dead letter, dead_…; or select several with filters
    #[arg(value_name = "ID")]
    pub id: Option<String>,

    #[command(flatten)]
    pub selection: SelectionArgs,

    /// Discard several without asking for confirmation
    #[arg(long)]
    pub yes: bool,

    #[command(flatten)]
    pub person: Person,

    /// Print the server's JSON answer
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub server: Server,
}

impl SelectionArgs {
    /// The conditions.
    pub fn conditions(self) -> DeadLetterSelection {
        let Self { model, reason, code, since, until, text } = self;
        DeadLetterSelection { model, reason, code, since, until, text }
    }
}

/// A time, or how long ago it is.
fn parse_when(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let wanted =
        || "expected a time such as 2026-11-21T10:00:00Z, or an age such as 2h or 3d".to_owned();
    let span: Span = text.parse().map_err(|_| wanted())?;
    let ago = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| wanted())?;
    Timestamp::now().checked_sub(ago.abs()).map_err(|_| wanted())
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn times_are_told_by_the_clock_or_as_how_long_ago() {
        let exact = "2026-11-21T10:00:00Z";
        assert_eq!(parse_when(exact).unwrap().to_string(), exact);
        for (text, hours) in [("2h", 2), ("3d", 72), ("1w", 168), ("-2h", 2)] {
            let ago = Timestamp::now().duration_since(parse_when(text).unwrap());
            let off = (ago - SignedDuration::from_hours(hours)).abs();
            assert!(off < SignedDuration::from_secs(60), "{text}: {ago}");
        }
        for bad in ["", "yesterday", "10", "2026-11-21"] {
            assert!(parse_when(bad).is_err(), "{bad} was taken");
        }
    }
}
