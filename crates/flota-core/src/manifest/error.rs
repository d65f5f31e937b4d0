//! What is wrong with a manifest, where, and what would cure it.

use serde_saphyr::Error as YamlError;
use thiserror::Error;

/// Longest piece of the manifest that an error quotes, in characters.
const MAX_QUOTE_CHARS: usize = 60;
/// Least likeness (Jaro-Winkler, 0 to 1) at which a known name is offered for an unknown one.
const MIN_LIKENESS: f64 = 0.75;

/// A manifest that is refused: the file, the line and the reason.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{file}:{line}: {reason}")]
pub struct ManifestError {
    /// The file as it was named.
    pub file: String,
    /// The line, from 1 on.
    pub line: u64,
    /// What is wrong and what would be right, lower case.
    pub reason: String,
}

impl ManifestError {
    /// The error that a YAML reader has found in `text`.
    pub(super) fn from_yaml(file: &str, text: &str, error: &YamlError) -> Self {
        let error = error.without_snippet();
        let line = error.location().map_or(1, |location| location.line().max(1));
        let reason = match error {
            YamlError::SerdeUnknownField { field, expected, .. } => {
                match foreign(field, expected) {
                    Some(cure) => format!("unknown field `{field}`: write {cure}"),
                    None => format!("unknown field `{field}`, {}", cure(field, expected)),
                }
            }
            YamlError::SerdeUnknownVariant { variant, expected, .. } => {
                format!("unknown value `{variant}`, {}", cure(variant, expected))
            }
            YamlError::SerdeMissingField { field, .. } => format!("missing field `{field}`"),
            YamlError::DuplicateMappingKey { key: Some(key), .. } => {
                format!("field `{key}` is given twice")
            }
            YamlError::InvalidScalar { ty, .. } => {
                format!("{} is wanted{}", wanted(ty), quote(text, line))
            }
            YamlError::Message { msg, .. } => format!("{msg}{}", quote(text, line)),
            other => format!("{}{}", without_place(&other.to_string()), quote(text, line)),
        };
        Self { file: file.to_owned(), line, reason }
    }

    /// An error about the top-level field `key` of `text`.
    pub fn about(file: &str, text: &str, key: &str, reason: String) -> Self {
        let opens = |line: &str| line.strip_prefix(key).is_some_and(|rest| rest.starts_with(':'));
        let index = text.lines().position(opens).unwrap_or(0);
        Self { file: file.to_owned(), line: index as u64 + 1, reason }
    }
}

/// How what another library calls `field` is written here.
fn foreign(field: &str, known: &[&'static str]) -> Option<&'static str> {
    Some(match field {
        "crop_pct" => {
            "timm's as `resize: {shortest_edge: N}`, where N is floor(input size / crop_pct)"
        }
        "crop_mode" => {
            "timm's `center` as `resize: {shortest_edge: N}`, its others as `mode: exact` or \
            `mode: letterbox`"
        }
        "input_size" | "crop_size" => "the size as `width` and `height` of `input`",
        "height" | "width" if known.contains(&"mode") => {
            "Hugging Face's as `mode: exact`, and the size as `width` and `height` \
            of `input`"
        }
        "resample" => {
            "Hugging Face's as `interpolation: lanczos` (1), `bilinear` (2), `bicubic` (3), \
            `box` (4) or `hamming` (5)"
        }
        "do_normalize" | "do_rescale" | "do_resize" | "do_center_crop" => {
            "only what is done: `mean` and `std`, `scale`, `resize`"
        }
        "image_mean" => "Hugging Face's as `mean`",
        "image_std" => "Hugging Face's as `std`",
        "rescale_factor" => "Hugging Face's as `scale`",
        "id2label" => "the labels as a list, or as `labels: {file: config.json}`",
        _ => return None,
    })
}

fn cure(given: &str, known: &[&'static str]) -> String {
    let likeness = |name: &&'static str| strsim::jaro_winkler(given, name);
    let nearest = known.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    match nearest {
        Some(name) if likeness(name) >= MIN_LIKENESS => format!("did you mean `{name}`?"),
        _ => format!("known here: {}", known.join(", ")),
    }
}

fn wanted(rust_type: &str) -> &str {
    match rust_type {
        "bool" => "`true` or `false`",
        "u8" => "a whole number from 0 to 255",
        "u16" | "u32" | "u64" | "usize" => "a whole number from 0 on",
        "floating point" | "f32" | "f64" => "a number",
        other => other,
    }
}

/// The reader repeats the place at the end of its sentence.
fn without_place(sentence: &str) -> &str {
    sentence.rfind(" at line ").map_or(sentence, |end| &sentence[..end])
}

fn quote(text: &str, line: u64) -> String {
    let index = usize::try_from(line - 1).unwrap_or(usize::MAX);
    let quoted = text.lines().nth(index).unwrap_or_default().trim();
    match quoted.char_indices().nth(MAX_QUOTE_CHARS) {
        None if quoted.is_empty() => String::new(),
        None => format!(", in `{quoted}`"),
        Some((end, _)) => format!(", in `{}…`", &quoted[..end]),
    }
}
