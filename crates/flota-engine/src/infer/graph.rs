//! Which input and which output of a graph the manifest means.

use flota_core::{ColorOrder, Dtype, InputSpec, Layout};

use super::{LoadError, OutputRequest, error::quoted};
use crate::{ElementType, TensorSpec, preprocess::shape_of};

/// The place in `names` of the `role` that the manifest calls `wanted`, or of the only one.
pub(super) fn find(
    role: &'static str,
    wanted: Option<&str>,
    names: &[String],
) -> Result<usize, LoadError> {
    let known = || quoted(names);
    match (wanted, names) {
        (_, []) => Err(LoadError::None { role }),
        (None, [_]) => Ok(0),
        (None, _) => Err(LoadError::Ambiguous { role, known: known() }),
        (Some(wanted), _) => names
            .iter()
            .position(|name| name == wanted)
            .ok_or_else(|| LoadError::NoSuchName { role, name: wanted.to_owned(), known: known() }),
    }
}

/// The places in `names` of `inputs`, of which there must be as many.
pub(super) fn find_inputs(inputs: &[InputSpec], names: &[String]) -> Result<Vec<usize>, LoadError> {
    if names.len() > inputs.len() {
        return Err(LoadError::ManyInputs { count: names.len(), known: quoted(names) });
    }
    inputs.iter().map(|input| find("input", input.name.as_deref(), names)).collect()
}

/// The places in `names` of `outputs`.
pub(super) fn find_outputs(
    outputs: &[OutputRequest<'_>],
    names: &[String],
) -> Result<Vec<usize>, LoadError> {
    outputs.iter().map(|output| find("output", output.name, names)).collect()
}

/// Checks that the input `name`, of which the graph says that it takes tensors of `taken_type` (as
/// ONNX calls it) and `taken_shape`, takes those that the manifest makes.
pub(super) fn check_input(
    name: &str,
    taken_type: &str,
    taken_shape: Option<&[Option<usize>]>,
    input: &InputSpec,
) -> Result<(), LoadError> {
    let made_shape = shape_of(input);
    let made_type = match input.dtype {
        Dtype::F32 => "float",
        Dtype::U8 => "uint8",
    };
    let is_fitting = taken_shape.is_none_or(|taken| fits(&made_shape, taken));
    if taken_type == made_type && is_fitting {
        return Ok(());
    }
    let cure = cure(taken_type, taken_shape, input);
    let taken_shape = taken_shape.map_or_else(|| "any shape".to_owned(), shown);
    Err(LoadError::InputMismatch {
        name: name.to_owned(),
        made: format!("{made_type} {made_shape:?}"),
        taken: format!("{taken_type} {taken_shape}"),
        cure,
    })
}

/// The tensors that the graph is fed under `name`.
pub(super) fn fed(name: &str, input: &InputSpec) -> TensorSpec {
    let element = match input.dtype {
        Dtype::F32 => ElementType::F32,
        Dtype::U8 => ElementType::U8,
    };
    let shape = shape_of(input).into_iter().map(Some).collect();
    TensorSpec { name: name.into(), element, shape }
}

/// What would make the tensor of `input` one of `taken_type` and `taken_shape`.
fn cure(taken_type: &str, taken_shape: Option<&[Option<usize>]>, input: &InputSpec) -> String {
    match (taken_type, input.dtype) {
        ("float", Dtype::F32) | ("uint8", Dtype::U8) => {}
        ("float", Dtype::U8) => return "leave out `dtype: u8`".to_owned(),
        ("uint8", Dtype::F32) => return "write `dtype: u8`".to_owned(),
        _ => return "export the model in float32".to_owned(),
    }
    let Some(&[batch, a, b, c]) = taken_shape else {
        return "export the model with an input of four axes: images, channels, height, width"
            .to_owned();
    };
    if batch.is_some_and(|batch| batch != 1) {
        return "export it for a batch of 1, or with a free (dynamic) batch".to_owned();
    }
    let is_channels = |axis: Option<usize>| matches!(axis, Some(1 | 3));
    let (is_first, is_last) = (is_channels(a), is_channels(c));
    let (layout, [channels, height, width]) = match input.layout {
        Layout::Nchw if is_last && !is_first => return "write `layout: nhwc`".to_owned(),
        Layout::Nhwc if is_first && !is_last => return "write `layout: nchw`".to_owned(),
        Layout::Nchw => ("nchw", [a, b, c]),
        Layout::Nhwc => ("nhwc", [c, a, b]),
    };
    match (channels, input.color) {
        (Some(1), ColorOrder::Rgb | ColorOrder::Bgr) => return "write `color: grey`".to_owned(),
        (Some(3), ColorOrder::Grey) => return "leave out `color: grey`".to_owned(),
        (Some(channels), _) if channels != input.color.channel_count() => {
            return format!(
                "images have 1 or 3 channels, with `layout: {layout}` it takes {channels}"
            );
        }
        _ => {}
    }
    let side =
        |name: &str, length: Option<usize>| length.map(|length| format!("`{name}: {length}`"));
    let sides: Vec<String> =
        [side("width", width), side("height", height)].into_iter().flatten().collect();
    format!("write {}", sides.join(" and "))
}

/// The type of the numbers of the output `name`, which the graph declares as `type_name`, as ONNX calls it, and
/// of `shape`.
pub(super) fn check_output(
    name: &str,
    type_name: &str,
    shape: Option<&[Option<usize>]>,
    request: &OutputRequest<'_>,
) -> Result<ElementType, LoadError> {
    let element = ElementType::of_onnx(type_name);
    let is_fitting = |element: &ElementType| request.element.is_none_or(|asked| asked == *element);
    element.filter(is_fitting).ok_or_else(|| output_mismatch(name, type_name, shape))
}

/// Says of the output `name`, of the type `type_name` as ONNX calls it, why it is not served.
pub(crate) fn output_mismatch(
    name: &str,
    type_name: &str,
    shape: Option<&[Option<usize>]>,
) -> LoadError {
    let cure = match type_name {
        "int64" | "int32" => {
            "it looks like the number of the best label (ArgMax); export the scores before that, or name \
             another output as `output.name`"
        }
        "float" => {
            "export the model with a number for each label, or name another output as `output.name`"
        }
        _ => "export the model in float32",
    };
    let shape = shape.map_or_else(|| "of any shape".to_owned(), shown);
    LoadError::OutputMismatch { name: name.to_owned(), found: format!("{type_name} {shape}"), cure }
}

/// Whether tensors of `made` can be fed where a graph declares `taken`: free axes take any length.
fn fits(made: &[usize], taken: &[Option<usize>]) -> bool {
    made.len() == taken.len()
        && made.iter().zip(taken).all(|(made, taken)| taken.is_none_or(|taken| taken == *made))
}

/// A shape as people write it, free axes as `?`.
fn shown(shape: &[Option<usize>]) -> String {
    let axes: Vec<String> = shape
        .iter()
        .map(|axis| axis.map_or_else(|| "?".to_owned(), |length| length.to_string()))
        .collect();
    format!("[{}]", axes.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_not_there_are_answered_with_those_that_are() {
        let names = ["boxes".to_owned(), "scores".to_owned()];
        assert_eq!(find("output", Some("scores"), &names).unwrap(), 1);
        let error = find("output", Some("logits"), &names).unwrap_err().to_string();
        assert_eq!(error, "the graph has no output `logits`; it has `boxes`, `scores`");
        let error = find("output", None, &names).unwrap_err().to_string();
        assert!(error.contains("name one of `boxes`, `scores`"), "{error}");
    }

    fn input(keys: &str) -> InputSpec {
        let text = format!(
            "{{format: 2, name: a, version: '1', weights: {{file: a}}, output: {{kind: embedding}}, \
             input: {{width: 8, height: 6, resize: {{mode: exact}}, {keys}}}}}"
        );
        flota_core::Manifest::parse("model.yaml", &text).unwrap().input
    }

    #[test]
    fn a_tensor_that_does_not_fit_is_answered_with_what_would() {
        let cure = |keys: &str, taken_type: &str, taken_shape: &[Option<usize>]| {
            let input = input(keys);
            check_input("image", taken_type, Some(taken_shape), &input).unwrap_err().to_string()
        };
        let (free, three) = (None, Some(3));
        let planes = [free, three, Some(6), Some(8)];
        let pixels = [free, Some(6), Some(8), three];
        for (input, taken_type, taken_shape, wanted) in [
            ("", "float", &pixels[..], "takes float [?, 6, 8, 3]: write `layout: nhwc`"),
            ("layout: nhwc", "float", &planes, "write `layout: nchw`"),
            (
                "",
                "float",
                &[Some(4), three, Some(6), Some(8)],
                "export it for a batch of 1, or with",
            ),
            (
                "",
                "float",
                &[free, three, Some(224), Some(256)],
                "write `width: 256` and `height: 224`",
            ),
            ("", "float", &[free, three, free, Some(256)], "write `width: 256`"),
            (
                "layout: nhwc",
                "float",
                &[free, Some(9), Some(8), three],
                "write `width: 8` and `height: 9`",
            ),
            ("", "float", &[free, Some(1), Some(6), Some(8)], "write `color: grey`"),
            ("color: grey", "float", &planes, "leave out `color: grey`"),
            ("", "float", &[free, Some(4), Some(6), Some(8)], "it takes 4"),
            ("", "float", &[three, Some(6), Some(8)], "an input of four axes"),
            ("", "float16", &planes, "export the model in float32"),
            ("", "uint8", &planes, "write `dtype: u8`"),
            ("dtype: u8", "float", &planes, "leave out `dtype: u8`"),
        ] {
            let message = cure(input, taken_type, taken_shape);
            assert!(message.contains(wanted), "{input} {taken_shape:?}: {message:?}");
        }
    }

    #[test]
    fn an_output_of_another_kind_is_named() {
        let said = |type_name| output_mismatch("y", type_name, Some(&[None, Some(1)])).to_string();
        assert!(said("int64").starts_with("output `y` is int64 [?, 1], not a vector of 32-bit"));
        assert!(said("int64").contains("(ArgMax)") && said("float16").ends_with("in float32"));
    }

    #[test]
    fn only_the_image_is_an_input() {
        let names =
            |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let find_inputs = |names: &[String]| find_inputs(&[input("")], names);
        let error = find_inputs(&names(&["image", "size"])).unwrap_err().to_string();
        assert!(
            error.contains("takes 2 inputs (`image`, `size`), and only graphs with one"),
            "{error}"
        );
        let error = find_inputs(&[]).unwrap_err().to_string();
        assert!(error.starts_with("the graph has no input"), "{error}");
        assert_eq!(find_inputs(&names(&["image"])).unwrap(), [0]);
    }

    #[test]
    fn free_axes_take_any_length() {
        assert!(fits(&[1, 3, 8, 8], &[None, Some(3), None, Some(8)]));
        assert!(!fits(&[1, 3, 8, 8], &[None, Some(3), None, Some(9)]));
        assert!(!fits(&[1, 3, 8, 8], &[None, Some(3), None]));
        assert_eq!(shown(&[None, Some(3)]), "[?, 3]");
    }
}
