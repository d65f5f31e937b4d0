//! What in the answers to made pictures is likely a mistake of the manifest's `output`.

use flota_core::{OutputKind, OutputSpec};

use super::finding::Finding;

/// How far a sum of probabilities may be from 1, and a probability beyond 0 and 1: networks in eight bits
/// round that much.
const TOLERANCE: f32 = 0.02;
/// Under which part of its largest number a change is none: floating-point sums in another order differ by
/// that much.
const NO_CHANGE: f32 = 1e-6;
/// How many numbers make it sure that logits do not all lie between 0 and 1 by chance.
const SURE_COUNT: usize = 20;

/// A made picture, and what the network answers before any softmax or sigmoid of ours.
pub(super) type Answer = (&'static str, Vec<f32>);

/// What is likely wrong with `output`, by the `answers` to pictures that differ widely.
pub(super) fn mistakes(output: &OutputSpec, answers: &[Answer]) -> Vec<Finding> {
    let not_finite = answers.iter().find_map(|(picture, numbers)| {
        let index = numbers.iter().position(|number| !number.is_finite())?;
        Some(Finding::error(
            "NOT_FINITE",
            format!(
                "the network answers {} at index {index} to a picture of {picture}: such an image fails. \
                 Check `scale`, `mean` and `std`, and whether the export kept the precision",
                numbers[index]
            ),
        ))
    });
    if let Some(finding) = not_finite {
        return vec![finding];
    }
    let range = Range::of(answers);
    if range.spread <= NO_CHANGE * range.lowest.abs().max(range.highest.abs()) {
        let message = format!(
            "the network answers the same to {} pictures that differ widely, all numbers within {:e}: is \
             this the trained model, and is the image its input?",
            answers.len(),
            range.spread
        );
        return vec![Finding::error("CONSTANT", message)];
    }
    let finding = match output.kind {
        OutputKind::Softmax => softmax(output.apply, answers, &range),
        OutputKind::Sigmoid => sigmoid(output.apply, answers, &range),
        OutputKind::Scores | OutputKind::Regression | OutputKind::Embedding => None,
    };
    finding.into_iter().collect()
}

fn softmax(is_applied: bool, answers: &[Answer], range: &Range) -> Option<Finding> {
    if answers.iter().any(|(_, numbers)| numbers.len() == 1) {
        let message = "`kind: softmax` of one number is always 1: write `kind: sigmoid`";
        return Some(Finding::error("SOFTMAX_OF_ONE", message.to_owned()));
    }
    if is_applied && range.is_probabilities() && range.sums_to_one() {
        let highest = softmax_of_highest(&answers[0].1);
        let message = format!(
            "softmax is applied twice: the network's numbers sum to 1 already on each of {} made \
             pictures, and with `apply: true` the highest probability of the picture of {} falls from \
             {:.3} to {highest:.3}. Leave out `apply`",
            answers.len(),
            answers[0].0,
            answers[0].1.iter().copied().fold(0.0, f32::max)
        );
        return Some(Finding::error("SOFTMAX_TWICE", message));
    }
    if is_applied || (range.is_probabilities() && range.sums_to_one()) {
        return None;
    }
    let numbers = format!(
        "on made pictures they reach from {:.3} to {:.3}, and their sums from {:.3} to {:.3}",
        range.lowest, range.highest, range.lowest_sum, range.highest_sum
    );
    let message = if range.is_probabilities() {
        format!(
            "`kind: softmax` promises probabilities that sum to 1, but the network's do not: {numbers}. \
             If each label stands for itself, write `kind: sigmoid`"
        )
    } else {
        format!(
            "`kind: softmax` without `apply` promises probabilities, but the network answers logits: \
             {numbers}. Write `apply: true`"
        )
    };
    Some(Finding::error("NOT_PROBABILITIES", message))
}

fn sigmoid(is_applied: bool, answers: &[Answer], range: &Range) -> Option<Finding> {
    if is_applied && range.is_probabilities() {
        let count = answers.iter().map(|(_, numbers)| numbers.len()).sum::<usize>();
        let message = format!(
            "the sigmoid seems to be applied twice: the network's numbers reach from {:.3} to {:.3} on \
             {} made pictures, so that every score lies between 0.5 and 0.74. If the graph ends in a \
             sigmoid, leave out `apply`",
            range.lowest,
            range.highest,
            answers.len()
        );
        let level = if count >= SURE_COUNT { Finding::error } else { Finding::warning };
        return Some(level("SIGMOID_TWICE", message));
    }
    if is_applied {
        return None;
    }
    if !range.is_probabilities() {
        let message = format!(
            "`kind: sigmoid` without `apply` promises numbers from 0 to 1, but the network answers \
             logits: on made pictures they reach from {:.3} to {:.3}. Write `apply: true`",
            range.lowest, range.highest
        );
        return Some(Finding::error("NOT_PROBABILITIES", message));
    }
    let has_more = answers.iter().all(|(_, numbers)| numbers.len() > 1);
    (has_more && range.sums_to_one()).then(|| {
        let message = format!(
            "the network's numbers sum to 1 on each of {} made pictures, as those of a softmax do: if \
             the labels exclude each other, write `kind: softmax`",
            answers.len()
        );
        Finding::warning("SUMS_TO_ONE", message)
    })
}

/// What `softmax` makes of the highest of `numbers`.
fn softmax_of_highest(numbers: &[f32]) -> f32 {
    let highest = numbers.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    1.0 / numbers.iter().map(|number| (number - highest).exp()).sum::<f32>()
}

/// Between which values all answers move.
struct Range {
    lowest: f32,
    highest: f32,
    lowest_sum: f32,
    highest_sum: f32,
    /// The most that one number changes from picture to picture.
    spread: f32,
}

impl Range {
    fn of(answers: &[Answer]) -> Self {
        let numbers = || answers.iter().flat_map(|(_, numbers)| numbers.iter().copied());
        let sums = || answers.iter().map(|(_, numbers)| numbers.iter().sum::<f32>());
        let length = answers.iter().map(|(_, numbers)| numbers.len()).min().unwrap_or(0);
        let spread_of = |index: usize| {
            let values = || answers.iter().map(move |(_, numbers)| numbers[index]);
            highest(values()) - lowest(values())
        };
        Self {
            lowest: lowest(numbers()),
            highest: highest(numbers()),
            lowest_sum: lowest(sums()),
            highest_sum: highest(sums()),
            spread: highest((0..length).map(spread_of)),
        }
    }

    fn is_probabilities(&self) -> bool {
        self.lowest >= -TOLERANCE && self.highest <= 1.0 + TOLERANCE
    }

    fn sums_to_one(&self) -> bool {
        (self.lowest_sum - 1.0).abs() <= TOLERANCE && (self.highest_sum - 1.0).abs() <= TOLERANCE
    }
}

fn lowest(values: impl Iterator<Item = f32>) -> f32 {
    values.fold(f32::INFINITY, f32::min)
}

fn highest(values: impl Iterator<Item = f32>) -> f32 {
    values.fold(f32::NEG_INFINITY, f32::max)
}

#[cfg(test)]
mod tests {
    use flota_core::Manifest;

    use super::*;
    use crate::check::finding::Level;

    const LOGITS: [[f32; 3]; 2] = [[4.0, -2.0, 1.5], [-1.0, 3.0, 0.0]];
    const PROBABILITIES: [[f32; 3]; 2] = [[0.7, 0.2, 0.1], [0.05, 0.15, 0.8]];
    const INDEPENDENT: [[f32; 3]; 2] = [[0.9, 0.8, 0.1], [0.05, 0.6, 0.8]];

    #[track_caller]
    fn check(output: &str, answers: &[[f32; 3]], wanted: Option<(&str, Level, &str)>) {
        let text = format!(
            "{{format: 2, name: a, version: '1', weights: {{file: a}}, labels: [x, y, z], \
             input: {{width: 8, height: 8, resize: {{mode: exact}}}}, output: {{{output}}}}}"
        );
        let text = if output.contains("embedding") {
            text.replace("labels: [x, y, z],", "")
        } else {
            text
        };
        let spec = Manifest::parse("model.yaml", &text).unwrap().output;
        let answers: Vec<Answer> = answers.iter().map(|row| ("black", row.to_vec())).collect();
        let found = mistakes(&spec, &answers);
        match wanted {
            None => assert!(found.is_empty(), "{output}: {found:?}"),
            Some((code, level, cure)) => {
                assert_eq!(found.len(), 1, "{output}: {found:?}");
                assert_eq!((found[0].code, found[0].level), (code, level), "{output}");
                assert!(found[0].message.contains(cure), "{}", found[0].message);
            }
        }
    }

    #[test]
    fn logits_and_probabilities_are_told_apart() {
        let wrong = |cure| Some(("NOT_PROBABILITIES", Level::Error, cure));
        check("kind: softmax, apply: true", &LOGITS, None);
        check("kind: softmax", &PROBABILITIES, None);
        check("kind: softmax", &LOGITS, wrong("Write `apply: true`"));
        check("kind: softmax", &INDEPENDENT, wrong("write `kind: sigmoid`"));
        let twice = Some(("SOFTMAX_TWICE", Level::Error, "falls from 0.700 to 0.464"));
        check("kind: softmax, apply: true", &PROBABILITIES, twice);
        check("kind: sigmoid, apply: true", &LOGITS, None);
        check("kind: sigmoid", &INDEPENDENT, None);
        check("kind: sigmoid", &LOGITS, wrong("Write `apply: true`"));
        let twice = Some(("SIGMOID_TWICE", Level::Warning, "leave out `apply`"));
        check("kind: sigmoid, apply: true", &INDEPENDENT, twice);
        let softmax = Some(("SUMS_TO_ONE", Level::Warning, "write `kind: softmax`"));
        check("kind: sigmoid", &PROBABILITIES, softmax);
        for kind in ["scores", "regression", "embedding"] {
            for answers in [&LOGITS, &PROBABILITIES, &INDEPENDENT] {
                check(&format!("kind: {kind}"), answers, None);
            }
        }
    }

    #[test]
    fn an_answer_that_never_changes_is_found() {
        let constant = Some(("CONSTANT", Level::Error, "answers the same to 2 pictures"));
        for output in ["kind: softmax", "kind: embedding", "kind: regression"] {
            check(output, &[[0.2, 0.3, 0.5]; 2], constant);
            check(output, &[[0.0; 3]; 2], constant);
        }
        check("kind: regression", &[[0.2, 0.3, 0.5], [0.2, 0.3, 0.501]], None);
    }

    #[test]
    fn an_answer_that_is_no_number_is_found() {
        let wanted = Some(("NOT_FINITE", Level::Error, "at index 1 to a picture of black"));
        check("kind: scores", &[[0.2, f32::NAN, 0.5]; 2], wanted);
        check("kind: scores", &[[0.2, f32::INFINITY, 0.5]; 2], wanted);
    }
}
