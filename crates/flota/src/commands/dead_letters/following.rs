use std::{process::ExitCode, time::Duration};

use anyhow::Context;
use flota_client::{Client, ReplayStateView, ReplayView, Verbatim};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::{
    signal::unix::{SignalKind, signal},
    time,
};

use crate::{
    cli::WatchArgs,
    print::{note, print, print_json},
    run::INTERRUPTED,
};

/// How often the server is asked where the replay stands.
const INTERVAL: Duration = Duration::from_millis(500);
/// How often in a row it may not answer.
const MAX_UNANSWERED: u32 = 60;

pub(super) async fn watch(args: WatchArgs) -> anyhow::Result<ExitCode> {
    let client = Client::new(args.server.url);
    let replay = client.replay(args.id).await?;
    follow(&client, replay, None, args.json).await
}

/// Shows how far a replay is until it ends, and then what came of it. `total` dead letters are to be
/// replayed, if that is known.
pub(super) async fn follow(
    client: &Client,
    mut replay: Verbatim<ReplayView>,
    total: Option<u64>,
    is_json: bool,
) -> anyhow::Result<ExitCode> {
    let id = replay.id;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for Ctrl-C")?;
    let bar = bar(total);
    let mut unanswered = 0;
    while replay.state == ReplayStateView::Running {
        show(&bar, &replay);
        let next = async {
            time::sleep(INTERVAL).await;
            client.replay(id).await
        };
        let answer = tokio::select! {
            answer = next => answer,
            _ = interrupt.recv() => {
                bar.finish_and_clear();
                note(format!(
                    "{id} continues on the server: `flota dead-letters watch {id}` follows it, \
                     `flota dead-letters stop {id}` stops it"
                ));
                return Ok(ExitCode::from(INTERRUPTED));
            }
        };
        match answer {
            Ok(now) => (replay, unanswered) = (now, 0),
            // A server that is started again does not answer for a while.
            Err(_) if unanswered < MAX_UNANSWERED => unanswered += 1,
            Err(error) => {
                bar.finish_and_clear();
                return Err(error).with_context(|| format!("cannot get the progress of {id}"));
            }
        }
    }
    bar.finish_and_clear();
    match is_json {
        true => print_json(&replay)?,
        false => print(summary(&replay))?,
    }
    let counts = &replay.counts;
    let is_whole =
        replay.state == ReplayStateView::Completed && counts.failed + counts.skipped == 0;
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Where a replay stands, in a sentence.
pub(super) fn summary(replay: &ReplayView) -> String {
    let why = replay.why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
    format!("{} {}{why}: {}", replay.id, replay.state, told(replay))
}

fn told(replay: &ReplayView) -> String {
    let counts = &replay.counts;
    let mut text = format!("{} succeeded, {} failed again", counts.succeeded, counts.failed);
    let others =
        [("sent again", counts.resent), ("skipped", counts.skipped), ("running", counts.running)];
    for (name, count) in others.into_iter().filter(|(_, count)| *count > 0) {
        text.push_str(&format!(", {count} {name}"));
    }
    text
}

fn bar(total: Option<u64>) -> ProgressBar {
    let bar = match total {
        Some(total) => ProgressBar::new(total),
        None => ProgressBar::no_length(),
    };
    let template = match total {
        Some(_) => "{bar:30} {pos}/{len} {msg}",
        None => "{spinner} {pos} {msg}",
    };
    let style = ProgressStyle::with_template(template).expect("the template is fixed");
    bar.with_style(style)
}

fn show(bar: &ProgressBar, replay: &ReplayView) {
    let done = replay.counts.done();
    if bar.length().is_some_and(|length| length < done) {
        bar.set_length(done);
    }
    bar.set_position(done);
    bar.set_message(told(replay));
}
