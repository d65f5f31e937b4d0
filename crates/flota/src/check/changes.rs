//! Whether the answers change with the image as those of a trained network do.

use flota_core::{Dtype, OutputKind};

use super::{
    evidence::{Answer, Evidence},
    finding::Finding,
    range::{Range, highest, lowest},
};

/// Under which part of its largest number a change is none: floating-point sums in another order differ by
/// that much.
const NO_CHANGE: f32 = 1e-6;
/// Under which part of its largest number a change is hardly one.
const LITTLE_CHANGE: f32 = 0.01;
/// The same of logits: it moves a probability of 0.5 by 0.05.
const LITTLE_CHANGE_OF_LOGITS: f32 = 0.2;
/// Nearer to 0 or 1 than this a probability may be rounded to either.
const SATURATED: f32 = 1e-4;
/// The codes of findings that others ask for.
pub(super) const CONSTANT: &str = "CONSTANT";
pub(super) const DEAD_LABEL: &str = "DEAD_LABEL";
/// Most labels that a message names.
const MAX_NAMED: usize = 5;

/// Whether one of the numbers is the same for all images, so that tensors beyond those of images say more.
pub(super) fn is_any_constant(answers: &[Answer]) -> bool {
    (0..length(answers)).any(|index| is_constant(column(answers, index)))
}

/// What is likely wrong where answers do not change.
pub(super) fn mistakes(evidence: &Evidence<'_>) -> Option<Finding> {
    constant(evidence).or_else(|| hardly_changing(evidence)).or_else(|| dead_labels(evidence))
}

fn constant(evidence: &Evidence<'_>) -> Option<Finding> {
    let Evidence { answers, beyond, .. } = evidence;
    let range = Range::of(answers);
    if range.spread > NO_CHANGE * range.lowest.abs().max(range.highest.abs()) {
        return None;
    }
    let said = format!(
        "the network answers the same to {} images that differ widely, all numbers within {:e}",
        answers.len(),
        range.spread
    );
    let heeds_input = (0..length(answers)).any(|index| changes_beyond(evidence, index));
    Some(match heeds_input && !beyond.is_empty() {
        true => {
            let message = format!(
                "{said}, and another to numbers that no image becomes: it finds nothing in generated images, or \
                 `scale`, `mean` and `std` feed it too small a range. Show it images by `flota model predict`"
            );
            Finding::warning(CONSTANT, message)
        }
        false => {
            let message = format!("{said}: is this the trained model, and is the image its input?");
            Finding::error(CONSTANT, message)
        }
    })
}

fn hardly_changing(evidence: &Evidence<'_>) -> Option<Finding> {
    let Evidence { answers, output, input, .. } = evidence;
    let length = length(answers);
    let (changed, limit, what) = match output.kind {
        OutputKind::Softmax | OutputKind::Sigmoid => {
            let logits = logits(evidence);
            let changed = highest((0..length).map(|index| spread(column(&logits, index))));
            (changed, LITTLE_CHANGE_OF_LOGITS, "no logit changes by more than")
        }
        OutputKind::Scores | OutputKind::Regression | OutputKind::Embedding => {
            let part = |index| match largest(column(answers, index)) {
                0.0 => 0.0,
                largest => spread(column(answers, index)) / largest,
            };
            (
                highest((0..length).map(part)),
                LITTLE_CHANGE,
                "no number changes by a larger part than",
            )
        }
    };
    if changed >= limit {
        return None;
    }
    let cure = match (input.dtype, input.scale >= 1.0) {
        (Dtype::U8, _) => "",
        (Dtype::F32, false) => {
            " A network that was trained on 0 to 255, or divides by 255 itself, needs `scale: 1.0`."
        }
        (Dtype::F32, true) => " A network that was trained on 0 to 1 needs `scale` left out.",
    };
    let message = format!(
        "the answers hardly depend on the image: from image to image {what} {changed:.1e}, on {} images that \
         differ widely.{cure} Otherwise ask whether this is the trained model",
        answers.len()
    );
    Some(Finding::warning("HARDLY_CHANGES", message))
}

/// Labels whose number never changes, while those of others do.
fn dead_labels(evidence: &Evidence<'_>) -> Option<Finding> {
    let Evidence { answers, beyond, output, .. } = evidence;
    if output.kind == OutputKind::Embedding {
        return None;
    }
    let is_probability =
        matches!(output.kind, OutputKind::Softmax | OutputKind::Sigmoid) && !output.apply;
    let is_dead = |index: &usize| {
        let numbers = || column(answers, *index);
        let is_saturated = || {
            let (low, high) = (lowest(numbers()), highest(numbers()));
            is_probability && (high < SATURATED || low > 1.0 - SATURATED)
        };
        // A constant logit of a softmax is a label against which the others are measured.
        let is_reference = output.kind == OutputKind::Softmax && output.apply;
        is_constant(numbers())
            && !beyond.is_empty()
            && !is_saturated()
            && !is_reference
            && !changes_beyond(evidence, *index)
    };
    let dead: Vec<usize> = (0..length(answers)).filter(is_dead).collect();
    if dead.is_empty() {
        return None;
    }
    let named: Vec<String> =
        dead.iter().take(MAX_NAMED).map(|index| evidence.name(*index)).collect();
    let more = match dead.len() - named.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let message = format!(
        "the numbers of {}{more} are the same whatever the image: such a label says nothing. Was it trained, \
         and are the labels those of this export?",
        named.join(", ")
    );
    Some(Finding::warning(DEAD_LABEL, message))
}

/// The logits, or what they were before the graph made probabilities of them.
fn logits(evidence: &Evidence<'_>) -> Vec<Answer> {
    let is_softmax = evidence.output.kind == OutputKind::Softmax;
    let logits_of = |numbers: &Vec<f32>| -> Vec<f32> {
        match (evidence.output.apply, is_softmax) {
            // A softmax heeds differences alone.
            (true, true) => {
                let mean = numbers.iter().sum::<f32>() / numbers.len() as f32;
                numbers.iter().map(|number| number - mean).collect()
            }
            (true, false) => numbers.clone(),
            (false, _) => numbers.iter().map(|number| logit(*number)).collect(),
        }
    };
    evidence.answers.iter().map(|(image, numbers)| (*image, logits_of(numbers))).collect()
}

fn logit(probability: f32) -> f32 {
    let probability = probability.clamp(NO_CHANGE, 1.0 - NO_CHANGE);
    (probability / (1.0 - probability)).ln()
}

fn length(answers: &[Answer]) -> usize {
    answers.iter().map(|(_, numbers)| numbers.len()).min().unwrap_or(0)
}

/// What is answered for one label, image by image.
fn column(answers: &[Answer], index: usize) -> impl Iterator<Item = f32> + Clone {
    answers.iter().map(move |(_, numbers)| numbers[index])
}

fn is_constant(numbers: impl Iterator<Item = f32> + Clone) -> bool {
    spread(numbers.clone()) <= NO_CHANGE * largest(numbers)
}

/// Whether a number is another for tensors beyond those of images. What is no number is another.
fn changes_beyond(evidence: &Evidence<'_>, index: usize) -> bool {
    let known = evidence.answers[0].1[index];
    let is_other = |number: &f32| {
        number.is_nan() || (number - known).abs() > NO_CHANGE * known.abs().max(number.abs())
    };
    evidence.beyond.iter().filter_map(|numbers| numbers.get(index)).any(is_other)
}

fn spread(numbers: impl Iterator<Item = f32> + Clone) -> f32 {
    highest(numbers.clone()) - lowest(numbers)
}

fn largest(numbers: impl Iterator<Item = f32>) -> f32 {
    highest(numbers.map(f32::abs))
}

#[cfg(test)]
mod tests {
    use flota_worker::Structure;

    use super::*;
    use crate::check::{finding::Level, testing::manifest};

    #[track_caller]
    fn check(
        output: &str,
        answers: &[[f32; 3]],
        beyond: &[[f32; 3]],
        wanted: Option<(&str, Level, &str)>,
    ) {
        let manifest = manifest(output);
        let answers: Vec<Answer> = answers.iter().map(|row| ("black", row.to_vec())).collect();
        let beyond: Vec<Vec<f32>> = beyond.iter().map(|row| row.to_vec()).collect();
        let labels = ["x", "y", "z"].map(String::from);
        let evidence = Evidence {
            input: &manifest.input,
            output: &manifest.output,
            labels: &labels,
            structure: &Structure::default(),
            answers: &answers,
            beyond: &beyond,
        };
        let found = mistakes(&evidence);
        match (wanted, &found) {
            (None, None) => {}
            (Some((code, level, part)), Some(found)) => {
                assert_eq!((found.code, found.level), (code, level), "{output}: {}", found.message);
                assert!(found.message.contains(part), "{}", found.message);
            }
            _ => panic!("{output} {answers:?}: {found:?}"),
        }
    }

    #[test]
    fn an_answer_that_never_changes_is_found() {
        let constant = Some(("CONSTANT", Level::Error, "answers the same to 2 images"));
        let saturated = Some(("CONSTANT", Level::Warning, "finds nothing in generated images"));
        for output in ["kind: softmax", "kind: embedding", "kind: regression"] {
            for row in [[0.2, 0.3, 0.5], [0.0; 3]] {
                check(output, &[row; 2], &[row; 2], constant);
                check(output, &[row; 2], &[], constant);
                check(output, &[row; 2], &[row, [0.0, 9.0, 0.0]], saturated);
                check(output, &[row; 2], &[row, [f32::NAN; 3]], saturated);
            }
        }
    }

    #[test]
    fn an_answer_that_hardly_changes_is_found() {
        let hardly = Some(("HARDLY_CHANGES", Level::Warning, "needs `scale: 1.0`"));
        check("kind: scores", &[[0.7, 0.2, 0.1], [0.7001, 0.2, 0.1001]], &[], hardly);
        check("kind: embedding", &[[0.7, 0.2, 0.1], [0.7001, 0.2, 0.1]], &[], hardly);
        check("kind: softmax", &[[0.66, 0.24, 0.1], [0.65, 0.25, 0.1]], &[], hardly);
        check("kind: softmax, apply: true", &[[2.0, 1.0, 0.0], [2.1, 1.1, 0.0]], &[], hardly);
        // What is shifted as a whole is the same to a softmax, and not to a sigmoid.
        check("kind: softmax, apply: true", &[[2.0, 1.0, 0.0], [7.0, 6.0, 5.0]], &[], hardly);
        check("kind: sigmoid, apply: true", &[[2.0, 1.0, 0.0], [7.0, 6.0, 5.0]], &[], None);
        // Sure of a rare label, and still another answer.
        check("kind: sigmoid", &[[1e-4, 1e-3, 1e-3], [3e-4, 1e-3, 1e-3]], &[], None);
        check("kind: softmax", &[[0.9995, 3e-4, 2e-4], [0.9998, 1e-4, 1e-4]], &[], None);
        check("kind: regression", &[[0.2, 0.3, 0.5], [0.2, 0.3, 0.51]], &[], None);
    }

    #[test]
    fn a_label_that_never_changes_while_others_do_is_found() {
        let dead = Some(("DEAD_LABEL", Level::Warning, "the numbers of `y` are the same"));
        let (answers, beyond) = ([[0.7, 0.0, 0.1], [0.1, 0.0, 0.9]], [[70.0, 0.0, 10.0]]);
        check("kind: scores", &answers, &beyond, dead);
        let other = [[70.0, 3.0, 10.0]];
        check("kind: scores", &answers, &other, None);
        check("kind: scores", &answers, &[], None);
        // Rounded to 0, and a label against which the others are measured.
        check("kind: softmax", &[[0.9, 0.0, 0.1], [0.1, 0.0, 0.9]], &[[1.0, 0.0, 0.0]], None);
        check("kind: softmax, apply: true", &answers, &beyond, None);
    }
}
