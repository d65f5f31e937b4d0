//! Outcomes in few bytes: a pack of twenty is written whole each time, and billed by the kilobyte.

use flota_core::{Ending, Outcome, PortError, PortResult, PredictionKey, Timings};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// An outcome as it is kept; the place of a variant and the order of its fields never change.
#[derive(Serialize, Deserialize)]
enum Stored {
    V1(StoredOutcome),
}

#[derive(Serialize, Deserialize)]
struct StoredOutcome {
    ending: StoredEnding,
    attempts: u32,
    queued_us: Option<u64>,
    fetch_us: Option<u64>,
    decode_us: Option<u64>,
    infer_us: Option<u64>,
    batch_size: Option<u32>,
    ended_at_ns: i64,
}

#[derive(Serialize, Deserialize)]
enum StoredEnding {
    Succeeded { sha256: [u8; 32], model: String, version: String, cached: bool },
    Failed { code: String, message: String },
    Expired,
    Canceled,
}

/// `outcome` in bytes, about 75 of a success. Times of its stages are kept to the microsecond.
pub(super) fn encode(outcome: &Outcome) -> PortResult<Vec<u8>> {
    let Timings { queued_ms, fetch_ms, decode_ms, infer_ms, batch_size } = outcome.timings;
    let micros = |ms: Option<f64>| ms.map(|ms| (ms * 1_000.0).round() as u64);
    let stored = Stored::V1(StoredOutcome {
        ending: store(&outcome.ending),
        attempts: outcome.attempts,
        queued_us: micros(queued_ms),
        fetch_us: micros(fetch_ms),
        decode_us: micros(decode_ms),
        infer_us: micros(infer_ms),
        batch_size,
        ended_at_ns: i64::try_from(outcome.ended_at.as_nanosecond()).unwrap_or(i64::MAX),
    });
    postcard::to_allocvec(&stored).map_err(|error| PortError::permanent(WRITING, error))
}

/// The outcome that [`encode`] put into `bytes`.
pub(super) fn decode(bytes: &[u8]) -> PortResult<Outcome> {
    let stored = postcard::from_bytes(bytes);
    let Stored::V1(stored) = stored.map_err(|error| PortError::permanent(READING, error))?;
    let millis = |us: Option<u64>| us.map(|us| us as f64 / 1_000.0);
    Ok(Outcome {
        ending: restore(stored.ending)?,
        attempts: stored.attempts,
        timings: Timings {
            queued_ms: millis(stored.queued_us),
            fetch_ms: millis(stored.fetch_us),
            decode_ms: millis(stored.decode_us),
            infer_ms: millis(stored.infer_us),
            batch_size: stored.batch_size,
        },
        ended_at: Timestamp::from_nanosecond(stored.ended_at_ns.into())
            .expect("a timestamp's range is wider than the field"),
    })
}

const WRITING: &str = "writing an outcome";
const READING: &str = "reading an outcome: the record is damaged";

fn store(ending: &Ending) -> StoredEnding {
    match ending {
        Ending::Succeeded { prediction: PredictionKey { sha256, model, version }, cached } => {
            StoredEnding::Succeeded {
                sha256: *sha256.as_bytes(),
                model: model.to_string(),
                version: version.0.clone(),
                cached: *cached,
            }
        }
        Ending::Failed { code, message } => {
            StoredEnding::Failed { code: code.to_string(), message: message.clone() }
        }
        Ending::Expired => StoredEnding::Expired,
        Ending::Canceled => StoredEnding::Canceled,
    }
}

fn restore(ending: StoredEnding) -> PortResult<Ending> {
    Ok(match ending {
        StoredEnding::Succeeded { sha256, model, version, cached } => {
            let model = model.parse().map_err(|error| PortError::permanent(READING, error))?;
            let version = flota_core::ModelVersion(version);
            let prediction = PredictionKey { sha256: sha256.into(), model, version };
            Ending::Succeeded { prediction, cached }
        }
        StoredEnding::Failed { code, message } => {
            let code = code.parse().map_err(|error| PortError::permanent(READING, error))?;
            Ending::Failed { code, message }
        }
        StoredEnding::Expired => Ending::Expired,
        StoredEnding::Canceled => Ending::Canceled,
    })
}

#[cfg(test)]
mod tests {
    use flota_core::{Code, ModelVersion, Sha256};

    use super::*;

    fn outcome(ending: Ending) -> Outcome {
        let timings = Timings {
            queued_ms: Some(1_234.567),
            fetch_ms: Some(0.25),
            decode_ms: None,
            infer_ms: Some(87.001),
            batch_size: Some(8),
        };
        let ended_at = "2026-11-21T10:11:12.123456789Z".parse().unwrap();
        Outcome { ending, attempts: 2, timings, ended_at }
    }

    fn succeeded() -> Ending {
        let prediction = PredictionKey {
            sha256: Sha256::of(b"image"),
            model: "image-category".parse().unwrap(),
            version: ModelVersion("1.0.0".to_owned()),
        };
        Ending::Succeeded { prediction, cached: true }
    }

    #[test]
    fn every_ending_survives() {
        let failed = Ending::failed(Code::DecodeCorrupt, "abgeschnitten, wörtlich");
        for ending in [succeeded(), failed, Ending::Expired, Ending::Canceled] {
            let outcome = outcome(ending);
            assert_eq!(decode(&encode(&outcome).unwrap()).unwrap(), outcome);
        }
    }

    /// Ten to a kilobyte, beside the names of their attributes.
    #[test]
    fn a_success_takes_few_bytes() {
        let size_bytes = encode(&outcome(succeeded())).unwrap().len();
        assert!(size_bytes <= 90, "{size_bytes}");
    }

    #[test]
    fn what_was_written_before_is_read() {
        let bytes = [0, 3, 1, 0, 0, 0, 0, 0, 2];
        let read = decode(&bytes).unwrap();
        assert_eq!((read.ending, read.attempts), (Ending::Canceled, 1));
        assert_eq!(read.ended_at.as_nanosecond(), 1);
        assert!(!decode(&[9]).unwrap_err().is_transient());
    }
}
