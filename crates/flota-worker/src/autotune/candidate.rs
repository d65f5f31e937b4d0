//! Runs a model in one way and another, and tells which is best.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use flota_core::BatchSpec;
use flota_engine::{InferError, Model, NamedTensors, Session};
use serde::{Deserialize, Serialize};

use super::{Measuring, instance_group::InstanceGroup};
use crate::WatchedSession;

/// A way that costs memory or waiting must take so much less time for each image.
const WORTH_IT: f64 = 0.95;
/// How often each layout has its turn.
const ROUNDS: u32 = 3;
/// What a way to run a model came to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Candidate {
    pub(crate) layout: InstanceGroup,
    pub(crate) batch_size: u32,
    /// Of a batch, while every session runs one.
    run_seconds: f64,
    /// How often that the slowest round took.
    #[serde(default = "alike")]
    spread: f64,
}

fn alike() -> f64 {
    1.0
}

impl Candidate {
    /// Seconds of the worker for each image.
    fn image_seconds(&self) -> f64 {
        self.run_seconds / (f64::from(self.batch_size) * self.layout.sessions as f64)
    }

    /// How often the time of its fastest round the slowest took.
    pub(super) fn spread(&self) -> f64 {
        self.spread
    }

    /// Whether images are inferred in time.
    pub(super) fn is_within(&self, spec: &BatchSpec) -> bool {
        spec.max_latency_ms.is_none_or(|max_ms| self.latency_ms(spec) <= max_ms as f64)
    }

    /// From prepared to inferred, for an image that waits for others and then for them all.
    pub(super) fn latency_ms(&self, spec: &BatchSpec) -> f64 {
        let wait_ms = if self.batch_size > 1 { spec.max_wait_ms as f64 } else { 0.0 };
        wait_ms + self.run_seconds * 1_000.0
    }
}

/// The way that takes the least time for an image within the latency that `spec` allows; where none
/// is, the one that comes next to it. Later ones must be worth it.
pub(super) fn best(tried: &[Candidate], spec: &BatchSpec) -> Option<Candidate> {
    let mut within = tried.iter().filter(|trial| trial.is_within(spec));
    let Some(first) = within.next() else {
        let by_run = |a: &&Candidate, b: &&Candidate| a.run_seconds.total_cmp(&b.run_seconds);
        return tried.iter().min_by(by_run).copied();
    };
    Some(within.fold(*first, |best, trial| {
        if trial.image_seconds() < best.image_seconds() * WORTH_IT { *trial } else { best }
    }))
}

/// Tries `layouts` for about the time that is given, in turns, so that what disturbs one of them disturbs all. At first
/// each has one image at once, whatever the time; then the batch is doubled as long as that is worth it.
/// After a `stop` no more is begun.
///
/// # Errors
/// If the model cannot run.
pub(super) fn try_all(
    model: &Model,
    layouts: &[InstanceGroup],
    measuring: &Measuring<'_>,
) -> Result<Vec<Candidate>> {
    let &Measuring { time, stop, engines, .. } = measuring;
    let max_size = model.manifest().batch.max_size;
    // Mostly one size is tried beyond the best.
    let trial_count = ROUNDS * layouts.len() as u32 * max_size.min(2);
    let (end, share) = (Instant::now() + time, time / trial_count);
    let mut tried = Vec::new();
    for round in 0..ROUNDS {
        for &layout in layouts {
            let is_late = round > 0 && Instant::now() + share > end;
            if is_late || stop.is_cancelled() {
                return Ok(tried);
            }
            let max_size = if round == 0 { 1 } else { max_size };
            let sessions = (0..layout.sessions).map(|_| engines.session(model, layout.threads));
            let sessions = sessions.collect::<Result<_, _>>().context("setting up the engine")?;
            let trials = try_sizes(sessions, layout, max_size, share, end)?;
            trials.into_iter().for_each(|trial| note(&mut tried, trial));
        }
    }
    Ok(tried)
}

/// Of equal trials the fastest counts.
fn note(tried: &mut Vec<Candidate>, trial: Candidate) {
    let is_same = |other: &&mut Candidate| {
        (other.layout, other.batch_size) == (trial.layout, trial.batch_size)
    };
    match tried.iter_mut().find(is_same) {
        Some(known) => {
            let slowest = (known.run_seconds * known.spread).max(trial.run_seconds);
            known.run_seconds = known.run_seconds.min(trial.run_seconds);
            known.spread = slowest / known.run_seconds;
        }
        None => tried.push(trial),
    }
}

fn try_sizes(
    mut sessions: Vec<WatchedSession<'_>>,
    layout: InstanceGroup,
    max_size: u32,
    share: Duration,
    end: Instant,
) -> Result<Vec<Candidate>> {
    let Some(model) = sessions.first().map(WatchedSession::model) else { return Ok(Vec::new()) };
    let spec = &model.manifest().batch;
    let image = model.black().context("trying the model")?;
    let mut tried: Vec<Candidate> = Vec::new();
    let mut size = 1;
    while size <= max_size && best(&tried, spec).is_none_or(|best| best.batch_size * 2 == size) {
        // Of twice as many images, and twice: the first run sets up memory.
        let expected = tried.last().map(|trial| Duration::from_secs_f64(trial.run_seconds * 4.0));
        if expected.is_some_and(|expected| Instant::now() + expected > end) {
            break;
        }
        let batch = vec![image.clone(); size as usize];
        match run_beside(&mut sessions, &batch, share) {
            Ok(run_seconds) => {
                tried.push(Candidate { layout, batch_size: size, run_seconds, spread: 1.0 })
            }
            Err(error) if tried.is_empty() => return Err(error).context("trying the model"),
            Err(error) => {
                tracing::warn!(size, %error, "the model does not take so many images at once");
                break;
            }
        }
        size *= 2;
    }
    Ok(tried)
}

/// Seconds that a batch takes the slowest of `sessions` while all of them run one after the other.
fn run_beside(
    sessions: &mut [WatchedSession<'_>],
    batch: &[NamedTensors],
    share: Duration,
) -> Result<f64, InferError> {
    thread::scope(|scope| {
        let run = |session: &mut WatchedSession<'_>| fastest(session, batch, share);
        let runs: Vec<_> =
            sessions.iter_mut().map(|session| scope.spawn(move || run(session))).collect();
        runs.into_iter().try_fold(0.0, |slowest: f64, run| {
            let seconds = run.join().expect("engines catch their panics")?;
            Ok(slowest.max(seconds))
        })
    })
}

/// The fastest counts, for a busy machine makes only slower; but not one that may have run on when
/// the others had ended.
fn fastest(
    session: &mut dyn Session,
    batch: &[NamedTensors],
    share: Duration,
) -> Result<f64, InferError> {
    session.run(batch)?;
    let (began, mut fastest) = (Instant::now(), f64::MAX);
    loop {
        let run = Instant::now();
        session.run(batch)?;
        let is_last = began.elapsed() >= share;
        if !is_last || fastest == f64::MAX {
            fastest = fastest.min(run.elapsed().as_secs_f64());
        }
        if is_last {
            return Ok(fastest);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::{
        Engines,
        autotune::{Trusted, tests::model},
    };

    #[test]
    fn every_layout_is_tried_however_short_the_time() {
        let layouts =
            [(2, 1), (1, 1)].map(|(sessions, threads)| InstanceGroup { sessions, threads });
        let stop = CancellationToken::new();
        let measuring = Measuring {
            dir: Path::new("nowhere"),
            time: Duration::ZERO,
            trusted: Trusted::USUAL,
            stop: &stop,
            engines: &Engines::tract(),
        };
        let tried = || try_all(&model(8), &layouts, &measuring).unwrap();
        assert_eq!(tried().iter().map(|trial| trial.layout).collect::<Vec<_>>(), layouts);
        stop.cancel();
        assert_eq!(tried(), []);
    }

    fn trial(sessions: usize, threads: usize, batch_size: u32, run_ms: f64) -> Candidate {
        let layout = InstanceGroup { sessions, threads };
        Candidate { layout, batch_size, run_seconds: run_ms / 1_000.0, spread: 1.0 }
    }

    #[test]
    fn the_fastest_round_counts_and_how_far_the_others_are_from_it() {
        let mut tried = Vec::new();
        [100.0, 150.0, 50.0, 75.0].into_iter().for_each(|ms| note(&mut tried, trial(2, 1, 1, ms)));
        assert_eq!((tried.len(), tried[0].run_seconds), (1, 0.05));
        assert!((tried[0].spread() - 3.0).abs() < 1e-9, "{:?}", tried[0]);
    }

    fn within(max_latency_ms: Option<u64>) -> BatchSpec {
        BatchSpec { max_latency_ms, ..BatchSpec::default() }
    }

    #[test]
    fn a_larger_batch_and_a_wider_session_are_taken_only_where_they_pay() {
        let one = trial(2, 1, 1, 100.0);
        for (other, pays) in [
            (trial(2, 1, 2, 198.0), false),
            (trial(2, 1, 2, 150.0), true),
            (trial(1, 2, 1, 49.0), false),
            (trial(1, 2, 1, 40.0), true),
        ] {
            let wanted = if pays { other } else { one };
            assert_eq!(best(&[one, other], &within(None)), Some(wanted));
        }
        assert_eq!(best(&[], &within(None)), None);
    }

    #[test]
    fn the_best_within_the_latency_is_taken_or_what_comes_next_to_it() {
        let tried = [
            trial(4, 1, 1, 100.0),
            trial(4, 1, 2, 120.0),
            trial(2, 2, 1, 60.0),
            trial(1, 4, 1, 35.0),
        ];
        for (max_ms, wanted) in [(200, 1), (125, 0), (99, 2), (50, 3), (10, 3)] {
            assert_eq!(best(&tried, &within(Some(max_ms))), Some(tried[wanted]), "{max_ms} ms");
        }
    }
}
