//! How pixels are interpolated, as manifests and other libraries write it.

/// How pixels are interpolated. A manifest says `interpolation` and `antialias`, or, as manifests of
/// format 1 do, `filter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Filter {
    /// Pillow's `BILINEAR`: a triangle as wide as the reduction, rounded to bytes.
    #[default]
    BilinearAntialias,
    /// Pillow's `BICUBIC`: a cubic (a = -0.5) as wide as the reduction, rounded to bytes.
    BicubicAntialias,
    /// Pillow's `LANCZOS`: a windowed sinc of three lobes as wide as the reduction, rounded to bytes.
    LanczosAntialias,
    /// Pillow's `BOX`: the mean of what is covered, rounded to bytes.
    BoxAntialias,
    /// Pillow's `HAMMING`: a windowed sinc of one lobe as wide as the reduction, rounded to bytes.
    HammingAntialias,
    /// Four neighbours whatever the reduction, centres on centres, rounded to bytes: OpenCV's
    /// `INTER_LINEAR`, and PyTorch's `bilinear` with `antialias=False`.
    Bilinear,
    /// Sixteen neighbours whatever the reduction (a = -0.75), centres on centres, rounded to bytes:
    /// OpenCV's `INTER_CUBIC`, and PyTorch's `bicubic` with `antialias=False` of floating-point tensors.
    /// (Of tensors of bytes PyTorch 2.15 computes another cubic, a = -0.5.)
    Bicubic,
    /// Four neighbours, corners on corners, never rounded: TensorFlow's `align_corners`.
    BilinearAlignCorners,
}

/// What each is called: the old name, if it has one, then `interpolation`, `antialias` and `align_corners`.
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
    /// Whether it is as wide as the reduction: what it makes of an image that was decoded smaller
    /// is nearly what it makes of the whole one.
    pub fn is_antialiased(self) -> bool {
        self.spelling().3
    }

    /// Its name in manifests of format 1, if they know it.
    pub(super) fn first_name(self) -> Option<&'static str> {
        self.spelling().1
    }

    /// What `interpolation`, `antialias` and `align_corners` say of it.
    pub(super) fn words(self) -> (&'static str, bool, bool) {
        let (_, _, interpolation, antialias, align_corners) = self.spelling();
        (*interpolation, *antialias, *align_corners)
    }

    fn spelling(self) -> &'static (Self, Option<&'static str>, &'static str, bool, bool) {
        SPELLINGS.iter().find(|spelling| spelling.0 == self).expect("each has a spelling")
    }

    /// The one of that name in a manifest of format 1.
    pub(super) fn of_first_name(name: &str) -> Result<Self, String> {
        let found = SPELLINGS.iter().find(|spelling| spelling.1 == Some(name));
        found.map(|spelling| spelling.0).ok_or_else(|| {
            format!(
                "`filter: {name}` is not known: use `interpolation: bilinear` and `antialias: true` or \
                 `false`"
            )
        })
    }

    /// The one that the three keys mean.
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
