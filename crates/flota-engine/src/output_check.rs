//! Whether labels fit the numbers that a network answers, and the largest answer fits a prediction, so that no
//! image is refused for its answer.

use flota_core::{
    MAX_SCORE_CHARS, OutputKind, OutputSpec, OutputTooLarge, VectorEncoding,
    limits::MAX_PREDICTION_BYTES,
};

use crate::LoadError;

/// Checks that there is a label for each of `output_count` numbers, and one for each threshold.
pub(crate) fn check_labels(
    labels: &[String],
    spec: &OutputSpec,
    output_count: usize,
) -> Result<(), LoadError> {
    if spec.kind == OutputKind::Embedding {
        return Ok(());
    }
    if labels.len() != output_count {
        return Err(LoadError::LabelCount { label_count: labels.len(), output_count });
    }
    let mut named = spec.thresholds.keys();
    match named.find(|label| !labels.contains(label)) {
        Some(label) => Err(LoadError::NoSuchLabel(label.clone())),
        None => Ok(()),
    }
}

/// Checks that what `spec` makes of `output_count` numbers fits a prediction.
pub(crate) fn check_size(
    labels: &[String],
    spec: &OutputSpec,
    output_count: usize,
) -> Result<(), LoadError> {
    if spec.kind == OutputKind::Embedding {
        let encoding = spec.encoding.unwrap_or_else(|| VectorEncoding::usual(output_count));
        return check_length(output_count, encoding);
    }
    let mut sizes: Vec<usize> = labels.iter().map(|label| entry_bytes(label)).collect();
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    let listed_count = spec.listed_count(output_count) + spec.thresholds.len();
    let size_bytes = sizes.iter().take(listed_count).sum::<usize>() + ENVELOPE_BYTES;
    if size_bytes > MAX_PREDICTION_BYTES {
        return Err(LoadError::TooLarge(OutputTooLarge { size_bytes }));
    }
    Ok(())
}

fn check_length(length: usize, encoding: VectorEncoding) -> Result<(), LoadError> {
    let limit = encoding.max_length();
    if length <= limit {
        return Ok(());
    }
    let cure = match encoding {
        VectorEncoding::Json => "as JSON: write `output.encoding: base64_f32` or `base64_f16`",
        VectorEncoding::Base64F32 => {
            "in 32 bits each: write `output.encoding: base64_f16`, which keeps three digits"
        }
        VectorEncoding::Base64F16 => "in 16 bits each: have the network answer fewer",
    };
    Err(LoadError::EmbeddingTooLong { length, limit, cure })
}

/// The kind and the brackets around the listed labels.
const ENVELOPE_BYTES: usize = 64;
/// Keys, punctuation, index and flag of a listed label.
const ENTRY_BYTES: usize = 64;

/// The most that `label` takes in a prediction, escapes included.
fn entry_bytes(label: &str) -> usize {
    label.chars().map(escaped_bytes).sum::<usize>() + MAX_SCORE_CHARS + ENTRY_BYTES
}

fn escaped_bytes(character: char) -> usize {
    match character {
        '"' | '\\' => 2,
        control if u32::from(control) < 0x20 => 6,
        other => other.len_utf8(),
    }
}
