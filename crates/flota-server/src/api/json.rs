use flota_api::{FieldError, Object};
use serde::de::{DeserializeOwned, IgnoredAny};

use super::problem::{Problem, ProblemCode};

/// Most characters of a field's path that a problem repeats.
const MAX_FIELD_CHARS: usize = 200;

/// The parser's names of types, and those of JSON.
const WORDS: [(&str, &str); 5] = [
    ("a JSON number", "a whole number"),
    ("a map", "an object"),
    ("a sequence", "an array"),
    ("usize", "a whole number"),
    ("u32", "a whole number"),
];

/// Parses a JSON object. The problem names an invalid field by its path.
pub(super) fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let parsed = serde_path_to_error::deserialize(&mut json);
    let Object(value) = parsed.map_err(|error| {
        let path = error.path().to_string();
        let error = error.into_inner();
        // The parser reports valid JSON as invalid if it is nested too deeply or has a huge number.
        match serde_json::from_slice::<IgnoredAny>(bytes) {
            Err(syntax) if !error.is_data() => malformed(&syntax),
            _ => Problem::fields(ProblemCode::InvalidField, vec![wrong_field(&path, &error)]),
        }
    })?;
    json.end().map_err(|error| malformed(&error))?;
    Ok(value)
}

fn malformed(error: &serde_json::Error) -> Problem {
    Problem::new(ProblemCode::MalformedJson, error.to_string())
}

/// The invalid field and what is expected. The parser has both only as text.
fn wrong_field(path: &str, error: &serde_json::Error) -> FieldError {
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
    let parent = path.trim_end_matches('?').trim_end_matches('.');
    if let Some(name) = quoted(text, "missing field ") {
        return field_error(&joined(parent, name), "it is missing".to_owned());
    }
    if let Some(name) = quoted(text, "duplicate field ") {
        return field_error(&joined(parent, name), "it is there twice".to_owned());
    }
    let message = match text {
        "recursion limit exceeded" => {
            let top = parent.split(['.', '[']).next().unwrap_or(parent);
            return field_error(top, "it is nested too deeply".to_owned());
        }
        "number out of range" => "the number is out of range".to_owned(),
        // The parser says this only for a value that must be one of several names.
        "expected value" => "a string is wanted".to_owned(),
        _ => wanted(text),
    };
    field_error(if parent.is_empty() { "body" } else { parent }, message)
}

/// The type that the parser expected. It comes last, after what the client sent.
fn wanted(text: &str) -> String {
    let Some((_, wanted)) = text.rsplit_once(", expected ") else { return text.to_owned() };
    let word = WORDS.iter().find(|(theirs, _)| *theirs == wanted).map_or(wanted, |(_, ours)| ours);
    let prefix = if text.starts_with("unknown field ") { "there is no such field: " } else { "" };
    format!("{prefix}{word} is wanted")
}

fn quoted<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    text.strip_prefix(prefix)?.strip_prefix('`')?.strip_suffix('`')
}

fn joined(parent: &str, name: &str) -> String {
    if parent.is_empty() { name.to_owned() } else { format!("{parent}.{name}") }
}

fn field_error(field: &str, message: String) -> FieldError {
    FieldError::new(field.chars().take(MAX_FIELD_CHARS).collect::<String>(), message)
}
