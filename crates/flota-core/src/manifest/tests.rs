use super::*;
use crate::Sha256;

const WHOLE: &str = r#"name: image-category
version: "1.0.0"
description: what is on a photo
weights:
  url: https://models.example/mobilenet.onnx
  sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
labels:
  file: labels.txt
  skip_words: 1
input:
  name: data
  layout: nchw
  width: 224
  height: 224
  resize:
    mode: shorter_side
    size: 256
  filter: bilinear_antialias
  color: rgb
  mean: [0.485, 0.456, 0.406]
  std: [0.229, 0.224, 0.225]
output:
  kind: softmax
  apply: true
  top_k: 3
  thresholds:
    tench: 0.7
    goldfish: {below: 0.1}
batch:
  max_size: 4
limits:
  max_pixels: 1000000
"#;

fn refusal(from: &str, to: &str) -> String {
    assert!(WHOLE.contains(from), "{from:?} is not in the manifest");
    Manifest::parse("model.yaml", &WHOLE.replacen(from, to, 1)).unwrap_err().to_string()
}

fn accepted(from: &str, to: &str) -> Manifest {
    assert!(WHOLE.contains(from), "{from:?} is not in the manifest");
    Manifest::parse("model.yaml", &WHOLE.replacen(from, to, 1)).unwrap()
}

fn edge(rounding: Rounding) -> Resize {
    Resize::ShortestEdge { size: 256, crop: Crop::Center, rounding: Some(rounding) }
}

#[test]
fn a_whole_manifest_is_read_and_the_rest_has_defaults() {
    let manifest = accepted("", "");
    assert_eq!(manifest.name.as_str(), "image-category");
    assert_eq!(manifest.input.resize, edge(Rounding::Format1));
    assert_eq!(manifest.output.thresholds["tench"], Threshold::AtLeast(0.7));
    assert_eq!(manifest.output.thresholds["goldfish"], Threshold::Below(0.1));
    assert_eq!((manifest.batch.max_size, manifest.batch.max_wait_ms), (4, 10));
    assert_eq!(manifest.limits, Limits { max_pixels: 1_000_000, ..Limits::default() });
    assert_eq!((manifest.attempts, &manifest.code), (DEFAULT_ATTEMPTS, &None));
    assert_eq!(manifest.input.scale, 1.0 / 255.0);
    assert_eq!(manifest.format, Format::One);
}

#[test]
fn a_manifest_survives_json_and_keeps_its_digest() {
    let letterbox = accepted("mode: shorter_side\n    size: 256", "mode: letterbox");
    let inline = accepted("  file: labels.txt\n  skip_words: 1", "  [tench, goldfish]");
    let second = accepted("name: image", "format: 2\nname: image");
    let hurried = accepted("max_size: 4", "max_latency_ms: 500");
    let coded = accepted("name: image", CODE);
    for manifest in [accepted("", ""), letterbox, inline, second, hurried, coded] {
        let value = serde_json::to_value(&manifest).unwrap();
        let again: Manifest = serde_json::from_value(value).unwrap();
        assert_eq!(again, manifest);
        let weights = Sha256::of(b"weights");
        assert_eq!(again.digest(&weights, None), manifest.digest(&weights, None));
    }
}

#[test]
fn what_is_asked_of_opacity_and_profiles_counts_in_the_digest_where_it_is_unusual() {
    let weights = Sha256::of(b"weights");
    let digest = |to: &str| accepted("color: rgb", to).digest(&weights, None);
    let usual = digest("color: rgb");
    assert_eq!(digest("color: rgb\n  alpha: white\n  color_profile: ignore"), usual);
    assert_ne!(digest("color: rgb\n  alpha: drop"), usual);
    assert_ne!(digest("color: rgb\n  color_profile: apply"), usual);
}

#[test]
fn the_digest_covers_what_is_computed_and_nothing_else() {
    let (weights, labels) = (Sha256::of(b"weights"), Sha256::of(b"labels"));
    let whole = accepted("", "").digest(&weights, Some(&labels));
    for (from, to) in [
        ("max_size: 4", "max_size: 9"),
        ("max_size: 4", "max_latency_ms: 500"),
        ("1000000", "2000000"),
        ("what is", "what may be"),
        ("models.example", "mirror.example"),
    ] {
        assert_eq!(accepted(from, to).digest(&weights, Some(&labels)), whole, "{to}");
    }
    for (from, to) in [
        ("size: 256", "size: 257"),
        ("color: rgb", "color: bgr"),
        ("top_k: 3", "top_k: 4"),
        ("0.7", "0.8"),
        ("skip_words: 1", "skip_words: 0"),
    ] {
        assert_ne!(accepted(from, to).digest(&weights, Some(&labels)), whole, "{to}");
    }
    assert_ne!(accepted("", "").digest(&labels, Some(&labels)), whole);
    assert_ne!(accepted("", "").digest(&weights, Some(&weights)), whole);
}

const CODE: &str =
    "code: {revision: 2, parameters: {far: {b: 0.5, a: [1, true]}, near: x}}\nname: image";

#[test]
fn the_digest_covers_the_revision_and_the_parameters_of_code() {
    let weights = Sha256::of(b"weights");
    let digest = |code: &str| accepted("name: image", code).digest(&weights, None);
    let whole = digest(CODE);
    assert_eq!(digest("code: false\nname: image"), digest("name: image"));
    assert_eq!(digest("code: true\nname: image"), digest("code: {revision: 1}\nname: image"));
    for (from, to) in [("2", "3"), ("0.5", "0.6"), ("true", "false"), ("near: x", "near: y")] {
        assert_ne!(digest(&CODE.replacen(from, to, 1)), whole, "{to}");
    }
    let other_order = CODE.replace("b: 0.5, a: [1, true]", "a: [1, true], b: 0.5");
    assert_eq!(digest(&other_order), whole);
}

#[test]
fn parameters_of_code_are_read_as_the_code_takes_them() {
    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Parameters {
        far: Far,
        near: String,
    }
    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Far {
        a: (u32, bool),
        b: f32,
    }
    let code = |text: &str| accepted("name: image", text).code.unwrap();
    let wanted = Parameters { far: Far { a: (1, true), b: 0.5 }, near: "x".to_owned() };
    assert_eq!(code(CODE).read_parameters(), Ok(wanted));
    let error = code(&CODE.replace("near", "nearby")).read_parameters::<Parameters>().unwrap_err();
    assert!(error.contains("unknown field `nearby`"), "{error}");
    let text = refusal("name: image", "code: {revison: 2}\nname: image");
    assert!(text.starts_with("model.yaml:1: unknown field `revison`, did you mean"), "{text}");
}

/// The manifest as earlier versions wrote it to stores.
#[test]
fn a_registered_manifest_without_code_reads_as_before_and_is_written_as_before() {
    let mut value = serde_json::to_value(accepted("", "")).unwrap();
    assert_eq!(value["code"], serde_json::json!(false));
    value["code"] = serde_json::json!({"revision": 2});
    let manifest: Manifest = serde_json::from_value(value).unwrap();
    assert_eq!(manifest.code.map(|code| code.revision.get()), Some(2));
}

#[test]
fn what_is_wrong_is_said_with_line_and_cure() {
    for (from, to, wanted) in [
        ("width: 224", "widht: 224", "model.yaml:13: unknown field `widht`, did you mean `width`?"),
        ("kind: softmax", "kind: sotfmax", "model.yaml:23: unknown value `sotfmax`, did you mean"),
        ("kind: softmax", "kind: qqq", "known here: softmax, sigmoid, scores"),
        ("width: 224", "width: wide", "model.yaml:13: a whole number from 0 on is wanted, in `wid"),
        ("width: 224", "width: 0", "model.yaml:13: 0 is not from 1 to 8192, in `width: 0`"),
        ("max_size: 4", "max_size: 0", "model.yaml:30: 0 is not from 1 to 256"),
        ("max_size: 4", "max_latency_ms: 0", "model.yaml:30: 0 is not from 1 to 3600000"),
        ("  width: 224\n", "", "missing field `width`"),
        ("width: 224", "width: 224\n  width: 1", "model.yaml:14: field `width` is given twice"),
        (
            "size: 256",
            "size: 100",
            "model.yaml:15: `resize` to a shortest edge of 100 does not fill a tensor of 224x224",
        ),
        ("    size: 256\n", "", "model.yaml:16: `mode: shortest_edge` needs the `size`"),
        (
            "mode: shorter_side",
            "mode: exact",
            "`size`, `crop` and `rounding` belong to `mode: shor",
        ),
        ("color: rgb", "color: grey", "model.yaml:20: `mean` has 3 values for 1 channel(s)"),
        ("[0.229, 0.224, 0.225]", "[0, 1, 1]", "model.yaml:21: `std` must be greater than 0"),
        ("[0.229, 0.224, 0.225]", "[1e-45, 1, 1]", "model.yaml:21: `std` must be greater than 0"),
        ("[0.229, 0.224, 0.225]", "[.nan, 1, 1]", "`std` must hold finite numbers"),
        ("color: rgb", "dtype: u8", "model.yaml:19: `dtype: u8` takes pixels as they are"),
        ("kind: softmax", "kind: scores", "model.yaml:24: `apply` belongs to `kind: softmax`"),
        ("kind: softmax\n  apply: true", "kind: embedding", "an embedding has no labels"),
        ("0.7", "high", "model.yaml:27: "),
        ("top_k: 3", "top_k: 0", "model.yaml:25: `top_k` is not from 1 to 1000"),
        ("labels:\n  file: labels.txt\n  skip_words: 1\n", "", "model.yaml:19: `labels` are mi"),
        ("file: labels.txt", "fiel: labels.txt", "model.yaml:8: unknown field `fiel`, did you mea"),
        ("file: labels.txt", "file: ../labels.txt", "leads out of the model's folder"),
        ("  sha256: e3b0c44298", "  #", "`url` needs the `sha256`"),
        ("sha256: e3b0c44298", "sha256: e3b0", "model.yaml:6: "),
        ("https:", "ftp:", "`ftp:` is not fetched"),
        ("name: image-category", "name: Image_Category", "model.yaml:1: `Image_Category` is not a"),
        ("\"1.0.0\"", "\"1 0\"", "model.yaml:2: `1 0` is not a version"),
        ("file: labels.txt\n  skip_words: 1", "[tench, tench]", "given twice"),
        ("file: labels.txt\n  skip_words: 1", "[tench]", "`thresholds` names `goldfish`"),
        ("limits:", "limits: [", "model.yaml:3"),
        (
            "weights:\n  url: https://models.example/mobilenet.onnx\n  sha256:",
            "weights: m.onnx #",
            "fields are needed here, as `key: value`, in `weights: m.onnx #",
        ),
        (
            "labels:\n  file: labels.txt\n  skip_words: 1",
            "labels: l.txt",
            "`labels: {file: l.txt}`",
        ),
        (
            "labels:\n  file: labels.txt\n  skip_words: 1",
            "labels: {0: a}",
            "as a list in the order",
        ),
        (
            "resize:\n    mode: shorter_side\n    size: 256",
            "resize: exact",
            "`resize: {mode: exact}`",
        ),
        ("mean: [0.485, 0.456, 0.406]", "mean: 0.5", "write `mean: [0.5, 0.5, 0.5]`"),
        ("  color: rgb", "\tcolor: rgb", "model.yaml:19: a line is indented by a tab"),
        ("  color: rgb", "  size: 224", "write `resize: {shortest_edge: N}`, or"),
        (
            "name: image",
            "format: 2\n---\nname: image",
            "model.yaml:2: a line `---` begins a second",
        ),
    ] {
        let message = refusal(from, to);
        assert!(message.contains(wanted), "{to:?} gave {message:?}, wanted {wanted:?}");
    }
    let empty = Manifest::parse("model.yaml", "").unwrap_err();
    assert!(empty.to_string().starts_with("model.yaml:1: "), "{empty}");
}

#[test]
fn label_lines_lose_the_words_that_are_no_part_of_them() {
    let Some(LabelSource::Lines(lines)) = accepted("", "").labels else {
        panic!("labels in lines")
    };
    assert_eq!(
        lines.read("n01 tench, Tinca tinca\r\nn02 goldfish\n\n").unwrap(),
        ["tench, Tinca tinca", "goldfish"]
    );
    // Windows programs write a byte-order mark.
    assert_eq!(lines.read("\u{feff}n01 tench\r\n").unwrap(), ["tench"]);
    assert_eq!(lines.read("\u{feff}[\"tench\"]").unwrap(), ["tench"]);
    let many = |count| lines.read(&"n a\n".repeat(count)).map(|labels| labels.len());
    assert_eq!(many(500_000), Ok(500_000));
    assert_eq!(many(500_001), Err("there are more than 500000 labels".to_owned()));
}

#[test]
fn nothing_that_is_not_a_manifest_makes_the_reader_panic() {
    for text in ["- a", "&a [*a]", "{", "\u{0}", "name: !!binary x", "a: &x {<<: *x}", "? [a]\n: b"]
    {
        assert!(Manifest::parse("m", text).is_err(), "{text:?} was taken");
    }
}

/// A manifest that begins with `format` and has this `resize` and filter.
fn with(format: &str, resize: &str, filter: &str) -> Result<Manifest, ManifestError> {
    let text = WHOLE.replace("    mode: shorter_side\n    size: 256\n", &format!("    {resize}\n"));
    let text = text.replace("  filter: bilinear_antialias\n", &format!("  {filter}\n"));
    Manifest::parse("model.yaml", &format!("{format}\n{text}"))
}

#[test]
fn the_format_decides_how_images_are_resized() {
    let resize = "{shortest_edge: 256}";
    let rounding = |manifest: Manifest| manifest.input.resize;
    let of = |format| rounding(with(format, resize, "").unwrap());
    assert_eq!(of(""), edge(Rounding::Format1));
    assert_eq!(of("format: 1"), edge(Rounding::Format1));
    assert_eq!(of("format: 2"), edge(Rounding::Torchvision));
    let named = "{mode: shortest_edge, size: 256, rounding: transformers}";
    assert_eq!(rounding(with("format: 2", named, "").unwrap()), edge(Rounding::Transformers));
    assert_eq!(with("", resize, "").unwrap().input.resizer, Resizer::SixteenBit);
    assert_eq!(with("format: 2", resize, "").unwrap().input.resizer, Resizer::Pillow);
    // The key `format` may come after the keys that depend on it.
    let last = Manifest::parse("model.yaml", &format!("{WHOLE}format: 2\n")).unwrap();
    assert_eq!(last.input.resize, edge(Rounding::Torchvision));
    assert_eq!(last.input.resizer, Resizer::Pillow);
}

#[test]
fn one_meaning_has_one_digest_however_it_is_spelt() {
    let digest = |format, resize, filter| {
        let (weights, labels) = (Sha256::of(b"weights"), Sha256::of(b"labels"));
        with(format, resize, filter).unwrap().digest(&weights, Some(&labels))
    };
    for format in ["", "format: 2"] {
        let usual = digest(format, "{mode: shorter_side, size: 256}", "filter: bilinear_antialias");
        for (resize, filter) in [
            ("{shortest_edge: 256}", ""),
            ("{mode: shortest_edge, size: 256, crop: center}", "interpolation: bilinear"),
            ("{mode: shortest_edge, shortest_edge: 256}", "antialias: true"),
        ] {
            assert_eq!(digest(format, resize, filter), usual, "{format} {resize} {filter}");
        }
    }
    let corners = "interpolation: bilinear\n  align_corners: true";
    let usual = digest("", "{mode: exact}", "filter: bilinear_align_corners");
    assert_eq!(digest("", "{mode: exact}", corners), usual);
    // Equal manifests of different formats have different digests.
    let exact = "{mode: exact}";
    assert_ne!(digest("", exact, ""), digest("format: 2", exact, ""));
    let named = "{mode: shortest_edge, size: 256, rounding: torchvision}";
    let usual = digest("format: 2", "{shortest_edge: 256}", "");
    assert_eq!(digest("format: 2", named, ""), usual);
    assert_ne!(digest("format: 2", &named.replace("torchvision", "transformers"), ""), usual);
}

#[test]
fn what_other_libraries_say_is_understood_or_refused_by_name() {
    for (filter, wanted) in [
        ("interpolation: bicubic", Filter::BicubicAntialias),
        ("interpolation: bicubic\n  antialias: false", Filter::Bicubic),
        ("antialias: false", Filter::Bilinear),
        ("interpolation: lanczos", Filter::LanczosAntialias),
        ("interpolation: box", Filter::BoxAntialias),
        ("interpolation: hamming", Filter::HammingAntialias),
    ] {
        let manifest = with("format: 2", "{mode: exact}", filter).unwrap();
        assert_eq!(manifest.input.filter, wanted, "{filter}");
    }
    let (exact, edge) = ("{mode: exact}", "{shortest_edge: 256}");
    for (format, resize, filter, wanted) in [
        (
            "format: 3",
            exact,
            "",
            "model.yaml:1: format 3 is not known: this version of Flota reads",
        ),
        ("format: two", exact, "", "model.yaml:1: "),
        ("", exact, "antialias: false", "with `antialias: false` needs `format: 2`"),
        ("", "{mode: shortest_edge, size: 256, rounding: torchvision}", "", "needs `format: 2`"),
        ("format: 2", exact, "interpolation: nearest", "`interpolation: nearest` is not served: P"),
        ("format: 2", exact, "interpolation: area", "`interpolation: area` is not known: use bili"),
        ("format: 2", exact, "interpolation: lanczos\n  antialias: false", "needs `antialias: tru"),
        ("format: 2", exact, "filter: bilinear", "use `interpolation: bilinear` and `antialias:"),
        ("format: 2", exact, "filter: bilinear_antialias\n  antialias: true", "leave it out"),
        ("format: 2", "{mode: exact, shortest_edge: 256}", "", "says both `mode` and `size`"),
        ("format: 2", "{size: 256}", "", "`mode` is missing: `shortest_edge`, `exact` or"),
        (
            "format: 2",
            "{mode: exact, rounding: torchvision}",
            "",
            "belong to `mode: shortest_edge`",
        ),
        (
            "format: 2",
            edge,
            "crop_pct: 0.875",
            "unknown field `crop_pct`: write timm's as `resize:",
        ),
        (
            "format: 2",
            edge,
            "resample: 3",
            "unknown field `resample`: write Hugging Face's as `int",
        ),
        (
            "format: 2",
            edge,
            "image_mean: [0, 0, 0]",
            "unknown field `image_mean`: write Hugging Fa",
        ),
        ("format: 2", "{height: 224, width: 224}", "", "write Hugging Face's as `mode: exact`"),
        ("", "{shortest_edge: 200}", "", "only `format: 2` with `rounding: torchvision` pads it"),
    ] {
        let message = with(format, resize, filter).unwrap_err().to_string();
        assert!(message.contains(wanted), "{resize} {filter} gave {message:?}, wanted {wanted:?}");
    }
    assert!(with("format: 2", "{shortest_edge: 200}", "").unwrap().input.may_pad());
}

/// The digests were computed with 331f70c, before manifests had formats. Workers and stores
/// identify models by them.
#[test]
fn a_manifest_without_a_format_keeps_its_digest() {
    let (weights, labels) = (Sha256::of(b"weights"), Sha256::of(b"labels"));
    let digest = |text: &str, labels: Option<&Sha256>| {
        Manifest::parse("model.yaml", text).unwrap().digest(&weights, labels).to_string()
    };
    let edge = digest(WHOLE, Some(&labels));
    assert_eq!(edge, "b4e4fcc65a15743286830bea085ed4ec1a2716bb72a7d4783f14c1fbfe4995c0");
    let letterbox = digest(
        "{name: a, version: '1', weights: {file: a}, labels: [red, green], \
         input: {layout: nhwc, width: 640, height: 480, color: bgr, dtype: u8, \
         resize: {mode: letterbox, fill: [0, 255, 0]}, filter: bicubic_antialias, \
         jpeg: {min_scale: 4}}, output: {name: scores, kind: regression}}",
        None,
    );
    assert_eq!(letterbox, "a0121fb157aad3c5b8635e69210e5c5be5c894b111a7ff3f1f3334fbf6b45b3b");
    let embedding = digest(
        "{name: a, version: '1', weights: {file: a}, output: {kind: embedding}, \
         input: {width: 8, height: 8, color: grey, scale: 1, mean: [0.1307], \
         resize: {mode: exact}, filter: bilinear_align_corners}}",
        None,
    );
    assert_eq!(embedding, "242eb89a28e62bf41cf640bcd8fef48649c523cec4a92371b3e242be9481b6ac");
}
