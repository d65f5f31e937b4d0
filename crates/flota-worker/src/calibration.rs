//! How many images a model is best given at once on this machine: measured at the first start, and
//! remembered.

use std::{
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use flota_core::Sha256;
use flota_engine::Model;
use serde::{Deserialize, Serialize};

/// A larger batch must be faster by so much for each image, for it costs memory and waiting.
const WORTH_IT: f64 = 0.95;
/// Runs of a size; the fastest counts, for a busy machine makes only slower.
const MIN_RUNS: usize = 2;

/// What was found for a model, an engine and a machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Calibration {
    /// Most images of a batch.
    pub(crate) batch_size: u32,
    /// Seconds for an image in batches of each size that was tried.
    tried: Vec<(u32, f64)>,
    engine: String,
    machine: String,
}

impl Calibration {
    /// What is known of `model`, whose contents have `digest`, or is found by trying for about `time`
    /// and kept in `dir`. No `time`: nothing is tried, and a processor is given one image at once.
    ///
    /// # Errors
    /// If the model cannot run.
    pub(crate) fn of(model: &Model, digest: Sha256, dir: &Path, time: Duration) -> Result<Self> {
        let max_size = model.manifest().batch.max_size.max(1);
        let (engine, machine) = (model.runtime().to_string(), machine());
        if max_size == 1 || time.is_zero() {
            let batch_size = if model.runtime().is_on_gpu() { max_size } else { 1 };
            return Ok(Self { batch_size, tried: Vec::new(), engine, machine });
        }
        let file = dir.join(format!("{digest}-{}.json", engine.replace(' ', "-").to_lowercase()));
        if let Some(kept) = read(&file).filter(|kept| kept.machine == machine) {
            return Ok(Self { batch_size: kept.batch_size.min(max_size), ..kept });
        }
        let tried = try_sizes(model, max_size, time)?;
        let found = Self { batch_size: best(&tried), tried, engine, machine };
        if let Err(error) = found.keep(&file) {
            tracing::warn!(path = %file.display(), %error, "what was measured is not kept");
        }
        Ok(found)
    }

    /// Whole or not at all: other workers may read and write it.
    fn keep(&self, file: &Path) -> io::Result<()> {
        let dir = file.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(dir)?;
        let part = file.with_extension(std::process::id().to_string());
        fs::write(&part, serde_json::to_vec(self)?)?;
        fs::rename(part, file)
    }
}

/// Where it is remembered: with the user, as it is of the machine; where there is none in `otherwise`.
pub(crate) fn dir(otherwise: &Path) -> PathBuf {
    dirs::cache_dir().unwrap_or_else(|| otherwise.to_owned()).join("flota/calibrations")
}

fn read(file: &Path) -> Option<Calibration> {
    serde_json::from_slice(&fs::read(file).ok()?).ok()
}

/// Doubles the size as long as that makes an image faster.
fn try_sizes(model: &Model, max_size: u32, time: Duration) -> Result<Vec<(u32, f64)>> {
    let mut session = model.session().context("setting up the engine")?;
    let mut tried = Vec::new();
    let share = time / (max_size.ilog2() + 1);
    let mut size = 1;
    while size <= max_size {
        let batch: Vec<_> = (0..size).map(|_| model.black()).collect();
        session.run(&batch).with_context(|| format!("trying a batch of {size}"))?;
        let (began, mut fastest, mut runs) = (Instant::now(), f64::MAX, 0);
        while runs < MIN_RUNS || began.elapsed() < share {
            let run = Instant::now();
            session.run(&batch).with_context(|| format!("trying a batch of {size}"))?;
            fastest = fastest.min(run.elapsed().as_secs_f64());
            runs += 1;
        }
        tried.push((size, fastest / f64::from(size)));
        if best(&tried) != size {
            break;
        }
        size *= 2;
    }
    Ok(tried)
}

/// The largest size up to which each was worth it.
fn best(tried: &[(u32, f64)]) -> u32 {
    let mut best = tried.first().copied().unwrap_or((1, f64::MAX));
    for (size, seconds) in tried.iter().skip(1) {
        if *seconds < best.1 * WORTH_IT {
            best = (*size, *seconds);
        }
    }
    best.0
}

/// What the figures are of: the processor and how many of its cores.
fn machine() -> String {
    let name = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    });
    let cores = thread::available_parallelism().map_or(1, usize::from);
    format!("{}, {cores} cores", name.unwrap_or_else(|| std::env::consts::ARCH.to_owned()))
}

#[cfg(test)]
mod tests {
    use flota_core::Manifest;
    use flota_engine::Runtime;

    use super::*;

    const MEANS: &[u8] = include_bytes!("../../flota-engine/tests/fixtures/means.onnx");
    const TIME: Duration = Duration::from_millis(10);

    fn model(max_size: u32) -> Model {
        let text = format!(
            "{{name: means, version: '1', weights: {{file: means.onnx}}, labels: [r, g, b], \
             input: {{width: 4, height: 4, resize: {{mode: exact}}}}, \
             output: {{name: means, kind: regression}}, \
             batch: {{max_size: {max_size}, max_wait_ms: 1}}}}"
        );
        let manifest = Manifest::parse("model.yaml", &text).unwrap();
        let labels = ["r", "g", "b"].map(str::to_owned).to_vec();
        Model::load(&Runtime::Tract, manifest, MEANS, labels).unwrap()
    }

    #[test]
    fn a_larger_batch_is_taken_only_where_it_pays() {
        assert_eq!(best(&[(1, 1.0), (2, 0.99)]), 1);
        assert_eq!(best(&[(1, 1.0), (2, 0.5), (4, 0.4), (8, 0.39)]), 4);
    }

    #[test]
    fn what_was_found_is_kept_for_the_machine_it_was_found_on() {
        let dir = tempfile::tempdir().unwrap();
        let (model, digest) = (model(8), Sha256::of(b"means"));
        let found = Calibration::of(&model, digest, dir.path(), TIME).unwrap();
        assert!(!found.tried.is_empty() && found.batch_size <= 8);
        assert_eq!(Calibration::of(&model, digest, dir.path(), TIME).unwrap(), found);

        let file = fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
        let elsewhere = Calibration { batch_size: 7, machine: "another".to_owned(), ..found };
        elsewhere.keep(&file).unwrap();
        let again = Calibration::of(&model, digest, dir.path(), TIME).unwrap();
        assert_ne!(again.batch_size, 7, "sizes are powers of two");
        fs::write(&file, "damaged").unwrap();
        Calibration::of(&model, digest, dir.path(), TIME).unwrap();
    }

    #[test]
    fn without_time_a_processor_is_given_one_image_and_nothing_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let found =
            Calibration::of(&model(8), Sha256::of(b""), dir.path(), Duration::ZERO).unwrap();
        assert_eq!(found.batch_size, 1);
        assert!(fs::read_dir(dir.path()).unwrap().next().is_none());
    }
}
