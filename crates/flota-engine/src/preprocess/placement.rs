//! Which part of a picture goes where in the tensor.

use flota_core::{Crop, InputSpec, Resize};

/// The picture is scaled to `scaled`; of that, the part of size `visible` at `crop` is laid on a
/// canvas of size `canvas` at `offset`. All sizes are (width, height), all places (left, top).
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Placement {
    pub canvas: (u32, u32),
    pub scaled: (u32, u32),
    pub crop: (u32, u32),
    pub visible: (u32, u32),
    pub offset: (u32, u32),
    /// The colour of the canvas that the picture leaves free.
    pub fill: [u8; 3],
}

impl Placement {
    /// How a picture of `size` is placed as `spec` says.
    pub(super) fn of(size: (u32, u32), spec: &InputSpec) -> Self {
        let canvas = (spec.width, spec.height);
        match spec.resize {
            Resize::Exact => Self::over(canvas, canvas, [0; 3]),
            Resize::ShorterSide { size: side, crop: Crop::Center } => {
                let shorter = size.0.min(size.1);
                let scaled = (scale(size.0, side, shorter), scale(size.1, side, shorter));
                Self::over(canvas, scaled, [0; 3])
            }
            Resize::Letterbox { fill } => {
                let is_wide = u64::from(size.0) * u64::from(canvas.1)
                    > u64::from(size.1) * u64::from(canvas.0);
                let scaled = if is_wide {
                    (canvas.0, scale(size.1, canvas.0, size.0).min(canvas.1))
                } else {
                    (scale(size.0, canvas.1, size.1).min(canvas.0), canvas.1)
                };
                Self::over(canvas, scaled, fill)
            }
        }
    }

    fn over(canvas: (u32, u32), scaled: (u32, u32), fill: [u8; 3]) -> Self {
        let visible = (scaled.0.min(canvas.0), scaled.1.min(canvas.1));
        let middle = |outer: u32, inner: u32| (outer - inner) / 2;
        Self {
            canvas,
            scaled,
            crop: (middle(scaled.0, visible.0), middle(scaled.1, visible.1)),
            visible,
            offset: (middle(canvas.0, visible.0), middle(canvas.1, visible.1)),
            fill,
        }
    }

    /// Whether the picture covers the whole canvas.
    pub(super) fn is_covering(&self) -> bool {
        self.visible == self.canvas
    }
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
        let text = format!(
            "{{name: a, version: '1', weights: {{file: a.onnx}}, labels: [x], \
             input: {{width: 224, height: 224, resize: {resize}}}, output: {{kind: scores}}}}"
        );
        Placement::of(size, &Manifest::parse("model.yaml", &text).unwrap().input)
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

    #[test]
    fn a_letterbox_keeps_proportions_inside_the_canvas() {
        let wide = placed((1000, 500), "{mode: letterbox, fill: [1, 2, 3]}");
        assert_eq!((wide.visible, wide.offset, wide.fill), ((224, 112), (0, 56), [1, 2, 3]));
        let tall = placed((1, 60_000), "{mode: letterbox}");
        assert_eq!((tall.visible, tall.offset), ((1, 224), (111, 0)));
        assert!(!tall.is_covering() && placed((7, 7), "{mode: letterbox}").is_covering());
    }
}
