use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{
        DeserializeOwned, Error as _, IgnoredAny, MapAccess, Visitor, value::MapAccessDeserializer,
    },
};

use serde_json::Number;

use super::problem::{FieldError, Problem, ProblemCode};

/// Longest path of a field that a problem repeats, in characters: the client knows the rest.
const MAX_FIELD_CHARS: usize = 200;

/// What the parser expects, in the words of JSON.
const WORDS: [(&str, &str); 5] = [
    ("a JSON number", "a whole number"),
    ("a map", "an object"),
    ("a sequence", "an array"),
    ("usize", "a whole number"),
    ("u32", "a whole number"),
];

/// A `T` that is written as a JSON object, not as an array of its fields, which serde takes too.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub(crate) struct Object<T>(pub(crate) T);

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}

/// Reads a whole number, also one that is written with a decimal point: JSON Schema takes `1.0` for one.
pub(super) fn whole<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<u64>,
{
    let Some(number) = Option::<Number>::deserialize(deserializer)? else { return Ok(None) };
    // Up to there a double holds every whole number.
    let exact = 0.0..=(1_u64 << 53) as f64;
    let decimal = || number.as_f64().filter(|it| it.fract() == 0.0 && exact.contains(it));
    let whole = number.as_u64().or_else(|| decimal().map(|it| it as u64));
    let whole = whole.and_then(|it| T::try_from(it).ok());
    whole.map(Some).ok_or_else(|| D::Error::custom("invalid value, expected u32"))
}

/// Reads a JSON object; a field that is wrong is named with its path.
pub(super) fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let parsed = serde_path_to_error::deserialize(&mut json);
    let Object(value) = parsed.map_err(|error| {
        let path = error.path().to_string();
        let error = error.into_inner();
        // To the parser, JSON that it cannot hold is not JSON: it is deep, or a number is large.
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

/// Which field is wrong, and how it must be. The parser tells it in a text alone.
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
        // Said only of a name from a list.
        "expected value" => "a string is wanted".to_owned(),
        _ => wanted(text),
    };
    field_error(if parent.is_empty() { "body" } else { parent }, message)
}

/// The last thing that the parser expected; before it comes what the client wrote.
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
