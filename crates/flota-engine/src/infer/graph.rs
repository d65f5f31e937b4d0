//! Which input and which output of a graph the manifest means.

use flota_core::{Dtype, InputSpec};

use super::LoadError;
use crate::preprocess::shape_of;

/// The place in `names` of the `role` that the manifest calls `wanted`, or of the only one.
pub(super) fn find(
    role: &'static str,
    wanted: Option<&str>,
    names: &[String],
) -> Result<usize, LoadError> {
    let known = || if names.is_empty() { "none".to_owned() } else { quoted(names) };
    match (wanted, names) {
        (None, [_]) => Ok(0),
        (None, _) => Err(LoadError::Ambiguous { role, known: known() }),
        (Some(wanted), _) => names
            .iter()
            .position(|name| name == wanted)
            .ok_or_else(|| LoadError::NoSuchName { role, name: wanted.to_owned(), known: known() }),
    }
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
    let taken_shape = taken_shape.map_or_else(|| "any shape".to_owned(), shown);
    Err(LoadError::InputMismatch {
        name: name.to_owned(),
        made: format!("{made_type} {made_shape:?}"),
        taken: format!("{taken_type} {taken_shape}"),
    })
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

pub(super) fn quoted(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
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

    #[test]
    fn free_axes_take_any_length() {
        assert!(fits(&[1, 3, 8, 8], &[None, Some(3), None, Some(8)]));
        assert!(!fits(&[1, 3, 8, 8], &[None, Some(3), None, Some(9)]));
        assert!(!fits(&[1, 3, 8, 8], &[None, Some(3), None]));
        assert_eq!(shown(&[None, Some(3)]), "[?, 3]");
    }
}
