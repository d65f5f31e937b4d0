use std::{fs, io, path::Path};

use anyhow::{Context, bail};
use flota_core::{LabelScore, Output};
use serde::Deserialize;

/// Where a model folder keeps its golden examples.
pub(super) const EXAMPLES_FILE: &str = "golden/examples.json";

/// Images and what the model is known to say of them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Examples {
    /// How far a score may be off.
    pub tolerance: f32,
    /// At least one.
    pub examples: Vec<Example>,
}

/// An image and what the model is known to say of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Example {
    /// The image's file, relative to the model folder.
    pub image: String,
    /// What the model says.
    pub output: Output,
}

/// How an example came out.
#[derive(Debug, PartialEq)]
pub(super) enum Compared {
    /// As wanted.
    Equal {
        /// The largest difference of a score.
        largest_difference: f32,
    },
    /// Otherwise, and how.
    Other(String),
}

/// The examples of a model folder; `None` where it has none.
pub(super) fn read(folder: &Path) -> anyhow::Result<Option<Examples>> {
    let path = folder.join(EXAMPLES_FILE);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let examples: Examples =
        serde_json::from_str(&text).with_context(|| format!("{} is wrong", path.display()))?;
    if examples.examples.is_empty() || examples.tolerance.is_nan() || examples.tolerance < 0.0 {
        bail!("{} needs an example and a tolerance that is not negative", path.display());
    }
    Ok(Some(examples))
}

/// Shows an example's image to the model and compares what it says.
///
/// # Errors
/// If the image cannot be read, or the model cannot run on it.
pub(super) fn compare(
    predict: impl FnOnce(&[u8]) -> anyhow::Result<Output>,
    folder: &Path,
    example: &Example,
    tolerance: f32,
) -> anyhow::Result<Compared> {
    let path = folder.join(&example.image);
    let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let found = predict(&bytes).with_context(|| format!("cannot look at {}", path.display()))?;
    Ok(compare_outputs(&example.output, &found, tolerance))
}

fn compare_outputs(wanted: &Output, found: &Output, tolerance: f32) -> Compared {
    if std::mem::discriminant(wanted) != std::mem::discriminant(found) {
        return Compared::Other("the kind of the answer is another".to_owned());
    }
    let pairs = match (wanted, found) {
        (Output::Embedding { vector: wanted }, Output::Embedding { vector: found }) => {
            if wanted.len() != found.len() {
                let lengths = format!("{} numbers instead of {}", found.len(), wanted.len());
                return Compared::Other(lengths);
            }
            let named =
                |(n, (wanted, found)): (usize, (&f32, &f32))| (n.to_string(), *wanted, *found);
            wanted.iter().zip(found).enumerate().map(named).collect()
        }
        _ => match pair_scores(wanted.scores(), found.scores(), tolerance) {
            Ok(pairs) => pairs,
            Err(difference) => return Compared::Other(difference),
        },
    };
    let mut largest_difference = 0.0_f32;
    for (label, wanted, found) in pairs {
        let difference = (wanted - found).abs();
        if difference.is_nan() || difference > tolerance {
            return Compared::Other(format!("`{label}` is {found} instead of {wanted}"));
        }
        largest_difference = largest_difference.max(difference);
    }
    Compared::Equal { largest_difference }
}

/// Pairs scores by their labels: near each other, two may have changed places.
fn pair_scores(
    wanted: &[LabelScore],
    found: &[LabelScore],
    tolerance: f32,
) -> Result<Vec<(String, f32, f32)>, String> {
    if wanted.len() != found.len() {
        return Err(format!("{} labels instead of {}", found.len(), wanted.len()));
    }
    let mut pairs = Vec::new();
    for wanted in wanted {
        let Some(found) = found.iter().find(|score| score.label == wanted.label) else {
            return Err(format!("`{}` is not listed", wanted.label));
        };
        let is_near = (wanted.score - found.score).abs() <= tolerance;
        if wanted.flagged != found.flagged && !is_near {
            return Err(format!("`{}` is flagged otherwise", wanted.label));
        }
        pairs.push((wanted.label.clone(), wanted.score, found.score));
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(scores: &[(&str, f32)]) -> Output {
        let score = |(label, score): &(&str, f32)| LabelScore {
            label: (*label).into(),
            index: 0,
            score: *score,
            flagged: None,
        };
        Output::Softmax { scores: scores.iter().map(score).collect() }
    }

    #[track_caller]
    fn check(wanted: &[(&str, f32)], found: &[(&str, f32)], is_equal: bool) {
        let compared = compare_outputs(&output(wanted), &output(found), 0.01);
        assert_eq!(matches!(compared, Compared::Equal { .. }), is_equal, "{compared:?}");
    }

    #[test]
    fn answers_are_equal_within_the_tolerance() {
        check(&[("cat", 0.7), ("dog", 0.3)], &[("cat", 0.695), ("dog", 0.305)], true);
        check(&[("cat", 0.5), ("dog", 0.499)], &[("dog", 0.5), ("cat", 0.499)], true);
        check(&[("cat", 0.7), ("dog", 0.3)], &[("cat", 0.6), ("dog", 0.4)], false);
        check(&[("cat", 0.7)], &[("cat", f32::NAN)], false);
        check(&[("cat", 0.7)], &[("cow", 0.7)], false);
        check(&[("cat", 0.7)], &[("cat", 0.7), ("dog", 0.3)], false);
    }

    #[test]
    fn another_kind_is_another_answer() {
        let vector = Output::Embedding { vector: vec![0.5] };
        let compared = compare_outputs(&vector, &output(&[("cat", 0.5)]), 1.0);
        assert!(matches!(compared, Compared::Other(_)));
    }
}
