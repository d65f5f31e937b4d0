//! What a submission shows while it runs: a bar and failures on standard error.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use flota_client::Error;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::print::note;

/// Most failures that are named: more would hide what comes after.
const MAX_NAMED: u64 = 1_000;
/// How often the bar moves where nothing happens, so that it is seen to live.
const TICK: Duration = Duration::from_millis(200);
/// How often the fleet is asked where a request stands while somebody watches.
const STEP: Duration = Duration::from_secs(1);

/// A bar where standard error is a terminal, and what failed.
#[derive(Debug)]
pub(super) struct Progress {
    bar: ProgressBar,
    failed_count: AtomicU64,
    has_waited: AtomicBool,
}

impl Progress {
    /// An empty one; a quiet one draws nothing and still names what fails.
    pub fn new(is_quiet: bool) -> Self {
        let bar = ProgressBar::new(0);
        if is_quiet {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        let style = ProgressStyle::with_template("{bar:30} {human_pos}/{human_len} {msg}");
        bar.set_style(style.expect("the template is fixed"));
        Self { bar, failed_count: AtomicU64::new(0), has_waited: AtomicBool::new(false) }
    }

    /// Begins to count something else.
    pub fn begin(&self, what: &'static str) {
        self.bar.reset();
        self.bar.set_length(0);
        self.bar.set_message(what);
    }

    /// There is so much more to do.
    pub fn expect(&self, count: u64) {
        self.bar.inc_length(count);
        self.bar.enable_steady_tick(TICK);
    }

    /// So much was done.
    pub fn done(&self, count: u64) {
        self.bar.inc(count);
    }

    /// How long to wait for news where somebody watches the bar; `None` where nobody does.
    pub fn step(&self) -> Option<Duration> {
        (!self.bar.is_hidden()).then_some(STEP)
    }

    /// Stands at `count` of all.
    pub fn stands_at(&self, count: u64) {
        self.bar.set_position(count);
    }

    /// Names what cannot be submitted.
    pub fn failed(&self, sentence: &str) {
        self.bar.inc(1);
        self.refused(sentence);
    }

    /// Names what cannot be submitted though it was [done](Self::done).
    pub fn refused(&self, sentence: &str) {
        match self.failed_count.fetch_add(1, Relaxed) {
            0..MAX_NAMED => self.say(sentence),
            MAX_NAMED => self.say("further failures are not listed"),
            _ => {}
        }
    }

    /// How much could not be submitted.
    pub fn failed_count(&self) -> u64 {
        self.failed_count.load(Relaxed)
    }

    /// Says once that calls are made again, and whether the command can be interrupted meanwhile.
    pub fn waits(&self, error: &Error, is_remembered: bool) {
        if self.has_waited.swap(true, Relaxed) {
            return;
        }
        self.say(&waiting(error, is_remembered));
    }

    /// Writes a remark without tearing the bar.
    pub fn say(&self, sentence: &str) {
        self.bar.suspend(|| note(sentence));
    }

    /// Lets `write` write to standard output without tearing the bar.
    pub fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        self.bar.suspend(write)
    }

    /// Takes the bar away.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}

fn waiting(error: &Error, is_remembered: bool) -> String {
    let why = match error.refusal() {
        Some(refusal) => format!("the fleet is overloaded: {refusal}"),
        None => "the fleet does not answer".to_owned(),
    };
    let safe = match is_remembered {
        true => " (Ctrl-C is safe: the same command resumes)",
        false => "",
    };
    format!("{why}; retrying for 5 minutes{safe}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_said_to_be_safe_to_interrupt_only_where_it_is() {
        let source = std::io::Error::other("no refusal of a server");
        let lost = Error::File { path: "a".into(), source };
        let safe = "the fleet does not answer; retrying for 5 minutes (Ctrl-C is safe: the same command resumes)";
        assert_eq!(waiting(&lost, true), safe);
        assert!(waiting(&lost, false).ends_with("for 5 minutes"));
    }
}
