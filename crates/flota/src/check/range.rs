use super::evidence::Answer;

/// How far a sum of probabilities may be from 1, and a probability beyond 0 and 1: networks in eight bits
/// round that much.
const TOLERANCE: f32 = 0.02;
/// Widest step of numbers that were rounded: bytes have steps of 1/256 or 1/255, seven bits of 1/128.
const MAX_STEP: f32 = 1.0 / 64.0;
/// Narrowest one: numbers of 16 bits and more need no such tolerance.
const MIN_STEP: f32 = 1e-3;
/// Most steps that the smallest number may be.
const MAX_STEPS: u16 = 256;
/// How far, as a part of a step, a number may be from a multiple of it.
const STEP_TOLERANCE: f32 = 0.01;

/// Between which values all answers move.
pub(super) struct Range {
    pub lowest: f32,
    pub highest: f32,
    pub lowest_sum: f32,
    pub highest_sum: f32,
    /// The most that one number changes from image to image.
    pub spread: f32,
    /// How far a sum may be from what it was before each number was rounded; 0 where none was.
    rounding: f32,
}

impl Range {
    pub fn of(answers: &[Answer]) -> Self {
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
            rounding: step_of(numbers()).map_or(0.0, |step| step * length as f32),
        }
    }

    pub fn is_probabilities(&self) -> bool {
        self.lowest >= -TOLERANCE && self.highest <= 1.0 + TOLERANCE
    }

    pub fn sums_to_one(&self) -> bool {
        (self.lowest_sum - 1.0).abs() <= TOLERANCE && (self.highest_sum - 1.0).abs() <= TOLERANCE
    }

    /// Whether the sums would be 1 if the numbers were not rounded to steps: of a thousand labels most are
    /// rounded to 0.
    pub fn may_sum_to_one(&self) -> bool {
        let tolerance = TOLERANCE + self.rounding;
        (self.lowest_sum - 1.0).abs() <= tolerance && (self.highest_sum - 1.0).abs() <= tolerance
    }

    /// Whether the numbers are such probabilities in percent.
    pub fn is_percent(&self) -> bool {
        let hundred = 100.0;
        self.lowest >= -TOLERANCE * hundred
            && self.highest <= hundred * (1.0 + TOLERANCE)
            && (self.lowest_sum - hundred).abs() <= TOLERANCE * hundred
            && (self.highest_sum - hundred).abs() <= TOLERANCE * hundred
    }
}

/// The step of which all of `numbers` are multiples, where it is a narrow one.
fn step_of(numbers: impl Iterator<Item = f32> + Clone) -> Option<f32> {
    let smallest = lowest(numbers.clone().filter(|number| *number > 0.0));
    let is_step = |step: &f32| {
        numbers.clone().all(|number| {
            let steps = number / step;
            (steps - steps.round()).abs() <= STEP_TOLERANCE
        })
    };
    // The smallest number may be several steps.
    let steps = (1..=MAX_STEPS).map(|count| smallest / f32::from(count));
    steps.take_while(|step| *step >= MIN_STEP).filter(|step| *step <= MAX_STEP).find(is_step)
}

pub(super) fn lowest(values: impl Iterator<Item = f32>) -> f32 {
    values.fold(f32::INFINITY, f32::min)
}

pub(super) fn highest(values: impl Iterator<Item = f32>) -> f32 {
    values.fold(f32::NEG_INFINITY, f32::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(numbers: &[f32]) -> Range {
        Range::of(&[("black", numbers.to_vec())])
    }

    #[test]
    fn rounded_numbers_may_sum_to_less_than_one() {
        let mut rounded = vec![0.0; 100];
        rounded[..2].copy_from_slice(&[100.0 / 256.0, 61.0 / 256.0]);
        assert!(range(&rounded).may_sum_to_one() && !range(&rounded).sums_to_one());
        let few = [100.0 / 256.0, 41.0 / 256.0];
        assert!(!range(&few).may_sum_to_one(), "two of them do not lose so much");
        let mut others = vec![0.0; 100];
        others[..3].copy_from_slice(&[0.413, 0.2719, 0.0331]);
        assert!(!range(&others).may_sum_to_one(), "they are no multiples of anything");
        assert!(!range(&[1.0, 1.0, 0.0]).may_sum_to_one());
    }

    #[test]
    fn percent_is_seen() {
        assert!(range(&[70.0, 25.0, 5.0]).is_percent());
        assert!(!range(&[70.0, 25.0, 95.0]).is_percent() && !range(&[0.7, 0.3]).is_percent());
    }
}
