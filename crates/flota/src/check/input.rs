//! What in a manifest's `input` is likely a mistake.

use flota_core::{Dtype, Format, InputSpec, Manifest, Resize};
use flota_worker::Structure;

use super::finding::Finding;

/// The largest value of a pixel.
const WHITE: f32 = 255.0;
/// Between which widths the range of what a network is fed lies: from 0..1 through a large `std` to
/// 0..255 as it is. 0.2 and 500 leave a factor of two and more on both sides.
const USUAL_WIDTH: std::ops::Range<f32> = 0.2..500.0;
/// How far beyond the range of pixels a `mean` may lie, as a part of the range.
const SLACK: f32 = 0.05;
/// From where on a range counts as that of bytes.
const BYTES: f32 = 100.0;

/// What graphs that take bytes divide them by.
const USUAL_FACTORS: [f32; 4] = [255.0, 256.0, 127.5, 128.0];
/// The code of a finding that explains others.
pub(super) const SCALED_TWICE: &str = "SCALED_TWICE";

const FORMULA: &str = "a pixel becomes (value * scale - mean) / std";

/// What is likely wrong with the `input` of `manifest`.
pub(super) fn mistakes(manifest: &Manifest) -> Vec<Finding> {
    let input = &manifest.input;
    let mut findings = Vec::new();
    if manifest.format == Format::One && matches!(input.resize, Resize::ShortestEdge { .. }) {
        findings.push(Finding::warning(
            "NO_FORMAT",
            "the manifest has no `format`, so it resizes with the rules of format 1, which differ from \
             torchvision's, timm's and Hugging Face's by up to a pixel: write `format: 2` at its top \
             and raise `version`"
                .to_owned(),
        ));
    }
    if let Resize::ShortestEdge { size, .. } = input.resize
        && input.may_pad()
    {
        findings.push(Finding::warning(
            "PADDED",
            format!(
                "`resize` makes the shortest edge {size} pixels, less than the tensor's {}x{}, so that images \
                 are padded with black, as torchvision's CenterCrop does: is that how the model was trained?",
                input.width, input.height
            ),
        ));
    }
    findings.extend(wrong_scale(input).or_else(|| half_normalized(input)));
    findings
}

/// Whether the graph does once more what `scale` does.
pub(super) fn scaled_twice(input: &InputSpec, structure: &Structure) -> Option<Finding> {
    let factor = structure.input_factor?;
    let is_of_bytes = USUAL_FACTORS.iter().any(|usual| (factor * usual - 1.0).abs() < 0.01);
    let top = WHITE * input.scale;
    if input.dtype == Dtype::U8 || !is_of_bytes || top >= BYTES {
        return None;
    }
    let message = format!(
        "pixels are scaled twice: `scale: {}` makes them 0 to {top}, and the graph multiplies its input by \
         {factor:.6} itself. Write `scale: 1.0`",
        input.scale
    );
    Some(Finding::error(SCALED_TWICE, message))
}

/// Whether `mean` or `std` is ImageNet's, and the other was left out.
fn half_normalized(input: &InputSpec) -> Option<Finding> {
    let is_near = |values: &[f32], wanted: [f32; 3]| {
        values.len() == wanted.len()
            && values.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 0.006)
    };
    let (present, absent, cure) = match (input.mean.as_deref(), input.std.as_deref()) {
        (Some(mean), None) if is_near(mean, [0.485, 0.456, 0.406]) => {
            ("mean", "std", "[0.229, 0.224, 0.225]")
        }
        (None, Some(std)) if is_near(std, [0.229, 0.224, 0.225]) => {
            ("std", "mean", "[0.485, 0.456, 0.406]")
        }
        _ => return None,
    };
    let message = format!(
        "`{present}` is ImageNet's, and `{absent}` is missing: networks that are trained with one are with the \
         other. Write `{absent}: {cure}` as well"
    );
    Some(Finding::warning("HALF_NORMALIZED", message))
}

/// Whether `mean` and `std` are on another scale than the pixels.
fn wrong_scale(input: &InputSpec) -> Option<Finding> {
    if input.dtype == Dtype::U8 {
        return None;
    }
    let top = WHITE * input.scale;
    let mean = input.mean.as_deref().unwrap_or(&[]);
    let std = input.std.as_deref().unwrap_or(&[]);
    let shown = |what: &str, values: &[f32]| format!("`{what}: {values:?}`");
    let is_beyond = |mean: &f32| *mean > top * (1.0 + SLACK) || *mean < -top * (1.0 + SLACK);
    if mean.iter().any(is_beyond) {
        let message = format!(
            "{} exceeds the range of pixels, 0 to {top} with `scale: {}`: {FORMULA}. {}",
            shown("mean", mean),
            input.scale,
            cure(input)
        );
        return Some(Finding::error("MEAN_SCALE", message));
    }
    let width_of = |std: &f32| top / std;
    if let Some(width) = std.iter().map(width_of).find(|width| !USUAL_WIDTH.contains(width)) {
        let message = format!(
            "with {} and `scale: {}` the input range of the network is {width:.4} wide; usual widths are 1 to \
             5, or 255: {FORMULA}. {}",
            shown("std", std),
            input.scale,
            cure(input)
        );
        return Some(Finding::error("STD_SCALE", message));
    }
    if top >= BYTES && !mean.is_empty() && mean.iter().all(|mean| *mean > 0.0 && *mean <= 1.0) {
        let message = format!(
            "{} has almost no effect on pixels of 0 to {top} with `scale: {}`: {FORMULA}. {}",
            shown("mean", mean),
            input.scale,
            cure(input)
        );
        return Some(Finding::warning("MEAN_SCALE", message));
    }
    None
}

/// What would fit: `mean` and `std` are either of 0..1 or of 0..255.
fn cure(input: &InputSpec) -> String {
    let mean = input.mean.as_deref().unwrap_or(&[]);
    let std = input.std.as_deref().unwrap_or(&[]);
    let is_of_bytes = mean.iter().chain(std).any(|value| *value > 2.0);
    let is_scaled = input.scale < 1.0;
    match (is_of_bytes, is_scaled) {
        // Caffe's (value - mean) * scale.
        (true, true) if std.is_empty() && (input.scale - 1.0 / WHITE).abs() > 1e-4 => {
            let std = 1.0 / input.scale;
            format!(
                "If the model was trained on (value - mean) * scale, write `scale: 1.0` and \
                 `std: {:?}`",
                vec![std; mean.len()]
            )
        }
        (true, true) => "These are numbers for pixels of 0 to 255: write `scale: 1.0`, or divide \
            `mean` and `std` by 255"
            .to_owned(),
        (false, false) => "These are numbers for pixels of 0 to 1: omit `scale`, which is then \
            1/255, or multiply `mean` and `std` by 255"
            .to_owned(),
        _ => "Set `scale`, `mean` and `std` to the values of the training".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::finding::Level;

    fn codes(format: &str, input: &str) -> Vec<(&'static str, Level, String)> {
        let text = format!(
            "{{{format} name: a, version: '1', weights: {{file: a.onnx}}, output: {{kind: embedding}}, \
             input: {{width: 224, height: 224, {input}}}}}"
        );
        let found = mistakes(&Manifest::parse("model.yaml", &text).unwrap());
        found.into_iter().map(|f| (f.code, f.level, f.message)).collect()
    }

    #[track_caller]
    fn check(values: &str, wanted: Option<(&str, Level, &str)>) {
        let found = codes("format: 2,", &format!("resize: {{mode: exact}}, {values}"));
        match wanted {
            None => assert!(found.is_empty(), "{values}: {found:?}"),
            Some((code, level, cure)) => {
                assert_eq!(found.len(), 1, "{values}: {found:?}");
                assert_eq!((found[0].0, found[0].1), (code, level), "{values}");
                assert!(found[0].2.contains(cure), "{values}: {}", found[0].2);
            }
        }
    }

    #[test]
    fn mean_and_std_on_another_scale_are_found() {
        let bytes = "mean: [123.675, 116.28, 103.53], std: [58.395, 57.12, 57.375]";
        check(bytes, Some(("MEAN_SCALE", Level::Error, "`scale: 1.0`, or divide")));
        check("std: [58.395, 57.12, 57.375]", Some(("STD_SCALE", Level::Error, "divide")));
        let unit = "scale: 1.0, mean: [0.485, 0.456, 0.406]";
        check(unit, Some(("MEAN_SCALE", Level::Warning, "omit `scale`")));
        let unit = format!("{unit}, std: [0.229, 0.224, 0.225]");
        check(&unit, Some(("STD_SCALE", Level::Error, "omit `scale`")));
        let caffe = "scale: 0.017, mean: [103.94, 116.78, 123.68]";
        check(caffe, Some(("MEAN_SCALE", Level::Error, "`std: [58.82")));
    }

    #[test]
    fn a_mean_without_its_std_is_found() {
        let missing = |cure| Some(("HALF_NORMALIZED", Level::Warning, cure));
        check("mean: [0.485, 0.456, 0.406]", missing("`std: [0.229, 0.224, 0.225]`"));
        check("std: [0.229, 0.224, 0.225]", missing("`mean: [0.485, 0.456, 0.406]`"));
    }

    #[test]
    fn a_graph_that_scales_its_input_itself_is_fed_bytes() {
        let found = |input: &str, input_factor: Option<f32>| {
            let text = format!(
                "{{format: 2, name: a, version: '1', weights: {{file: a.onnx}}, output: {{kind: embedding}}, \
                 input: {{width: 8, height: 8, resize: {{mode: exact}}, {input}}}}}"
            );
            let input = Manifest::parse("model.yaml", &text).unwrap().input;
            scaled_twice(&input, &Structure { input_factor, ..Structure::default() }).is_some()
        };
        assert!(found("", Some(1.0 / 255.0)) && found("", Some(1.0 / 127.5)));
        for (input, factor) in [("", Some(1.0)), ("", Some(0.3)), ("", None)] {
            assert!(!found(input, factor), "{factor:?}");
        }
        assert!(!found("scale: 1.0", Some(1.0 / 255.0)) && !found("dtype: u8", Some(1.0 / 255.0)));
    }

    #[test]
    fn what_models_are_really_fed_is_no_mistake() {
        for usual in [
            "",
            "mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225]",
            "mean: [0.48145466, 0.4578275, 0.40821073], std: [0.26862954, 0.26130258, 0.27577711]",
            "mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5]",
            "scale: 1.0",
            "scale: 1.0, mean: [127.5, 127.5, 127.5], std: [127.5, 127.5, 127.5]",
            "scale: 1.0, mean: [127, 127, 127], std: [128, 128, 128]",
            "scale: 1.0, color: bgr, mean: [103.939, 116.779, 123.68]",
            "scale: 1.0, mean: [123.675, 116.28, 103.53], std: [58.395, 57.12, 57.375]",
            "scale: 0.00784313725, mean: [1, 1, 1]",
            "color: grey, mean: [0.1307], std: [0.3081]",
            "dtype: u8",
        ] {
            check(usual, None);
        }
    }

    #[test]
    fn a_manifest_without_a_format_is_told_what_that_means() {
        let found = codes("", "resize: {mode: shorter_side, size: 256}");
        assert_eq!((found[0].0, found[0].1, found.len()), ("NO_FORMAT", Level::Warning, 1));
        assert!(codes("", "resize: {mode: exact}").is_empty());
        assert!(codes("format: 2,", "resize: {shortest_edge: 256}").is_empty());
        let padded = codes("format: 2,", "resize: {shortest_edge: 200}");
        assert_eq!(padded[0].0, "PADDED");
        assert!(padded[0].2.contains("the shortest edge 200 pixels"), "{}", padded[0].2);
    }
}
