//! What in the answers to generated images is likely a mistake of the manifest's `output`.

use flota_core::OutputKind;
use flota_worker::{Activation, End};

use super::{
    evidence::{Answer, Evidence},
    finding::Finding,
    range::Range,
};

/// How many labels make it sure that logits do not all lie between 0 and 1 by chance.
const SURE_COUNT: usize = 20;

/// What is likely wrong with `output`.
pub(super) fn mistakes(evidence: &Evidence<'_>) -> Option<Finding> {
    let range = Range::of(evidence.answers);
    let is_applied = evidence.output.apply;
    match evidence.output.kind {
        OutputKind::Softmax if is_applied => softmax_of_probabilities(evidence, &range),
        OutputKind::Softmax => within(evidence).or_else(|| not_softmax(evidence, &range)),
        OutputKind::Sigmoid if is_applied => sigmoid_of_probabilities(evidence, &range),
        OutputKind::Sigmoid => within(evidence).or_else(|| not_sigmoid(evidence, &range)),
        OutputKind::Scores | OutputKind::Regression | OutputKind::Embedding => None,
    }
}

/// A number that is none, to one of the images.
pub(super) fn not_finite(answers: &[Answer]) -> Option<Finding> {
    answers.iter().find_map(|(image, numbers)| {
        let index = numbers.iter().position(|number| !number.is_finite())?;
        let message = format!(
            "the network answers {} at index {index} to an image of {image}: such an image fails. \
             Check `scale`, `mean` and `std`, and whether the export kept the precision",
            numbers[index]
        );
        Some(Finding::error("NOT_FINITE", message))
    })
}

/// Two activations at the end of the graph itself.
fn within(evidence: &Evidence<'_>) -> Option<Finding> {
    let (code, said) = match evidence.structure.activations() {
        [Activation::Softmax, Activation::Softmax, ..] => ("SOFTMAX_TWICE", "two softmaxes"),
        [Activation::Softmax, Activation::Sigmoid, ..] => {
            ("SOFTMAX_OF_SIGMOID", "a sigmoid and a softmax of it")
        }
        [Activation::Sigmoid, Activation::Softmax, ..] => {
            ("SIGMOID_OF_SOFTMAX", "a softmax and a sigmoid of it")
        }
        [Activation::Sigmoid, Activation::Sigmoid, ..] => ("SIGMOID_TWICE", "two sigmoids"),
        _ => return None,
    };
    let range = Range::of(evidence.answers);
    let message = format!(
        "the graph ends in {said}, so that its probabilities hardly differ: on generated images they reach from \
         {:.3} to {:.3}. Export the model without the last one, which its loss function or its wrapper had",
        range.lowest, range.highest
    );
    Some(Finding::error(code, message))
}

fn softmax_of_probabilities(evidence: &Evidence<'_>, range: &Range) -> Option<Finding> {
    if let Some(finding) = softmax_of_one(evidence.answers) {
        return Some(finding);
    }
    let (image, numbers) = &evidence.answers[0];
    let highest = numbers.iter().copied().fold(0.0, f32::max);
    let falls = format!(
        "with `apply: true` the highest probability of the image of {image} falls from {highest:.3} to {:.3}",
        softmax_of_highest(numbers)
    );
    let last = evidence.structure.activations().first();
    let sums_to_one = range.is_probabilities() && range.sums_to_one();
    let is_linear = evidence.structure.end == End::Linear;
    if last == Some(&Activation::Softmax) || (sums_to_one && !is_linear) {
        let message = format!(
            "softmax is applied twice: the network's numbers sum to {:.3} already on each of {} generated images, \
             and {falls}. Omit `apply`",
            range.highest_sum,
            evidence.answers.len()
        );
        return Some(Finding::error("SOFTMAX_TWICE", message));
    }
    (last == Some(&Activation::Sigmoid)).then(|| {
        let message = format!(
            "the graph ends in a sigmoid, and {falls}: write `kind: sigmoid` without `apply`, or export the \
             model without the sigmoid"
        );
        Finding::error("SOFTMAX_OF_SIGMOID", message)
    })
}

fn softmax_of_one(answers: &[Answer]) -> Option<Finding> {
    let message = "`kind: softmax` of one number is always 1: write `kind: sigmoid`";
    let has_one = answers.iter().any(|(_, numbers)| numbers.len() == 1);
    has_one.then(|| Finding::error("SOFTMAX_OF_ONE", message.to_owned()))
}

fn not_softmax(evidence: &Evidence<'_>, range: &Range) -> Option<Finding> {
    if let Some(finding) = softmax_of_one(evidence.answers) {
        return Some(finding);
    }
    if range.is_probabilities() && range.may_sum_to_one() {
        return None;
    }
    let numbers = format!(
        "for generated images they range from {:.3} to {:.3}, and their sums from {:.3} to {:.3}",
        range.lowest, range.highest, range.lowest_sum, range.highest_sum
    );
    let message = if range.is_probabilities() {
        format!(
            "`kind: softmax` expects probabilities that sum to 1, but the network's do not: {numbers}. \
             If the labels are independent, write `kind: sigmoid`"
        )
    } else if range.is_percent() {
        format!(
            "`kind: softmax` promises probabilities, but the network answers percent: {numbers}. Export the \
             model without the multiplication, or write `kind: scores`"
        )
    } else {
        format!(
            "`kind: softmax` without `apply` expects probabilities, but the network outputs logits: \
             {numbers}. Write `apply: true`"
        )
    };
    Some(Finding::error("NOT_PROBABILITIES", message))
}

fn sigmoid_of_probabilities(evidence: &Evidence<'_>, range: &Range) -> Option<Finding> {
    let ends_in = match evidence.structure.activations().first() {
        Some(Activation::Softmax) => Some("softmax"),
        Some(Activation::Sigmoid) => Some("sigmoid"),
        Some(Activation::LogSoftmax) | None => None,
    };
    if let Some(activation) = ends_in {
        let message = format!(
            "the sigmoid is applied to the numbers of a {activation}, in which the graph ends: they reach \
             from {:.3} to {:.3} on {} generated images, so that no score is below 0.5. Omit `apply`",
            range.lowest,
            range.highest,
            evidence.answers.len()
        );
        return Some(Finding::error("SIGMOID_TWICE", message));
    }
    if !range.is_probabilities() || evidence.structure.end == End::Linear {
        return None;
    }
    let message = format!(
        "the sigmoid seems to be applied twice: the network's numbers range from {:.3} to {:.3} for {} \
         generated images, so every score is between 0.5 and 0.74. If the graph ends in a sigmoid, omit \
         `apply`",
        range.lowest,
        range.highest,
        evidence.answers.len()
    );
    let label_count = evidence.answers.iter().map(|(_, numbers)| numbers.len()).min().unwrap_or(0);
    let level = if label_count >= SURE_COUNT { Finding::error } else { Finding::warning };
    Some(level("SIGMOID_TWICE", message))
}

fn not_sigmoid(evidence: &Evidence<'_>, range: &Range) -> Option<Finding> {
    if !range.is_probabilities() {
        let message = format!(
            "`kind: sigmoid` without `apply` expects numbers from 0 to 1, but the network outputs \
             logits: for generated images they range from {:.3} to {:.3}. Write `apply: true`",
            range.lowest, range.highest
        );
        return Some(Finding::error("NOT_PROBABILITIES", message));
    }
    let has_more = evidence.answers.iter().all(|(_, numbers)| numbers.len() > 1);
    (has_more && range.sums_to_one()).then(|| {
        let message = format!(
            "the network's numbers sum to 1 for each of {} generated images, like those of a softmax: if \
             the labels exclude each other, write `kind: softmax`",
            evidence.answers.len()
        );
        Finding::warning("SUMS_TO_ONE", message)
    })
}

/// What `softmax` makes of the highest of `numbers`.
fn softmax_of_highest(numbers: &[f32]) -> f32 {
    let highest = numbers.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    1.0 / numbers.iter().map(|number| (number - highest).exp()).sum::<f32>()
}

#[cfg(test)]
mod tests {
    use flota_worker::Structure;

    use super::*;
    use crate::check::{finding::Level, testing::manifest};

    const LOGITS: [[f32; 3]; 2] = [[4.0, -2.0, 1.5], [-1.0, 3.0, 0.0]];
    const PROBABILITIES: [[f32; 3]; 2] = [[0.7, 0.2, 0.1], [0.05, 0.15, 0.8]];
    const INDEPENDENT: [[f32; 3]; 2] = [[0.9, 0.8, 0.1], [0.05, 0.6, 0.8]];

    #[track_caller]
    fn check(output: &str, answers: &[[f32; 3]], wanted: Option<(&str, Level, &str)>) {
        check_with(output, answers, End::Unknown, wanted);
    }

    #[track_caller]
    fn check_with(
        output: &str,
        answers: &[[f32; 3]],
        end: End,
        wanted: Option<(&str, Level, &str)>,
    ) {
        let manifest = manifest(output);
        let answers: Vec<Answer> = answers.iter().map(|row| ("black", row.to_vec())).collect();
        let evidence = Evidence {
            input: &manifest.input,
            output: &manifest.output,
            labels: &[],
            structure: &Structure { end, ..Structure::default() },
            answers: &answers,
            beyond: &[],
        };
        let found: Vec<Finding> = mistakes(&evidence).into_iter().collect();
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
        let twice = Some(("SIGMOID_TWICE", Level::Warning, "omit `apply`"));
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
    fn what_the_graph_ends_in_decides_where_numbers_do_not() {
        let ends = |activations: &[Activation]| End::Activations(activations.to_vec());
        let (softmax, sigmoid) = (Activation::Softmax, Activation::Sigmoid);
        let wrong = |code| Some((code, Level::Error, ""));
        let check = |output: &str, activations: &[Activation], code| {
            check_with(output, &INDEPENDENT, ends(activations), wrong(code));
        };
        check("kind: softmax, apply: true", &[sigmoid], "SOFTMAX_OF_SIGMOID");
        check("kind: softmax", &[softmax, softmax], "SOFTMAX_TWICE");
        check("kind: softmax", &[softmax, sigmoid], "SOFTMAX_OF_SIGMOID");
        check("kind: sigmoid", &[sigmoid, softmax], "SIGMOID_OF_SOFTMAX");
        check("kind: sigmoid, apply: true", &[sigmoid], "SIGMOID_TWICE");
        // Logits that happen to lie between 0 and 1.
        check_with("kind: sigmoid, apply: true", &INDEPENDENT, End::Linear, None);
        check_with("kind: sigmoid", &INDEPENDENT, ends(&[sigmoid]), None);
        check_with("kind: softmax", &PROBABILITIES, ends(&[softmax]), None);
    }

    #[test]
    fn percent_has_its_own_cure() {
        let percent = PROBABILITIES.map(|row| row.map(|number| number * 100.0));
        let wanted = Some(("NOT_PROBABILITIES", Level::Error, "answers percent"));
        check("kind: softmax", &percent, wanted);
    }

    #[test]
    fn an_answer_that_is_no_number_is_found() {
        for number in [f32::NAN, f32::INFINITY] {
            let found = not_finite(&[("black", vec![0.2, number, 0.5])]).unwrap();
            assert_eq!((found.code, found.level), ("NOT_FINITE", Level::Error));
            assert!(found.message.contains("at index 1 to an image of black"), "{}", found.message);
        }
        assert!(not_finite(&[("black", vec![0.2])]).is_none());
    }
}
