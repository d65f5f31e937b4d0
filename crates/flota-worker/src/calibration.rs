//! How many images a model is best given at once on this machine: measured at the first start, and
//! remembered.

use std::{
    fs, io,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use flota_core::Sha256;
use flota_engine::{InferError, Model, Session};
use serde::{Deserialize, Serialize};

use crate::machine;

/// A larger batch must be faster by so much for each image, for it costs memory and waiting.
const WORTH_IT: f64 = 0.95;

/// What was found for a model, an engine and a machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Calibration {
    /// Most images of a batch.
    pub(crate) batch_size: u32,
    /// Seconds for an image in batches of each size that was tried.
    tried: Vec<(u32, f64)>,
    /// What it is true of.
    of: Circumstances,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Circumstances {
    engine: String,
    machine: String,
    max_size: u32,
}

impl Calibration {
    /// What is known of `model`, whose contents have `digest`, or is found by trying for about `time`
    /// and kept in `dir`. No `time`: nothing is tried, and a processor is given one image at once.
    ///
    /// # Errors
    /// If the model cannot run.
    pub(crate) fn of(model: &Model, digest: Sha256, dir: &Path, time: Duration) -> Result<Self> {
        let max_size = model.manifest().batch.max_size.max(1);
        let of =
            Circumstances { engine: model.runtime().build(), machine: machine::name(), max_size };
        if max_size == 1 || time.is_zero() {
            let batch_size = if model.runtime().is_on_gpu() { max_size } else { 1 };
            return Ok(Self { batch_size, tried: Vec::new(), of });
        }
        let engine = model.runtime().to_string().replace(' ', "-").to_lowercase();
        let file = dir.join(format!("{digest}-{engine}.json"));
        if let Some(kept) = read(&file).filter(|kept| kept.of == of) {
            return Ok(kept);
        }
        let tried = try_sizes(model, max_size, time)?;
        let found = Self { batch_size: best(&tried), tried, of };
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

fn read(file: &Path) -> Option<Calibration> {
    serde_json::from_slice(&fs::read(file).ok()?).ok()
}

/// Doubles the size as long as that makes an image faster, the model can, and the time lasts.
fn try_sizes(model: &Model, max_size: u32, time: Duration) -> Result<Vec<(u32, f64)>> {
    let mut session = model.session().context("setting up the engine")?;
    let began = Instant::now();
    let share = time / (max_size.ilog2() + 1);
    let mut tried: Vec<(u32, f64)> = Vec::new();
    let mut size = 1;
    while size <= max_size && best(&tried) == size.div_ceil(2) {
        let expected_s = tried.last().map_or(0.0, |(_, seconds)| seconds * f64::from(size));
        if began.elapsed().as_secs_f64() + expected_s > time.as_secs_f64() {
            break;
        }
        match fastest_run(session.as_mut(), model, size, share) {
            Ok(seconds) => tried.push((size, seconds / f64::from(size))),
            Err(error) if tried.is_empty() => return Err(error).context("trying the model"),
            Err(error) => {
                tracing::warn!(size, %error, "the model does not take so many images at once");
                break;
            }
        }
        size *= 2;
    }
    model.put_back(session);
    Ok(tried)
}

/// The fastest counts, for a busy machine makes only slower.
fn fastest_run(
    session: &mut dyn Session,
    model: &Model,
    size: u32,
    share: Duration,
) -> Result<f64, InferError> {
    let batch: Vec<_> = (0..size).map(|_| model.black()).collect();
    let (began, mut fastest) = (Instant::now(), f64::MAX);
    loop {
        let run = Instant::now();
        session.run(&batch)?;
        fastest = fastest.min(run.elapsed().as_secs_f64());
        if began.elapsed() >= share {
            return Ok(fastest);
        }
    }
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
        let of = Circumstances { machine: "another".to_owned(), ..found.of.clone() };
        let elsewhere = Calibration { batch_size: 7, of, ..found };
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
