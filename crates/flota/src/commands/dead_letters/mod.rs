//! Looks at dead letters, runs them again or gives them up.

mod deciding;
mod following;
mod looking;

use std::process::ExitCode;

use crate::cli::DeadLettersCommand;

/// Does what was typed after `flota dead-letters`.
pub(crate) async fn dead_letters(command: DeadLettersCommand) -> anyhow::Result<ExitCode> {
    match command {
        DeadLettersCommand::List(args) => looking::list(args).await,
        DeadLettersCommand::Groups(args) => looking::groups(args).await,
        DeadLettersCommand::Show(args) => looking::show_one(args).await,
        DeadLettersCommand::Replays(args) => looking::replays(args).await,
        DeadLettersCommand::Replay(args) => deciding::replay(args).await,
        DeadLettersCommand::Stop(args) => deciding::stop(args).await,
        DeadLettersCommand::Discard(args) => deciding::discard(args).await,
        DeadLettersCommand::Watch(args) => following::watch(args).await,
    }
}
