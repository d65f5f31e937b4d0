//! From a network's numbers to what is said of an image.

use flota_core::{
    BeyondF16, Embedding, LabelScore, Normalize, Output, OutputKind, OutputSpec, VectorEncoding,
};

use crate::InferError;

/// What `numbers` mean by `spec`; `labels` are as many as the numbers, or none of an embedding.
pub(crate) fn postprocess(
    numbers: &[f32],
    labels: &[String],
    spec: &OutputSpec,
) -> Result<Output, InferError> {
    if let Some(index) = numbers.iter().position(|number| !number.is_finite()) {
        return Err(InferError::NotFinite { value: numbers[index], index });
    }
    let scores = |numbers: &[f32]| listed(numbers, labels, spec);
    Ok(match spec.kind {
        OutputKind::Softmax if spec.apply => Output::Softmax { scores: scores(&softmax(numbers)) },
        OutputKind::Softmax => Output::Softmax { scores: scores(numbers) },
        OutputKind::Sigmoid if spec.apply => Output::Sigmoid { scores: scores(&sigmoid(numbers)) },
        OutputKind::Sigmoid => Output::Sigmoid { scores: scores(numbers) },
        OutputKind::Scores => Output::Scores { scores: scores(numbers) },
        OutputKind::Regression => Output::Regression { scores: scores(numbers) },
        OutputKind::Embedding => embedding(numbers, spec)?,
    })
}

fn embedding(numbers: &[f32], spec: &OutputSpec) -> Result<Output, InferError> {
    let vector = match spec.normalize {
        None => numbers.to_vec(),
        Some(Normalize::L2) => unit_vector(numbers),
    };
    let encoding = spec.encoding.unwrap_or_else(|| VectorEncoding::usual(numbers.len()));
    let embedding = Embedding::new(vector, encoding)
        .map_err(|BeyondF16 { value, index }| InferError::BeyondF16 { value, index })?;
    Ok(Output::Embedding(embedding))
}

/// `numbers` scaled to the Euclidean length 1; zeros stay zeros.
fn unit_vector(numbers: &[f32]) -> Vec<f32> {
    let length = numbers.iter().map(|n| f64::from(*n) * f64::from(*n)).sum::<f64>().sqrt();
    if length == 0.0 {
        return numbers.to_vec();
    }
    numbers.iter().map(|number| (f64::from(*number) / length) as f32).collect()
}

/// The highest labels and those with a threshold: highest first, equal ones and measured values
/// by index.
fn listed(numbers: &[f32], labels: &[String], spec: &OutputSpec) -> Vec<LabelScore> {
    let mut indices: Vec<usize> = (0..numbers.len().min(labels.len())).collect();
    indices.sort_by(|a, b| numbers[*b].total_cmp(&numbers[*a]).then(a.cmp(b)));
    let count = spec.listed_count(labels.len());
    let mut kept: Vec<usize> = Vec::with_capacity(count + spec.thresholds.len());
    for (rank, index) in indices.into_iter().enumerate() {
        if rank < count || spec.thresholds.contains_key(&labels[index]) {
            kept.push(index);
        }
    }
    if spec.kind == OutputKind::Regression {
        kept.sort_unstable();
    }
    let score = |index: usize| LabelScore {
        label: labels[index].clone(),
        index: index as u32,
        score: numbers[index],
        flagged: spec.thresholds.get(&labels[index]).map(|limit| limit.flags(numbers[index])),
        advice: None,
    };
    kept.into_iter().map(score).collect()
}

fn softmax(numbers: &[f32]) -> Vec<f32> {
    let highest = numbers.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f64> = numbers.iter().map(|n| f64::from(n - highest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.iter().map(|power| (power / sum) as f32).collect()
}

fn sigmoid(numbers: &[f32]) -> Vec<f32> {
    numbers.iter().map(|number| (1.0 / (1.0 + f64::from(-number).exp())) as f32).collect()
}

#[cfg(test)]
mod tests {
    use flota_core::Threshold;

    use super::*;

    fn plain(kind: OutputKind) -> OutputSpec {
        OutputSpec {
            name: None,
            kind,
            apply: false,
            top_k: None,
            normalize: None,
            encoding: None,
            thresholds: [].into(),
        }
    }

    fn check(kind: OutputKind, spec: impl FnOnce(&mut OutputSpec), numbers: &[f32]) -> Output {
        let mut output = plain(kind);
        spec(&mut output);
        let labels: Vec<String> = ["a", "b", "c", "d", "e", "f", "g"].map(String::from).into();
        postprocess(numbers, &labels, &output).unwrap()
    }

    fn named(output: &Output) -> String {
        output.scores().iter().map(|score| score.label.as_str()).collect()
    }

    #[test]
    fn the_highest_come_first_and_equal_ones_in_order() {
        let numbers = [0.1, 0.5, 0.2, 0.5, 0.0, 0.3, 0.05];
        assert_eq!(named(&check(OutputKind::Scores, |_| (), &numbers)), "bdfca");
        assert_eq!(named(&check(OutputKind::Scores, |s| s.top_k = Some(1), &numbers)), "b");
        assert_eq!(named(&check(OutputKind::Scores, |s| s.top_k = Some(99), &numbers)), "bdfcage");
        assert_eq!(named(&check(OutputKind::Regression, |_| (), &numbers)), "abcdefg");
    }

    #[test]
    fn labels_with_a_threshold_are_always_listed_and_flagged_beyond_it() {
        let output = check(
            OutputKind::Sigmoid,
            |spec| {
                spec.top_k = Some(1);
                spec.thresholds = [
                    ("e".to_owned(), Threshold::Below(0.2)),
                    ("g".to_owned(), Threshold::AtLeast(0.2)),
                ]
                .into();
            },
            &[0.9, 0.0, 0.0, 0.0, 0.1, 0.0, 0.1],
        );
        let flags: Vec<Option<bool>> = output.scores().iter().map(|s| s.flagged).collect();
        assert_eq!((named(&output).as_str(), flags), ("aeg", vec![None, Some(true), Some(false)]));
    }

    #[test]
    fn activations_are_applied_where_asked_for_and_stay_finite() {
        let huge = [1e38, -1e38, 1e38, 0.0, 0.0, 0.0, 0.0];
        let output = check(OutputKind::Softmax, |s| s.apply = true, &huge);
        assert_eq!((output.scores()[0].score, output.scores()[2].score), (0.5, 0.0));
        let output = check(OutputKind::Sigmoid, |s| s.apply = true, &huge);
        assert_eq!((output.scores()[0].score, output.scores()[4].score), (1.0, 0.5));
    }

    #[test]
    fn an_answer_that_is_no_number_is_an_error() {
        let spec = plain(OutputKind::Embedding);
        let error = postprocess(&[0.0, f32::NAN], &[], &spec).unwrap_err();
        assert_eq!(error.to_string(), "the network answered NaN at index 1");
        assert!(postprocess(&[0.0, 1.0], &[], &spec).is_ok());
    }

    #[test]
    fn an_embedding_is_scaled_and_written_as_asked() {
        let vector = |spec: &OutputSpec, numbers: &[f32]| {
            let Output::Embedding(embedding) = postprocess(numbers, &[], spec).unwrap() else {
                panic!("an embedding")
            };
            (embedding.vector().to_vec(), embedding.encoding())
        };
        let mut spec = plain(OutputKind::Embedding);
        assert_eq!(vector(&spec, &[3.0, 4.0]), (vec![3.0, 4.0], VectorEncoding::Json));
        assert_eq!(vector(&spec, &[0.5; 4_000]).1, VectorEncoding::Base64F32);
        spec.normalize = Some(Normalize::L2);
        assert_eq!(vector(&spec, &[3.0, -4.0]).0, [0.6, -0.8]);
        assert_eq!(vector(&spec, &[1.5e38, 2e38]).0, [0.6, 0.8]);
        assert_eq!(vector(&spec, &[0.0, 0.0]).0, [0.0, 0.0]);
        spec.encoding = Some(VectorEncoding::Base64F16);
        assert_eq!(vector(&spec, &[70_000.0, 0.0]), (vec![1.0, 0.0], VectorEncoding::Base64F16));
        spec.normalize = None;
        let error = postprocess(&[70_000.0], &[], &spec).unwrap_err().to_string();
        assert!(error.contains("beyond 65504"), "{error}");
    }
}
