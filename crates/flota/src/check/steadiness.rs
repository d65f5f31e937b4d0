//! Whether an image has one answer: the same again, and whatever other images are in its batch.

use flota_worker::ProbeAgain;

use super::{evidence::Answer, finding::Finding};

/// Up to which part of the largest number answers may differ: sums in another order, in batches of another
/// size or on other threads, differ by less.
const TOLERANCE: f32 = 1e-3;
/// Beyond this part it is no matter of rounding: networks in eight bits that choose their scale anew for each
/// batch stay below.
const ROUNDING: f32 = 0.05;

/// What is wrong with a network that answered `answers`, and then `again` of the first two images.
pub(super) fn mistakes(answers: &[Answer], again: &ProbeAgain) -> Option<Finding> {
    let [first, second, ..] = answers else { return None };
    let largest =
        answers.iter().flat_map(|(_, numbers)| numbers).fold(0.0, |a: f32, b| a.max(b.abs()));
    let part = |difference: &Difference| difference.size() / largest.max(f32::MIN_POSITIVE);
    if let Some(found) =
        Difference::between(&first.1, &again.repeated).filter(|d| part(d) > TOLERANCE)
    {
        let message = format!(
            "the network answers another number when the same image is run again: {found}. It has a random \
             operator, or was exported in training mode: export it after `model.eval()`"
        );
        return Some(Finding::error("NOT_DETERMINISTIC", message));
    }
    let together = match &again.together {
        Ok(together) => together,
        Err(reason) => {
            let message = format!(
                "two images at once fail ({reason}), though the graph leaves the size of its batch free: \
                 export it for a batch of 1, or with the batch of its output free too"
            );
            return Some(Finding::warning("BATCH_FAILS", message));
        }
    };
    let differences = [(first, &together[0]), (second, &together[1])].into_iter();
    let differences =
        differences.filter_map(|((_, alone), batched)| Difference::between(alone, batched));
    let found = differences.max_by(|a, b| a.size().total_cmp(&b.size()))?;
    let part = part(&found);
    if part <= TOLERANCE {
        return None;
    }
    let message = format!(
        "the answer to an image depends on the other images of its batch: {found}. Export the model after \
         `model.eval()`, or for a batch of 1"
    );
    let level = if part > ROUNDING { Finding::error } else { Finding::warning };
    Some(level("DEPENDS_ON_BATCH", message))
}

/// The largest difference of two answers.
struct Difference {
    index: usize,
    before: f32,
    after: f32,
}

impl Difference {
    fn between(before: &[f32], after: &[f32]) -> Option<Self> {
        let pairs = before.iter().zip(after).enumerate();
        let differences =
            pairs.map(|(index, (before, after))| Self { index, before: *before, after: *after });
        differences.max_by(|a, b| a.size().total_cmp(&b.size()))
    }

    /// What is no number differs by infinity.
    fn size(&self) -> f32 {
        let size = (self.before - self.after).abs();
        if size.is_nan() { f32::INFINITY } else { size }
    }
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "at index {} {} becomes {}", self.index, self.before, self.after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::finding::Level;

    fn found(
        repeated: [f32; 2],
        together: Result<[[f32; 2]; 2], String>,
    ) -> Option<(&'static str, Level)> {
        let answers = [("black", vec![0.2, 0.8]), ("noise", vec![0.6, 0.4])];
        let together = together.map(|rows| rows.map(|row| row.to_vec()));
        let again = ProbeAgain { repeated: repeated.to_vec(), together };
        mistakes(&answers, &again).map(|finding| (finding.code, finding.level))
    }

    #[test]
    fn an_image_has_one_answer() {
        let (same, both) = ([0.2, 0.8], [[0.2, 0.8], [0.6, 0.4]]);
        assert_eq!(found(same, Ok(both)), None);
        assert_eq!(found([0.2, 0.800_01], Ok([[0.200_1, 0.8], both[1]])), None, "it is rounding");
        let random = Some(("NOT_DETERMINISTIC", Level::Error));
        assert_eq!(found([0.3, 0.7], Ok(both)), random);
        assert_eq!(found([f32::NAN, 0.8], Ok(both)), random);
        let depends = |level| Some(("DEPENDS_ON_BATCH", level));
        assert_eq!(found(same, Ok([both[0], [0.4, 0.6]])), depends(Level::Error));
        assert_eq!(found(same, Ok([[0.19, 0.81], both[1]])), depends(Level::Warning));
        let fails = Err("the network answered 3 numbers in place of 6".to_owned());
        assert_eq!(found(same, fails), Some(("BATCH_FAILS", Level::Warning)));
    }
}
