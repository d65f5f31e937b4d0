//! Which part of an image goes where in the tensor.

use flota_core::{Crop, InputSpec, Resize, Rounding};

/// The image is scaled to `scaled`; of that, the part of size `visible` at `crop` is laid on a
/// canvas of size `canvas` at `offset`. All sizes are (width, height), all places (left, top).
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Placement {
    pub canvas: (u32, u32),
    pub scaled: (u32, u32),
    pub crop: (u32, u32),
    pub visible: (u32, u32),
    pub offset: (u32, u32),
    /// The colour of the canvas that the image leaves free.
    pub fill: [u8; 3],
}

impl Placement {
    /// How an image of `size` is placed as `spec` says.
    pub(super) fn of(size: (u32, u32), spec: &InputSpec) -> Self {
        let canvas = (spec.width, spec.height);
        match spec.resize {
            Resize::Exact => Self::over(canvas, canvas, [0; 3], floor_half),
            Resize::ShortestEdge { size: edge, crop: Crop::Center, rounding } => {
                let rounding = rounding.unwrap_or(Rounding::Torchvision);
                let scaled = scaled_to_edge(size, edge, rounding);
                let half = match rounding {
                    Rounding::Torchvision => half_to_even,
                    Rounding::Transformers | Rounding::Format1 => floor_half,
                };
                Self::over(canvas, scaled, [0; 3], half)
            }
            Resize::Letterbox { fill } => {
                let is_wide = u64::from(size.0) * u64::from(canvas.1)
                    > u64::from(size.1) * u64::from(canvas.0);
                let scaled = if is_wide {
                    (canvas.0, scale(size.1, canvas.0, size.0).min(canvas.1))
                } else {
                    (scale(size.0, canvas.1, size.1).min(canvas.0), canvas.1)
                };
                Self::over(canvas, scaled, fill, floor_half)
            }
        }
    }

    /// Lays the middle of `scaled` on the middle of `canvas`; `half` says where the cut begins. What
    /// is padded begins at the lower half always, as in torchvision.
    fn over(
        canvas: (u32, u32),
        scaled: (u32, u32),
        fill: [u8; 3],
        half: impl Fn(u32) -> u32,
    ) -> Self {
        let visible = (scaled.0.min(canvas.0), scaled.1.min(canvas.1));
        Self {
            canvas,
            scaled,
            crop: (half(scaled.0 - visible.0), half(scaled.1 - visible.1)),
            visible,
            offset: (floor_half(canvas.0 - visible.0), floor_half(canvas.1 - visible.1)),
            fill,
        }
    }

    /// Whether the image covers the whole canvas.
    pub(super) fn is_covering(&self) -> bool {
        self.visible == self.canvas
    }
}

/// The size that an image of `size` is resized to, what is cut off included.
#[cfg(feature = "turbojpeg")]
pub(crate) fn scaled_size(size: (u32, u32), spec: &InputSpec) -> (u32, u32) {
    Placement::of(size, spec).scaled
}

/// The size to which an image of `size` is resized so that its shortest edge has `edge` pixels.
fn scaled_to_edge(size: (u32, u32), edge: u32, rounding: Rounding) -> (u32, u32) {
    let shortest = size.0.min(size.1);
    match rounding {
        Rounding::Torchvision | Rounding::Transformers => {
            // Python divides whole numbers as this does: both fit a float exactly.
            let longer = |length: u32| {
                let exact = (u64::from(edge) * u64::from(length)) as f64 / f64::from(shortest);
                exact.clamp(1.0, f64::from(u32::MAX)) as u32
            };
            (longer(size.0), longer(size.1))
        }
        Rounding::Format1 => (scale(size.0, edge, shortest), scale(size.1, edge, shortest)),
    }
}

/// Half of `length`, half to even, as Python's `int(round(length / 2.0))`.
fn half_to_even(length: u32) -> u32 {
    let half = length / 2;
    half + (length % 2) * (half % 2)
}

fn floor_half(length: u32) -> u32 {
    length / 2
}

/// `length * numerator / denominator`, half to even as Python rounds, at least 1.
fn scale(length: u32, numerator: u32, denominator: u32) -> u32 {
    let exact = f64::from(length) * f64::from(numerator) / f64::from(denominator);
    exact.round_ties_even().clamp(1.0, f64::from(u32::MAX)) as u32
}

#[cfg(test)]
mod tests {
    use flota_core::Manifest;

    use super::*;

    fn placed(size: (u32, u32), resize: &str) -> Placement {
        placed_by("", size, resize)
    }

    fn placed_by(format: &str, size: (u32, u32), resize: &str) -> Placement {
        Placement::of(size, &spec_of(format, resize))
    }

    fn spec_of(format: &str, resize: &str) -> InputSpec {
        let text = format!(
            "{{{format} name: a, version: '1', weights: {{file: a.onnx}}, labels: [x], \
             input: {{width: 224, height: 224, resize: {resize}}}, output: {{kind: scores}}}}"
        );
        Manifest::parse("model.yaml", &text).unwrap().input
    }

    #[test]
    fn the_shorter_side_decides_and_the_middle_is_kept() {
        let placement = placed((1000, 500), "{mode: shorter_side, size: 256}");
        assert_eq!((placement.scaled, placement.crop), ((512, 256), (144, 16)));
        let odd = placed((451, 300), "{mode: shorter_side, size: 256}");
        assert_eq!((odd.scaled, odd.crop), ((385, 256), (80, 16)));
        let needle = placed((1, 60_000), "{mode: shorter_side, size: 256}");
        assert_eq!((needle.scaled, needle.visible), ((256, 15_360_000), (224, 224)));
    }

    /// The values are those of `torchvision.transforms` 0.29.2 and of transformers 5.24.
    #[test]
    fn other_libraries_cut_the_longer_side_down() {
        let format_2 = |resize: &str| placed_by("format: 2,", (451, 300), resize);
        let torchvision = format_2("{shortest_edge: 256}");
        assert_eq!((torchvision.scaled, torchvision.crop), ((384, 256), (80, 16)));
        let odd = |rounding: &str| {
            let resize = format!("{{mode: shortest_edge, size: 227, rounding: {rounding}}}");
            placed_by("format: 2,", (227, 231), &resize).crop
        };
        assert_eq!(odd("torchvision"), (2, 4));
        assert_eq!(odd("transformers"), (1, 3));
        assert_eq!(odd("format_1"), (1, 3));
    }

    #[test]
    fn a_tensor_that_is_not_filled_is_padded_as_by_torchvision() {
        let padded = placed_by("format: 2,", (301, 100), "{shortest_edge: 99}");
        assert_eq!((padded.scaled, padded.crop), ((297, 99), (36, 0)));
        assert_eq!((padded.visible, padded.offset, padded.fill), ((224, 99), (0, 62), [0; 3]));
    }

    #[test]
    fn a_letterbox_keeps_proportions_inside_the_canvas() {
        let wide = placed((1000, 500), "{mode: letterbox, fill: [1, 2, 3]}");
        assert_eq!((wide.visible, wide.offset, wide.fill), ((224, 112), (0, 56), [1, 2, 3]));
        let tall = placed((1, 60_000), "{mode: letterbox}");
        assert_eq!((tall.visible, tall.offset), ((1, 224), (111, 0)));
        assert!(!tall.is_covering() && placed((7, 7), "{mode: letterbox}").is_covering());
    }

    /// Of `tests/fixtures/transforms/make.py`, which asks the libraries' own code.
    const PLACEMENTS: &str = include_str!("../../tests/fixtures/transforms/placements.csv");

    #[test]
    fn sizes_and_origins_are_those_of_torchvision_and_of_transformers() {
        let template = spec_of("format: 2,", "{mode: exact}");
        let mut count = 0;
        for line in PLACEMENTS.lines().skip(1) {
            let numbers: Vec<u32> = line.split(',').map(|n| n.parse().unwrap()).collect();
            let [width, height, edge, tensor, wide, high, left, top, other_left, other_top] =
                numbers[..]
            else {
                panic!("{line}")
            };
            for (rounding, origin) in [
                (Rounding::Torchvision, (left, top)),
                (Rounding::Transformers, (other_left, other_top)),
            ] {
                let resize = Resize::ShortestEdge {
                    size: edge,
                    crop: Crop::Center,
                    rounding: Some(rounding),
                };
                let spec = InputSpec { width: tensor, height: tensor, resize, ..template.clone() };
                let found = Placement::of((width, height), &spec);
                assert_eq!((found.scaled, found.crop), ((wide, high), origin), "{line}");
            }
            count += 1;
        }
        assert!(count > 1_900, "{count}");
    }
}
