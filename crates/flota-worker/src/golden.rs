//! Golden examples: images of a model folder, and what the model is known to say of them.

use std::path::Path;

use anyhow::{Context, bail};
use flota_core::{LabelScore, Output};
use flota_engine::{Model, Session};
use serde::Deserialize;
use thiserror::Error;

use crate::folder::{
    file::{RegularFile, SizeLimit},
    predict,
};

/// Where a model folder keeps its golden examples.
pub const EXAMPLES_FILE: &str = "golden/examples.json";

/// Images and what the model is known to say of them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Examples {
    /// How far a score may be off.
    pub tolerance: f32,
    /// At least one.
    pub examples: Vec<Example>,
}

/// An image and what the model is known to say of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// The image's file, relative to the model folder.
    pub image: String,
    /// What the model says.
    pub output: Output,
}

/// How an example came out.
#[derive(Debug, PartialEq)]
pub enum Compared {
    /// As expected.
    Equal {
        /// The largest difference of a score.
        largest_difference: f32,
    },
    /// Otherwise, and how.
    Other(String),
}

/// A model that does not say of an example's image what it is known to say, and is not served.
#[derive(Debug, Error)]
#[error(
    "golden example {image} of `{model}` comes out otherwise on {engine}: {difference}. The model is \
    not served: run it on the engine that the examples were made with (`engine.kind`), or make them \
    anew; `engine.check_golden = false` serves it unchecked"
)]
pub struct GoldenMismatch {
    model: String,
    engine: String,
    image: String,
    difference: String,
}

impl Examples {
    /// The examples of a model folder; `None` where it has none.
    ///
    /// # Errors
    /// If the file cannot be read, or is not one of examples.
    pub fn read(folder: &Path) -> anyhow::Result<Option<Self>> {
        let path = folder.join(EXAMPLES_FILE);
        let opened = RegularFile::open_in(folder, Path::new(EXAMPLES_FILE), SizeLimit::EXAMPLES);
        let bytes = match opened.and_then(RegularFile::read) {
            Ok(bytes) => bytes,
            Err(error) if error.is_missing() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let examples: Self = serde_json::from_slice(&bytes)
            .with_context(|| format!("{} is wrong", path.display()))?;
        if examples.examples.is_empty() || examples.tolerance.is_nan() || examples.tolerance < 0.0 {
            bail!("{} needs an example and a tolerance that is not negative", path.display());
        }
        Ok(Some(examples))
    }

    /// Shows the image of `example`, which is in `folder`, to the model, and compares what it says.
    ///
    /// # Errors
    /// If the image cannot be read, or the model cannot run on it.
    pub fn compare(
        &self,
        example: &Example,
        folder: &Path,
        model: &Model,
        session: &mut dyn Session,
    ) -> anyhow::Result<Compared> {
        let path = folder.join(&example.image);
        let limit = SizeLimit::new(model.manifest().limits.max_bytes, "`limits.max_bytes` says so");
        let bytes = RegularFile::open_in(folder, Path::new(&example.image), limit)?.read()?;
        let found = predict(model, session, &bytes)
            .with_context(|| format!("cannot look at {}", path.display()))?;
        Ok(compare_outputs(&example.output, &found, self.tolerance))
    }
}

/// Checks that the model says of its golden examples what it is known to say, if `folder` has any.
///
/// # Errors
/// [`GoldenMismatch`], or if the examples cannot be read or run.
pub(crate) fn verify(model: &Model, folder: &Path) -> anyhow::Result<()> {
    let Some(examples) = Examples::read(folder)? else { return Ok(()) };
    let mut session = model.session(1).context("setting up the engine")?;
    for example in &examples.examples {
        let compared = examples.compare(example, folder, model, session.as_mut())?;
        if let Compared::Other(difference) = compared {
            return Err(GoldenMismatch {
                model: model.manifest().name.to_string(),
                engine: model.runtime().to_string(),
                image: example.image.clone(),
                difference,
            }
            .into());
        }
    }
    model.keep_spare(session);
    Ok(())
}

fn compare_outputs(wanted: &Output, found: &Output, tolerance: f32) -> Compared {
    if std::mem::discriminant(wanted) != std::mem::discriminant(found) {
        return Compared::Other("the kind of the answer is another".to_owned());
    }
    let pairs = match (wanted, found) {
        (Output::Embedding(wanted), Output::Embedding(found)) => {
            let (wanted, found) = (wanted.vector(), found.vector());
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
    use flota_core::{Embedding, VectorEncoding};

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
        let vector = Embedding::new(vec![0.5], VectorEncoding::Json).unwrap();
        let vector = Output::Embedding(vector);
        let compared = compare_outputs(&vector, &output(&[("cat", 0.5)]), 1.0);
        assert!(matches!(compared, Compared::Other(_)));
    }
}
