//! Which lines of a picture make a line of the result, and how much each of them counts, as in Pillow's
//! `Resample.c`.

use std::{f64::consts::PI, ops::Range};

use flota_core::Filter;

/// Fractional bits of a weight: of 32, a byte and two bits for sums beyond a byte are left free.
pub(super) const WEIGHT_BITS: u32 = 22;
/// Half of a level: sums begin with it, so that cutting off the fraction rounds.
pub(super) const HALF: i32 = 1 << (WEIGHT_BITS - 1);

/// One axis of a picture: its lines are resized to `scaled` ones, of which `wanted` are made.
#[derive(Debug, Clone)]
pub(in crate::preprocess) struct Axis {
    /// Lines that are there.
    pub line_count: u32,
    /// Where among them the picture begins, and how many it takes: whole numbers, or nearly those where a
    /// JPEG was decoded smaller.
    pub covered: (f64, f64),
    /// Lines that the picture is resized to, those that are cut off included.
    pub scaled: u32,
    /// Which of them are made.
    pub wanted: Range<u32>,
}

/// For each line of the result, its window: lines of the picture side by side, each with its weight.
#[derive(Debug)]
pub(super) struct Weights {
    windows: Vec<(usize, Range<usize>)>,
    values: Vec<i32>,
}

impl Weights {
    pub(super) fn of(axis: &Axis, filter: Filter) -> Self {
        let (begin, length) = axis.covered;
        let step = length / f64::from(axis.scaled);
        let stretch = step.max(1.0);
        // Pillow multiplies with the inverse: a division would round otherwise.
        let inverse = 1.0 / stretch;
        let support = support(filter) * stretch;
        let last_end = i64::from(axis.line_count);
        let mut weights =
            Self { windows: Vec::with_capacity(axis.wanted.len()), values: Vec::new() };
        let mut shares = Vec::new();
        for line in axis.wanted.clone() {
            let centre = begin + (f64::from(line) + 0.5) * step;
            // Rounded towards zero, as by a cast in C.
            let first = ((centre - support + 0.5) as i64).max(0);
            let end = ((centre + support + 0.5) as i64).min(last_end);
            shares.clear();
            let share = |at: i64| share(filter, (at as f64 - centre + 0.5) * inverse);
            shares.extend((first..end).map(share));
            weights.push(usize::try_from(first).unwrap_or_default(), &shares);
        }
        weights
    }

    /// Adds the window from `first` on, without the lines at its ends that do not count.
    fn push(&mut self, first: usize, shares: &[f64]) {
        let sum: f64 = shares.iter().sum();
        let fixed = |share: &f64| fixed(if sum == 0.0 { *share } else { share / sum });
        let values: Vec<i32> = shares.iter().map(fixed).collect();
        let counts = |value: &i32| *value != 0;
        let skipped = values.iter().position(counts).unwrap_or(0);
        let end = values.iter().rposition(counts).map_or(skipped, |last| last + 1);
        let begin = self.values.len();
        self.values.extend(&values[skipped..end]);
        self.windows.push((first + skipped, begin..self.values.len()));
    }

    /// How many lines the result has.
    pub(super) fn len(&self) -> usize {
        self.windows.len()
    }

    /// The first line of each window, and the weights from there on.
    pub(super) fn windows(&self) -> impl Iterator<Item = (usize, &[i32])> + Clone {
        self.windows.iter().map(|(first, range)| (*first, &self.values[range.clone()]))
    }

    /// All lines that count somewhere.
    pub(super) fn lines(&self) -> Range<usize> {
        let first = self.windows().map(|(first, _)| first).min().unwrap_or(0);
        let end = self.windows().map(|(first, weights)| first + weights.len()).max().unwrap_or(0);
        first..end
    }

    /// Whether each line of the result is a line of the picture, one after the other.
    pub(super) fn is_copy(&self) -> bool {
        let first = self.lines().start;
        let mut lines = self.windows().enumerate();
        lines.all(|(n, window)| window == (first + n, &[1 << WEIGHT_BITS]))
    }
}

/// A share of 1 in parts of 2^22, rounded half away from zero.
fn fixed(share: f64) -> i32 {
    let exact = share * f64::from(1 << WEIGHT_BITS);
    (if exact < 0.0 { exact - 0.5 } else { exact + 0.5 }) as i32
}

/// How far from the centre a filter reaches, in lines of the larger of picture and result.
fn support(filter: Filter) -> f64 {
    match filter {
        Filter::BoxAntialias => 0.5,
        Filter::HammingAntialias => 1.0,
        Filter::BicubicAntialias => 2.0,
        Filter::LanczosAntialias => 3.0,
        Filter::BilinearAntialias
        | Filter::Bilinear
        | Filter::Bicubic
        | Filter::BilinearAlignCorners => 1.0,
    }
}

/// What a line at `x` from the centre counts.
fn share(filter: Filter, x: f64) -> f64 {
    match filter {
        Filter::BoxAntialias => {
            if x > -0.5 && x <= 0.5 {
                1.0
            } else {
                0.0
            }
        }
        Filter::HammingAntialias => hamming(x.abs()),
        Filter::BicubicAntialias => cubic(x.abs()),
        Filter::LanczosAntialias => {
            if (-3.0..3.0).contains(&x) {
                sinc(x) * sinc(x / 3.0)
            } else {
                0.0
            }
        }
        Filter::BilinearAntialias
        | Filter::Bilinear
        | Filter::Bicubic
        | Filter::BilinearAlignCorners => (1.0 - x.abs()).max(0.0),
    }
}

fn hamming(x: f64) -> f64 {
    if x == 0.0 {
        1.0
    } else if x >= 1.0 {
        0.0
    } else {
        let angle = x * PI;
        // Pillow writes both numbers with 32 bits.
        angle.sin() / angle * (f64::from(0.54_f32) + f64::from(0.46_f32) * angle.cos())
    }
}

/// Keys' cubic convolution with a = -0.5.
fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 {
        return 1.0;
    }
    let angle = x * PI;
    angle.sin() / angle
}
