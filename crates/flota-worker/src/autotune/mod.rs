//! How a model is best run on this machine: in how many sessions, of how many threads, with how many
//! images at once. Measured at the first start, and remembered.

mod candidate;
mod instance_group;
#[cfg(test)]
pub(crate) mod tests;

use std::{
    fs::{self, File, TryLockError},
    io,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use flota_core::{BatchSpec, ModelName, Sha256};
use flota_engine::Model;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use self::candidate::Candidate;
pub(crate) use self::instance_group::InstanceGroup;
use crate::{
    Engines,
    machine::{self, CpuTime},
};

/// Held while a worker measures: one beside another would measure the other too.
const LOCK_FILE: &str = "lock";
/// So long a worker waits for those before it, and how often it looks.
const MAX_LOCK_WAIT: Duration = Duration::from_secs(60);
const LOCK_POLL: Duration = Duration::from_millis(20);

/// How a model may be measured.
pub(crate) struct Measuring<'a> {
    /// Where results are kept.
    pub(crate) dir: &'a Path,
    /// About how long it may take; none: nothing is measured.
    pub(crate) time: Duration,
    pub(crate) trusted: Trusted,
    pub(crate) stop: &'a CancellationToken,
    pub(crate) engines: &'a Engines,
}

/// When a measurement is one of the model, not of what else the machine does.
pub(crate) struct Trusted {
    /// Of the cores, that other processes may have meanwhile.
    max_others_share: f64,
    /// How often the time of its fastest round the slowest may take.
    max_spread: f64,
}

impl Trusted {
    /// On a machine with nothing else to do rounds differ by a few hundredths. At a load of 15 on two
    /// cores one session of two threads once won, where two of one thread are faster by a third.
    pub(crate) const USUAL: Self = Self { max_others_share: 0.15, max_spread: 1.3 };
}

/// What was found for a model, an engine and a machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Autotuning {
    pub(crate) layout: InstanceGroup,
    /// Most images of a batch.
    pub(crate) batch_size: u32,
    tried: Vec<Candidate>,
    /// What it is true of.
    of: Circumstances,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Circumstances {
    /// Of the model's contents.
    digest: Sha256,
    engine: String,
    machine: String,
    /// That are given to inference.
    cores: usize,
    batch: BatchSpec,
}

impl Autotuning {
    /// What is known of `model` on `cores` cores, whose contents have `digest`, or is found by trying
    /// for about the time given and kept in `dir`. No time, or `stop`: nothing is found, and a processor is
    /// given one image at once. So it is where the machine was busy, too: nothing is kept then, and the
    /// next start measures.
    ///
    /// # Errors
    /// If the model cannot run.
    pub(crate) fn of(
        model: &Model,
        cores: usize,
        digest: Sha256,
        measuring: &Measuring<'_>,
    ) -> Result<Self> {
        let Measuring { dir, time, trusted, stop, .. } = measuring;
        let (runtime, batch) = (model.runtime(), model.manifest().batch.clone());
        let layouts = InstanceGroup::all(runtime, cores);
        let usual = |of: Circumstances| {
            let batch_size = if runtime.is_on_gpu() { of.batch.max_size } else { 1 };
            Self { layout: layouts[0], batch_size, tried: Vec::new(), of }
        };
        let (engine, machine) = (runtime.build(), machine::name());
        let of = Circumstances { digest, engine, machine, cores, batch };
        if time.is_zero() || (of.batch.max_size == 1 && layouts.len() == 1) {
            if let Some(max_latency_ms) = of.batch.max_latency_ms {
                tracing::warn!(max_latency_ms, "no other way to run the model is tried");
            }
            return Ok(usual(of));
        }
        let file = dir.join(of.file_name(&model.manifest().name));
        let kept = || read(&file).filter(|kept| kept.of == of);
        if let Some(kept) = kept() {
            return Ok(kept);
        }
        let _alone = wait_for_others(dir, stop);
        if let Some(kept) = kept() {
            return Ok(kept);
        }
        let began = CpuTime::now();
        let tried = candidate::try_all(model, &layouts, measuring)?;
        if stop.is_cancelled() {
            return Ok(usual(of));
        }
        let best = candidate::best(&tried, &of.batch).context("something was tried")?;
        let others_share = others_share(began);
        if others_share > trusted.max_others_share || best.spread() > trusted.max_spread {
            tracing::warn!(
                others_share,
                spread = best.spread(),
                "the machine was busy while the model was measured: the usual settings are taken, and \
                 the next start measures again"
            );
            return Ok(usual(of));
        }
        if !best.is_within(&of.batch) {
            tracing::warn!(
                of.batch.max_latency_ms,
                latency_ms = best.latency_ms(&of.batch),
                "no way to run the model is within its latency, the nearest is taken"
            );
        }
        let Candidate { layout, batch_size, .. } = best;
        let found = Self { layout, batch_size, tried, of };
        if let Err(error) = found.keep(&file) {
            tracing::warn!(path = %file.display(), %error, "what was measured is not kept");
        }
        Ok(found)
    }

    /// Whole or not at all: other workers may read and write it.
    fn keep(&self, file: &Path) -> io::Result<()> {
        let part = file.with_extension(std::process::id().to_string());
        fs::write(&part, serde_json::to_vec(self)?)?;
        fs::rename(part, file)
    }
}

impl Circumstances {
    /// For each its own, of machines that share the folder too.
    fn file_name(&self, model: &ModelName) -> String {
        let all = serde_json::to_vec(self).expect("plain data is always JSON");
        format!("{model}-{}.json", Sha256::of(&all))
    }
}

/// Of the cores, since `began`; 0 where the system does not say.
fn others_share(began: Option<CpuTime>) -> f64 {
    let shares = began.zip(CpuTime::now()).map(|(began, now)| now.others_share(&began));
    shares.unwrap_or(0.0)
}

fn read(file: &Path) -> Option<Autotuning> {
    serde_json::from_slice(&fs::read(file).ok()?).ok()
}

/// Waits until no other worker of this machine measures. A worker that waited long enough, or cannot
/// tell, measures beside them.
fn wait_for_others(dir: &Path, stop: &CancellationToken) -> io::Result<File> {
    fs::create_dir_all(dir)?;
    let lock = File::create(dir.join(LOCK_FILE))?;
    let began = Instant::now();
    while let Err(TryLockError::WouldBlock) = lock.try_lock()
        && began.elapsed() < MAX_LOCK_WAIT
        && !stop.is_cancelled()
    {
        thread::sleep(LOCK_POLL);
    }
    Ok(lock)
}
