//! Errors in a manifest: the line, the problem and a suggestion.

use serde_saphyr::Error as YamlError;
use thiserror::Error;

use super::place::{line_of, named_key};

/// Most characters of the manifest that an error quotes.
const MAX_QUOTE_CHARS: usize = 60;
/// Least similarity (Jaro-Winkler, 0 to 1) at which a known name is suggested for an unknown one.
const MIN_LIKENESS: f64 = 0.75;

/// An invalid manifest: the file, the line and the problem.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{file}:{line}: {reason}")]
pub struct ManifestError {
    /// The file, as the caller named it.
    pub file: String,
    /// The line, counted from 1.
    pub line: u64,
    /// The problem and the expected content, in lower case.
    pub reason: String,
}

impl ManifestError {
    /// Translates an error of the YAML parser in `text`.
    pub(super) fn from_yaml(file: &str, text: &str, error: &YamlError) -> Self {
        let error = error.without_snippet();
        let mut line = error.location().map_or(1, |location| location.line().max(1));
        // Errors that are found after a whole mapping was read point to its beginning.
        if let YamlError::Message { msg, .. } = error
            && let Some(of_key) = named_key(msg).and_then(|key| line_of(text, line, key))
        {
            line = of_key;
        }
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
            YamlError::Unexpected { expected, .. } => {
                let (key, value) = key_and_value(text, line);
                match written(key, value) {
                    Some(cure) => {
                        format!("{}{}: write {cure}", needed(expected), quote(text, line))
                    }
                    None => format!("{}{}", needed(expected), quote(text, line)),
                }
            }
            YamlError::SerdeInvalidType { expected, .. } => {
                let (key, value) = key_and_value(text, line);
                match written(key, value) {
                    Some(cure) => {
                        format!("{expected} is needed{}: write {cure}", quote(text, line))
                    }
                    None => format!("{expected} is needed{}", quote(text, line)),
                }
            }
            YamlError::MultipleDocuments { .. } => TWO_DOCUMENTS.to_owned(),
            // The parser may name the line before, if it takes that line for unfinished.
            _ if is_indented_by_tab(text, line) || is_indented_by_tab(text, line + 1) => {
                line += u64::from(!is_indented_by_tab(text, line));
                format!("a line is indented by a tab: YAML takes spaces alone{}", quote(text, line))
            }
            other => format!("{}{}", without_place(&other.to_string()), quote(text, line)),
        };
        Self { file: file.to_owned(), line, reason }
    }

    /// An error about the top-level field `key` of `text`. If `reason` begins with the name of a
    /// field inside it, such as `` `interpolation: cubic` ``, the error has the line of that field.
    pub fn about(file: &str, text: &str, key: &str, reason: String) -> Self {
        let opens = |line: &str| line.strip_prefix(key).is_some_and(|rest| rest.starts_with(':'));
        let line = text.lines().position(opens).unwrap_or(0) as u64 + 1;
        let inner = named_key(&reason).filter(|inner| *inner != key);
        let line = inner.and_then(|inner| line_of(text, line, inner)).unwrap_or(line);
        Self { file: file.to_owned(), line, reason }
    }
}

/// A file with two documents would have two manifests.
pub(super) const TWO_DOCUMENTS: &str =
    "a line `---` begins a second document: a manifest is one, remove what is not of it";

/// Replaces the parser's word for an `expected` type with a common one.
fn needed(expected: &str) -> String {
    let needed = match expected {
        "mapping start" | "empty mapping start" => "fields are needed here, as `key: value`",
        "sequence start" => "a list is needed here, as `[a, b, c]`",
        "string scalar" => "a single value is needed here",
        other => return format!("expected {other}"),
    };
    needed.to_owned()
}

/// The field of a line and its value.
fn key_and_value(text: &str, line: u64) -> (&str, &str) {
    let (key, value) = line_at(text, line).split_once(':').unwrap_or_default();
    (key.trim(), value.split(" #").next().unwrap_or_default().trim())
}

/// Suggests the right form of the field `key`, which was given a single `value`.
fn written(key: &str, value: &str) -> Option<String> {
    if value.is_empty() || value.starts_with(['[', '{', '&', '*', '|', '>']) {
        return None;
    }
    Some(match key {
        "weights" | "labels" => format!("`{key}: {{file: {value}}}`"),
        "resize" => format!("`resize: {{mode: {value}}}`"),
        "output" => format!("`output: {{kind: {value}}}`"),
        "mean" | "std" => {
            format!("`{key}: [{value}, {value}, {value}]`, a number for each channel")
        }
        _ => return None,
    })
}

fn is_indented_by_tab(text: &str, line: u64) -> bool {
    let line = line_at(text, line);
    let indentation = &line[..line.len() - line.trim_start().len()];
    indentation.contains('\t')
}

fn line_at(text: &str, line: u64) -> &str {
    let index = usize::try_from(line - 1).unwrap_or(usize::MAX);
    text.lines().nth(index).unwrap_or_default()
}

/// Suggests our name for a `field` that is named as in another library.
fn foreign(field: &str, known: &[&'static str]) -> Option<&'static str> {
    let is_id = !field.is_empty() && field.bytes().all(|byte| byte.is_ascii_digit());
    Some(match field {
        // `labels: {0: cat, 1: dog}`
        _ if is_id && known.contains(&"skip_words") => {
            "the labels as a list in the order of their ids, `labels: [cat, dog]`"
        }
        "crop_pct" => {
            "timm's as `resize: {shortest_edge: N}`, where N is floor(input size / crop_pct)"
        }
        "crop_mode" => {
            "timm's `center` as `resize: {shortest_edge: N}`, its others as `mode: exact` or \
            `mode: letterbox`"
        }
        "size" | "shortest_edge" if known.contains(&"resize") => {
            "`resize: {shortest_edge: N}`, or `resize: {mode: exact}`, and the tensor's size as `width` and \
            `height`"
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

/// Removes the place from the end of the parser's sentence.
fn without_place(sentence: &str) -> &str {
    sentence.rfind(" at line ").map_or(sentence, |end| &sentence[..end])
}

fn quote(text: &str, line: u64) -> String {
    let quoted = line_at(text, line).trim();
    match quoted.char_indices().nth(MAX_QUOTE_CHARS) {
        None if quoted.is_empty() => String::new(),
        None => format!(", in `{quoted}`"),
        Some((end, _)) => format!(", in `{}…`", &quoted[..end]),
    }
}
