//! Golden examples: images of a model folder, and what the model is known to say of them.

use std::path::Path;

use anyhow::{Context, bail};
use flota_core::{LabelScore, Output};
use flota_engine::{Model, Session};
use serde::Deserialize;
use thiserror::Error;

use crate::{
    Engines, WatchedSession,
    folder::file::{RegularFile, SizeLimit},
    predict,
};

/// Where a model folder keeps its golden examples.
pub const EXAMPLES_FILE: &str = "golden/examples.json";

/// The form of that file.
const EXAMPLES_FORM: &str =
    r#"{"tolerance": 1e-3, "examples": [{"image": "golden/x.png", "output": {…}}]}"#;

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

/// Why an example may come out otherwise though the model is right: two decoders of JPEG differ by up to
/// two levels of 255, and a network may heed that.
const JPEG_HINT: &str = "the image is a JPEG, which decoders do not read alike to the last level: Pillow's \
    answers differ by that much. Save what Pillow read as PNG, or allow a `tolerance` of 0.02";

impl Example {
    /// What else may explain that it comes out otherwise.
    fn hint(&self) -> Option<&'static str> {
        let name = self.image.to_ascii_lowercase();
        [".jpg", ".jpeg", ".jfif"].iter().any(|end| name.ends_with(end)).then_some(JPEG_HINT)
    }
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
            .with_context(|| format!("{} is not of the form {EXAMPLES_FORM}", path.display()))?;
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
        let listed_count = model.manifest().output.listed_count(model.labels().len());
        let within = Within { tolerance: self.tolerance, listed_count };
        Ok(match (compare_outputs(&example.output, &found, within), example.hint()) {
            (Compared::Other(difference), Some(hint)) => {
                Compared::Other(format!("{difference}; {hint}"))
            }
            (compared, _) => compared,
        })
    }
}

/// Checks that the model says of its golden examples what it is known to say, if `folder` has any.
///
/// # Errors
/// [`GoldenMismatch`], or if the examples cannot be read or run.
pub(crate) fn verify(model: &Model, folder: &Path, engines: &Engines) -> anyhow::Result<()> {
    let Some(examples) = Examples::read(folder)? else { return Ok(()) };
    let mut session = engines.session(model, 1).context("setting up the engine")?;
    for example in &examples.examples {
        let compared = examples.compare(example, folder, model, &mut session)?;
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
    model.keep_spare(WatchedSession::into_inner(session));
    Ok(())
}

/// How far answers may differ.
#[derive(Clone, Copy)]
struct Within {
    /// Of a score.
    tolerance: f32,
    /// How many labels are listed for their scores, those with a threshold aside.
    listed_count: usize,
}

impl Within {
    fn are_near(self, a: f32, b: f32) -> bool {
        (a - b).abs() <= self.tolerance
    }

    /// Whether a label of `score` may be listed in one answer and not in `other`: it is about as high as the
    /// lowest that is listed there for its score. Where all scores are near, the lowest are, too.
    fn is_at_edge(self, score: f32, other: &[LabelScore]) -> bool {
        let mut scores: Vec<f32> = other.iter().map(|other| other.score).collect();
        scores.sort_by(|a, b| b.total_cmp(a));
        let lowest = self.listed_count.checked_sub(1).and_then(|last| scores.get(last));
        lowest.is_some_and(|lowest| self.are_near(score, *lowest))
    }
}

fn compare_outputs(wanted: &Output, found: &Output, within: Within) -> Compared {
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
        _ => match pair_scores(wanted.scores(), found.scores(), within) {
            Ok(pairs) => pairs,
            Err(difference) => return Compared::Other(difference),
        },
    };
    let mut largest_difference = 0.0_f32;
    for (label, wanted, found) in pairs {
        let difference = (wanted - found).abs();
        if !within.are_near(wanted, found) {
            return Compared::Other(format!("`{label}` is {found} instead of {wanted}"));
        }
        largest_difference = largest_difference.max(difference);
    }
    Compared::Equal { largest_difference }
}

/// Pairs scores by their indices: two labels may be equal, as the two `crane` of ImageNet. Near each other,
/// two scores may have changed places, and at the edge of what is listed one may have taken the place of
/// another, which has no pair then.
fn pair_scores(
    wanted_all: &[LabelScore],
    found_all: &[LabelScore],
    within: Within,
) -> Result<Vec<(String, f32, f32)>, String> {
    let of_index = |all: &'_ [LabelScore], index| all.iter().position(|score| score.index == index);
    for found in found_all {
        if of_index(wanted_all, found.index).is_none()
            && !within.is_at_edge(found.score, wanted_all)
        {
            return Err(format!("`{}` is listed", found.label));
        }
    }
    let mut pairs = Vec::new();
    for wanted in wanted_all {
        let Some(found) = of_index(found_all, wanted.index).map(|place| &found_all[place]) else {
            match within.is_at_edge(wanted.score, found_all) {
                true => continue,
                false => return Err(format!("`{}` is not listed", wanted.label)),
            }
        };
        if wanted.label != found.label {
            let (index, wanted, found) = (wanted.index, &wanted.label, &found.label);
            return Err(format!("the label at index {index} is `{found}` instead of `{wanted}`"));
        }
        let is_near = within.are_near(wanted.score, found.score);
        if wanted.flagged != found.flagged && !is_near {
            return Err(format!("`{}` is flagged otherwise", wanted.label));
        }
        if wanted.flagged == found.flagged && wanted.advice != found.advice {
            let advice = |score: &LabelScore| score.advice.clone().unwrap_or("none".to_owned());
            let (label, wanted, found) = (&wanted.label, advice(wanted), advice(found));
            return Err(format!("the advice for `{label}` is {found:?} instead of {wanted:?}"));
        }
        pairs.push((wanted.label.clone(), wanted.score, found.score));
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use flota_core::{Embedding, VectorEncoding};

    use super::*;

    /// Of which two are equal, as in ImageNet.
    const LABELS: [&str; 6] = ["cat", "dog", "cow", "crane", "owl", "crane"];

    fn output(scores: &[(u32, f32)]) -> Output {
        let score = |(index, score): &(u32, f32)| LabelScore {
            label: LABELS[*index as usize].into(),
            index: *index,
            score: *score,
            flagged: None,
            advice: None,
        };
        Output::Softmax { scores: scores.iter().map(score).collect() }
    }

    fn within(listed_count: usize) -> Within {
        Within { tolerance: 0.01, listed_count }
    }

    /// With as many labels listed as are wanted.
    #[track_caller]
    fn check(wanted: &[(u32, f32)], found: &[(u32, f32)], is_equal: bool) {
        let compared = compare_outputs(&output(wanted), &output(found), within(wanted.len()));
        assert_eq!(matches!(compared, Compared::Equal { .. }), is_equal, "{compared:?}");
    }

    #[test]
    fn answers_are_equal_within_the_tolerance() {
        check(&[(0, 0.7), (1, 0.3)], &[(0, 0.695), (1, 0.305)], true);
        check(&[(0, 0.5), (1, 0.499)], &[(1, 0.5), (0, 0.499)], true);
        check(&[(0, 0.7), (1, 0.3)], &[(0, 0.6), (1, 0.4)], false);
        check(&[(0, 0.7)], &[(0, f32::NAN)], false);
        check(&[(0, 0.7), (1, 0.2)], &[(0, 0.7)], false);
        check(&[(0, 0.7)], &[(2, 0.9)], false);
        check(&[(0, 0.7)], &[(0, 0.7), (1, 0.3)], false);
    }

    #[test]
    fn labels_that_are_called_the_same_are_told_apart() {
        check(&[(3, 0.6), (5, 0.3)], &[(3, 0.6), (5, 0.3)], true);
        check(&[(3, 0.6), (5, 0.3)], &[(5, 0.6), (3, 0.3)], false);
        let [wanted, mut found] = [output(&[(0, 0.7)]), output(&[(0, 0.7)])];
        if let Output::Softmax { scores } = &mut found {
            scores[0].label = "dog".to_owned();
        }
        let compared = compare_outputs(&wanted, &found, within(1));
        let difference = "the label at index 0 is `dog` instead of `cat`".to_owned();
        assert_eq!(compared, Compared::Other(difference));
    }

    #[test]
    fn a_tie_at_the_edge_of_what_is_listed_is_no_difference() {
        check(&[(0, 0.6), (1, 0.2)], &[(0, 0.6), (2, 0.2)], true);
        check(&[(0, 0.6), (1, 0.2)], &[(0, 0.6), (2, 0.205)], true);
        check(&[(0, 0.6), (1, 0.2)], &[(0, 0.6), (2, 0.22)], false);
        check(&[(0, 0.6), (1, 0.2)], &[(0, 0.6), (2, 0.18)], false);
        check(&[(0, 0.6), (1, 0.2)], &[(1, 0.2), (2, 0.2)], false);
        check(&[(0, 0.3), (1, 0.3), (2, 0.3)], &[(2, 0.3), (3, 0.3), (4, 0.3)], true);
        // All labels are listed where there are no more.
        let fewer =
            compare_outputs(&output(&[(0, 0.6), (1, 0.2)]), &output(&[(0, 0.6)]), within(3));
        assert_eq!(fewer, Compared::Other("`dog` is not listed".to_owned()));
    }

    /// One with a threshold is listed however low it is, and so is no edge.
    #[test]
    fn a_label_with_a_threshold_is_listed_beside_the_others() {
        let answer = |scores: &[(u32, f32, Option<bool>)]| {
            let mut output = output(&scores.iter().map(|(i, s, _)| (*i, *s)).collect::<Vec<_>>());
            if let Output::Softmax { scores: made } = &mut output {
                made.iter_mut().zip(scores).for_each(|(score, (.., flag))| score.flagged = *flag);
            }
            output
        };
        let dog = |score: f32| (1, score, Some(false));
        let two = |other: u32, at: f32| answer(&[(0, 0.6, None), (other, at, None), dog(0.01)]);
        let equal = |a: &Output, b: &Output| {
            matches!(compare_outputs(a, b, within(2)), Compared::Equal { .. })
        };
        assert!(equal(&two(2, 0.2), &two(4, 0.2)));
        assert!(!equal(&two(2, 0.2), &two(4, 0.05)));
        // It is now among the two highest, so that one is listed less.
        let (before, after) = (
            answer(&[(0, 0.6, None), (2, 0.2, None), dog(0.198)]),
            answer(&[(0, 0.6, None), dog(0.2)]),
        );
        assert!(equal(&before, &after) && equal(&after, &before));
    }

    #[test]
    fn advice_is_compared_where_both_flag_the_label() {
        let advised = |flagged, advice: Option<&str>| {
            let mut output = output(&[(0, 0.5)]);
            output.scores_mut()[0].flagged = Some(flagged);
            output.scores_mut()[0].advice = advice.map(str::to_owned);
            output
        };
        let compare = |a, b| compare_outputs(&a, &b, within(1));
        let (advice, other) = (Some("more light"), Some("less light"));
        let is_equal = |compared| matches!(compared, Compared::Equal { .. });
        assert!(is_equal(compare(advised(true, advice), advised(true, advice))));
        // At the threshold a score may be flagged or not.
        assert!(is_equal(compare(advised(true, advice), advised(false, None))));
        let found = compare(advised(true, advice), advised(true, other));
        let difference = "the advice for `cat` is \"less light\" instead of \"more light\"";
        assert_eq!(found, Compared::Other(difference.to_owned()));
    }

    #[test]
    fn a_jpeg_is_a_reason_for_small_differences() {
        let example = |image: &str| Example { image: image.to_owned(), output: output(&[]) };
        assert!(example("golden/a.JPG").hint().is_some_and(|hint| hint.contains("PNG")));
        assert_eq!(example("golden/a.png").hint(), None);
    }

    #[test]
    fn examples_of_another_form_are_answered_with_theirs() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("golden")).unwrap();
        std::fs::write(folder.path().join(EXAMPLES_FILE), "[]").unwrap();
        let error = Examples::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains(r#"{"tolerance": 1e-3, "examples": ["#), "{error}");
    }

    #[test]
    fn another_kind_is_another_answer() {
        let vector = Embedding::new(vec![0.5], VectorEncoding::Json).unwrap();
        let vector = Output::Embedding(vector);
        let compared = compare_outputs(&vector, &output(&[(0, 0.5)]), within(1));
        assert!(matches!(compared, Compared::Other(_)));
    }
}
