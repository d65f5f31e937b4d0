//! What people read on a terminal.

use flota_client::{Ended, OutcomeView};
use flota_core::{LabelScore, Output};

/// Most labels of a prediction that a cell shows, where they are sorted by their scores.
const MAX_LABELS: usize = 3;

/// How a task ended, in a cell of a table.
pub(crate) fn outcome(outcome: &OutcomeView) -> String {
    match outcome {
        OutcomeView::Succeeded(succeeded) => match &succeeded.prediction {
            Some(prediction) => output(&prediction.output),
            None => "succeeded".to_owned(),
        },
        OutcomeView::Failed(failed) => format!("{}: {}", failed.code, failed.message),
        OutcomeView::Ended(ended) => match ended.outcome {
            Ended::Expired => "expired".to_owned(),
            Ended::Canceled => "canceled".to_owned(),
        },
    }
}

/// What a model says of an image, in a cell of a table.
pub(crate) fn output(output: &Output) -> String {
    let (scores, count) = match output {
        Output::Embedding(embedding) => {
            return format!("a vector of {} numbers", embedding.vector().len());
        }
        Output::Regression { scores } => {
            let is_shown = |score: &&LabelScore| !is_hidden(scores, score);
            return scores.iter().filter(is_shown).map(cell).collect::<Vec<_>>().join("  ");
        }
        Output::Softmax { scores } | Output::Sigmoid { scores } | Output::Scores { scores } => {
            (scores, MAX_LABELS)
        }
    };
    // What is flagged is what somebody is to see.
    let is_shown = |(place, score): &(usize, &LabelScore)| *place < count || is_flagged(score);
    let cells = scores.iter().enumerate().filter(is_shown).map(|(_, score)| cell(score));
    cells.collect::<Vec<_>>().join("  ")
}

/// What a model measured, where that is what it does.
pub(crate) fn values(outcome: &OutcomeView) -> Option<&[LabelScore]> {
    match &outcome.prediction()?.output {
        Output::Regression { scores } => Some(scores),
        _ => None,
    }
}

/// Whether one of a task's scores is flagged.
pub(crate) fn has_flag(outcome: &OutcomeView) -> bool {
    let prediction = outcome.prediction();
    prediction.is_some_and(|prediction| prediction.output.scores().iter().any(is_flagged))
}

/// A score, with a mark where it is flagged.
pub(crate) fn value(score: &LabelScore) -> String {
    let mark = if is_flagged(score) { "!" } else { "" };
    format!("{:.2}{mark}", score.score)
}

/// The flagged ones of `scores`, or that there is none.
pub(crate) fn flagged(scores: &[LabelScore]) -> String {
    let flagged: Vec<_> = scores.iter().filter(|score| is_flagged(score)).map(cell).collect();
    match flagged.is_empty() {
        true => "nothing flagged".to_owned(),
        false => flagged.join("  "),
    }
}

/// What an output advises about its flagged labels, a sentence each.
pub(crate) fn advice(output: &Output) -> impl Iterator<Item = &str> {
    output.scores().iter().filter_map(|score| score.advice.as_deref())
}

/// A label with its score: in quotes where it has a comma, as ImageNet's have, so that it ends visibly.
fn cell(score: &LabelScore) -> String {
    match score.label.contains(',') {
        true => format!("\"{}\" {}", score.label, value(score)),
        false => format!("{} {}", score.label, value(score)),
    }
}

/// Whether `score` is a side of a box in which, by the flags of `scores`, there is nothing.
pub(crate) fn is_hidden(scores: &[LabelScore], score: &LabelScore) -> bool {
    const SIDES: [&str; 4] = ["left", "top", "right", "bottom"];
    let is_side = |score: &LabelScore| SIDES.contains(&&*score.label);
    let has_box = scores.iter().filter(|score| is_side(score)).count() == SIDES.len();
    let has_threshold = scores.iter().any(|score| score.flagged.is_some());
    is_side(score) && has_box && has_threshold && !scores.iter().any(is_flagged)
}

fn is_flagged(score: &LabelScore) -> bool {
    score.flagged == Some(true)
}

/// `3 images`, `1 image`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(label: &str, score: f32, flagged: Option<bool>) -> LabelScore {
        LabelScore { label: label.into(), index: 0, score, flagged, advice: None }
    }

    #[test]
    fn the_highest_labels_and_the_flagged_ones_are_shown() {
        let scores = vec![
            score("cat", 0.91, Some(false)),
            score("dog", 0.05, None),
            score("cow", 0.02, None),
            score("owl", 0.01, None),
            score("rat", 0.01, Some(true)),
        ];
        let shown = output(&Output::Softmax { scores });
        assert_eq!(shown, "cat 0.91  dog 0.05  cow 0.02  rat 0.01!");
        let scores = vec![score("tench, Tinca tinca", 0.91, None), score("cat", 0.05, None)];
        assert_eq!(output(&Output::Softmax { scores }), "\"tench, Tinca tinca\" 0.91  cat 0.05");
    }

    #[test]
    fn a_box_is_shown_where_there_is_something_in_it() {
        let scores = |text: f32, flagged| {
            let mut scores = vec![score("text", text, flagged), score("covered", 0.1, None)];
            let sides = [("left", 0.6), ("top", 0.1), ("right", 0.4), ("bottom", 0.2)];
            scores.extend(sides.map(|(side, place)| score(side, place, None)));
            output(&Output::Regression { scores })
        };
        assert_eq!(scores(0.2, Some(false)), "text 0.20  covered 0.10");
        let whole = "  covered 0.10  left 0.60  top 0.10  right 0.40  bottom 0.20";
        assert_eq!(scores(0.9, Some(true)), format!("text 0.90!{whole}"));
        assert_eq!(scores(0.9, None), format!("text 0.90{whole}"));
    }
}
