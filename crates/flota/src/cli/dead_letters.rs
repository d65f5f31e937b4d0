//! What can be typed after `flota dead-letters`.

use clap::{ArgGroup, Args, Subcommand};
use flota_core::{Code, DeadLetterSelection, ModelName, Reason, ReplayId};
use jiff::{Span, SpanRelativeTo, Timestamp};

use super::asking::Server;

/// Look at what failed for good, run it again or give it up.
#[derive(Debug, Subcommand)]
pub(crate) enum DeadLettersCommand {
    /// List dead letters, the oldest first
    List(ListArgs),
    /// Count dead letters by model and reason
    Groups(GroupsArgs),
    /// Show one
    Show(ShowArgs),
    /// Run tasks again, in a new round that is called back by itself
    Replay(ReplayArgs),
    /// List replays, the newest first: who wanted what, when, and what came of it
    Replays(ReplaysArgs),
    /// Follow a replay until it ends
    Watch(WatchArgs),
    /// Stop a replay; what it has begun goes on
    Stop(StopArgs),
    /// Give one up, or many
    Discard(DiscardArgs),
}

/// Which dead letters are meant: those that meet every condition.
#[derive(Debug, Clone, Args)]
pub(crate) struct SelectionArgs {
    /// Of this model
    #[arg(long, value_name = "NAME")]
    model: Option<ModelName>,

    /// For this reason, such as WORKER_CRASHED
    #[arg(long)]
    reason: Option<Reason>,

    /// With this code, of the failure or of the last fault, such as FETCH_TIMEOUT
    #[arg(long)]
    code: Option<Code>,

    /// Put away since then: a time such as 2026-11-21T10:00:00Z, or so long ago, such as 2h or 3d
    #[arg(long, value_name = "WHEN", value_parser = parse_when)]
    since: Option<Timestamp>,

    /// Put away before then
    #[arg(long, value_name = "WHEN", value_parser = parse_when)]
    until: Option<Timestamp>,

    /// With this text in an id, the last error, the image's address, the queue or the body
    #[arg(long)]
    text: Option<String>,
}

/// Who decides.
#[derive(Debug, Clone, Args)]
pub(crate) struct Person {
    /// Whom to name in the record
    #[arg(long = "by", value_name = "NAME", env = "USER", default_value = "default")]
    pub name: String,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub selection: SelectionArgs,

    /// Also those that were replayed or discarded
    #[arg(long)]
    pub all: bool,

    /// At most so many
    #[arg(long, value_name = "COUNT")]
    pub limit: Option<usize>,

    /// Print what the server answers
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub server: Server,
}

#[derive(Debug, Args)]
pub(crate) struct GroupsArgs {
    #[command(flatten)]
    pub selection: SelectionArgs,

    /// Also those that were replayed or discarded
    #[arg(long)]
    pub all: bool,

    /// Print what the server answers
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub server: Server,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The dead letter
    #[arg(value_name = "ID")]
    pub id: String,

    /// Print what the server answers
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub server: Server,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("chosen").args(["id", "model"]).required(true).multiple(true))]
#[command(after_help = "\
Several are replayed by the server: ten first, and no more of them where more than a fifth fail
again. Ctrl-C leaves it running there; `flota dead-letters watch` follows it again.

Exit code 1 where something failed again, was left out, or the replay was stopped.

Examples:
  flota dead-letters replay dead_0193…-7-1
  flota dead-letters replay --model image-quality --dry-run
  flota dead-letters replay --model image-quality --code FETCH_TIMEOUT --since 3d --rate 20")]
pub(crate) struct ReplayArgs {
    /// The dead letter; or choose several, at least by --model
    #[arg(value_name = "ID")]
    pub id: Option<String>,

    #[command(flatten)]
    pub selection: SelectionArgs,

    /// At most so many
    #[arg(long, value_name = "COUNT", conflicts_with = "id")]
    pub limit: Option<u32>,

    /// At most so many in a second
    #[arg(long, value_name = "COUNT", conflicts_with = "id")]
    pub rate: Option<u32>,

    /// Only if this is the model's current version; what another did counts as failed
    #[arg(long, value_name = "VERSION", conflicts_with = "id")]
    pub to_version: Option<String>,

    /// Only say what would be run
    #[arg(long)]
    pub dry_run: bool,

    /// Start it and do not follow it
    #[arg(long, conflicts_with = "dry_run")]
    pub detach: bool,

    #[command(flatten)]
    pub person: Person,

    /// Print what the server answers
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub server: Server,
}

#[derive(Debug, Args)]
pub(crate) struct ReplaysArgs {
    /// Of this model
    #[arg(long, value_name = "NAME")]
    pub model: Option<ModelName>,

    /// Print what the server answers
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub server: Server,
}

#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// The replay
    #[arg(value_name = "ID")]
    pub id: ReplayId,

    /// Print what the server answers
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub server: Server,
}

#[derive(Debug, Args)]
pub(crate) struct StopArgs {
    /// The replay
    #[arg(value_name = "ID")]
    pub id: ReplayId,

    #[command(flatten)]
    pub person: Person,

    /// Print what the server answers
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
    /// The dead letter; or choose several by conditions
    #[arg(value_name = "ID")]
    pub id: Option<String>,

    #[command(flatten)]
    pub selection: SelectionArgs,

    /// Give several up without being asked to confirm
    #[arg(long)]
    pub yes: bool,

    #[command(flatten)]
    pub person: Person,

    /// Print what the server answers
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
        || "a time such as 2026-11-21T10:00:00Z, or so long ago, such as 2h or 3d".to_owned();
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
