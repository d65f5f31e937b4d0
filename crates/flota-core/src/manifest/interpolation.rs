//! Interpolation, under the names of manifests and other libraries.

/// The interpolation of resizing. A manifest sets `interpolation` and `antialias`, or `filter` in
/// format 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Filter {
    /// Pillow's `BILINEAR`: a triangle that is as wide as the reduction, rounded to bytes.
    #[default]
    BilinearAntialias,
    /// Pillow's `BICUBIC`: a cubic (a = -0.5) that is as wide as the reduction, rounded to bytes.
    BicubicAntialias,
    /// Pillow's `LANCZOS`: a windowed sinc of three lobes that is as wide as the reduction, rounded
    /// to bytes.
    LanczosAntialias,
    /// Pillow's `BOX`: the mean of the covered pixels, rounded to bytes.
    BoxAntialias,
    /// Pillow's `HAMMING`: a windowed sinc of one lobe that is as wide as the reduction, rounded to
    /// bytes.
    HammingAntialias,
    /// Four neighbours at any reduction, pixel centres aligned, rounded to bytes: OpenCV's
    /// `INTER_LINEAR`, and PyTorch's `bilinear` with `antialias=False`.
    Bilinear,
    /// Sixteen neighbours at any reduction (a = -0.75), pixel centres aligned, rounded to bytes:
    /// OpenCV's `INTER_CUBIC`, and PyTorch's `bicubic` with `antialias=False` on floating-point
    /// tensors. (On byte tensors PyTorch 2.15 uses another cubic, a = -0.5.)
    Bicubic,
    /// Four neighbours, corners aligned, never rounded: TensorFlow's `align_corners`.
    BilinearAlignCorners,
}

/// The names of each filter: that of format 1, if any, then `interpolation`, `antialias` and
/// `align_corners`.
const SPELLINGS: [(Filter, Option<&str>, &str, bool, bool); 8] = [
    (Filter::BilinearAntialias, Some("bilinear_antialias"), "bilinear", true, false),
    (Filter::BicubicAntialias, Some("bicubic_antialias"), "bicubic", true, false),
    (Filter::LanczosAntialias, None, "lanczos", true, false),
    (Filter::BoxAntialias, None, "box", true, false),
    (Filter::HammingAntialias, None, "hamming", true, false),
    (Filter::Bilinear, None, "bilinear", false, false),
    (Filter::Bicubic, None, "bicubic", false, false),
    (Filter::BilinearAlignCorners, Some("bilinear_align_corners"), "bilinear", false, true),
];

impl Filter {
    /// Whether the filter is as wide as the reduction. Such a filter gives nearly the same result
    /// for an image that was decoded at a reduced size.
    pub fn is_antialiased(self) -> bool {
        self.spelling().3
    }

    /// The name in format 1, if it has one.
    pub(super) fn first_name(self) -> Option<&'static str> {
        self.spelling().1
    }

    /// The values of `interpolation`, `antialias` and `align_corners`.
    pub(super) fn words(self) -> (&'static str, bool, bool) {
        let (_, _, interpolation, antialias, align_corners) = self.spelling();
        (*interpolation, *antialias, *align_corners)
    }

    fn spelling(self) -> &'static (Self, Option<&'static str>, &'static str, bool, bool) {
        SPELLINGS.iter().find(|spelling| spelling.0 == self).expect("each has a spelling")
    }

    /// The filter with this name in format 1.
    pub(super) fn of_first_name(name: &str) -> Result<Self, String> {
        let found = SPELLINGS.iter().find(|spelling| spelling.1 == Some(name));
        found.map(|spelling| spelling.0).ok_or_else(|| {
            format!(
                "`filter: {name}` is not known: use `interpolation: bilinear` and `antialias: true` or \
                 `false`"
            )
        })
    }

    /// The filter with these values of the three keys.
    pub(super) fn of_words(
        interpolation: &str,
        antialias: Option<bool>,
        align_corners: bool,
    ) -> Result<Self, String> {
        let wanted = (interpolation, antialias.unwrap_or(!align_corners), align_corners);
        let found = SPELLINGS.iter().find(|spelling| spelling.0.words() == wanted);
        found.map(|spelling| spelling.0).ok_or_else(|| refusal(wanted))
    }
}

fn refusal((interpolation, antialias, align_corners): (&str, bool, bool)) -> String {
    let known = SPELLINGS.iter().any(|spelling| spelling.2 == interpolation);
    match interpolation {
        "nearest" | "nearest-exact" | "nearest_exact" => {
            "`interpolation: nearest` is not served: Pillow, PyTorch and OpenCV choose different pixels"
                .to_owned()
        }
        _ if !known => format!(
            "`interpolation: {interpolation}` is not known: use bilinear, bicubic, lanczos, box or hamming"
        ),
        _ if align_corners => {
            "`align_corners: true` needs `interpolation: bilinear` and `antialias: false`".to_owned()
        }
        _ => format!("`interpolation: {interpolation}` needs `antialias: {}`", !antialias),
    }
}
