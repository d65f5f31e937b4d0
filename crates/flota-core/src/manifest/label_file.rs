//! Label files of other libraries: a JSON list, a dictionary by id, Hugging Face's `config.json`,
//! or a dictionary as Python prints it.

use std::{collections::BTreeMap, iter::Peekable, str::Chars};

use serde_json::Value;

use super::json_once::Document;

/// Most labels of a model. The largest known classifiers have a tenth of that.
pub(super) const MAX_LABELS: usize = 500_000;

/// The key of the labels in `config.json`.
const HUGGING_FACE_KEY: &str = "id2label";

/// `text` without a byte-order mark, which Windows programs write at the start of a file.
pub(super) fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// Returns `labels`, unless there are too many.
pub(super) fn bounded(labels: Vec<String>) -> Result<Vec<String>, String> {
    match labels.len() > MAX_LABELS {
        true => Err(format!("there are more than {MAX_LABELS} labels")),
        false => Ok(labels),
    }
}

/// Parses `text` as a JSON list or dictionary of labels, in the order of their ids. `None` if it is
/// neither.
///
/// # Errors
/// If it is one, but not of labels.
pub(super) fn of_json(text: &str) -> Option<Result<Vec<String>, String>> {
    let text = text.trim_start();
    if !text.starts_with(['{', '[']) {
        return None;
    }
    match serde_json::from_str(text) {
        Ok(Document(document)) => Some(of_value(document)),
        // A line that begins with a bracket may be a label.
        Err(_) if text.starts_with('[') => None,
        Err(error) if error.is_data() => Some(Err(format!("of the labels, {error}"))),
        Err(error) => Some(Err(format!("the labels are not JSON: {error}"))),
    }
}

/// Parses the labels in a file's metadata as Ultralytics writes them: a dictionary or list, in JSON
/// or as Python prints it.
pub(super) fn of_metadata(text: &str) -> Result<Vec<String>, String> {
    let text = without_mark(text);
    if let Ok(Document(document)) = serde_json::from_str(text) {
        return of_value(document);
    }
    if let Some(Ok(document)) = json_of_python(text).map(|json| serde_json::from_str(&json)) {
        return of_value(document);
    }
    // YAML is close to what Python prints, except for backslashes in single quotes.
    if text.contains('\\') && text.contains('\'') {
        return Err(
            "its quotes and backslashes can be read in two ways: list the labels".to_owned()
        );
    }
    let by_id: Result<BTreeMap<u32, String>, _> = serde_saphyr::from_str(text);
    if let Ok(by_id) = by_id {
        return in_order(by_id.into_iter().collect());
    }
    serde_saphyr::from_str(text)
        .map_err(|_| "it is no list of labels, and no dictionary of ids and labels".to_owned())
}

/// Converts a dictionary or list as Python prints it to JSON. `None` if a string has no end, or an
/// escape that Python does not print.
fn json_of_python(text: &str) -> Option<String> {
    let mut json = String::new();
    let mut rest = text.chars().peekable();
    while let Some(next) = rest.next() {
        match next {
            quote @ ('\'' | '"') => {
                let label = python_text(&mut rest, quote)?;
                json += &Value::from(label).to_string();
            }
            digit @ '0'..='9' => {
                let mut number = String::from(digit);
                while let Some(digit) = rest.next_if(char::is_ascii_digit) {
                    number.push(digit);
                }
                // Keys of JSON objects are strings.
                match rest.peek() {
                    Some(':') => json += &format!("\"{number}\""),
                    _ => json += &number,
                }
            }
            other => json.push(other),
        }
    }
    Some(json)
}

/// A Python string up to its closing `quote` (The Python Language Reference, 2.4.1.1).
fn python_text(rest: &mut Peekable<Chars<'_>>, quote: char) -> Option<String> {
    let mut text = String::new();
    loop {
        let next = rest.next()?;
        if next == quote {
            return Some(text);
        }
        if next != '\\' {
            text.push(next);
            continue;
        }
        let digit_count = match rest.next()? {
            kept @ ('\\' | '\'' | '"') => {
                text.push(kept);
                continue;
            }
            'n' => {
                text.push('\n');
                continue;
            }
            'r' => {
                text.push('\r');
                continue;
            }
            't' => {
                text.push('\t');
                continue;
            }
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ => return None,
        };
        let digits: String = rest.by_ref().take(digit_count).collect();
        text.push(char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?);
    }
}

fn of_value(document: Value) -> Result<Vec<String>, String> {
    match document {
        Value::Array(labels) => labels.into_iter().map(label).collect(),
        Value::Object(mut fields) => {
            let fields = match fields.remove(HUGGING_FACE_KEY) {
                Some(Value::Object(by_id)) => by_id,
                Some(_) => return Err(format!("`{HUGGING_FACE_KEY}` is no dictionary")),
                None if fields.contains_key("model_type")
                    || fields.contains_key("architectures") =>
                {
                    return Err(format!(
                        "the configuration has no `{HUGGING_FACE_KEY}`, so that its labels have no names: list \
                         them as `labels: [cat, dog]`"
                    ));
                }
                None => fields,
            };
            let pairs: Result<Vec<_>, String> = fields.into_iter().map(pair).collect();
            in_order(pairs?)
        }
        _ => Err("they are no list of labels, and no dictionary of ids and labels".to_owned()),
    }
}

/// Reads `"0": "cat"`, `"0": ["n02123045", "cat"]` as in Keras, or `"cat": 0`.
fn pair((key, value): (String, Value)) -> Result<(u32, String), String> {
    let id = |id: Option<u32>| id.ok_or_else(|| format!("`{key}` is neither an id nor has one"));
    match value {
        Value::Number(number) => {
            let number = id(number.as_u64().and_then(|number| u32::try_from(number).ok()))?;
            Ok((number, key))
        }
        other => Ok((id(key.parse().ok())?, label(other)?)),
    }
}

fn label(value: Value) -> Result<String, String> {
    match value {
        Value::String(label) => Ok(label),
        Value::Array(mut parts) => match parts.pop() {
            Some(Value::String(label)) => Ok(label),
            _ => Err("a label is no text".to_owned()),
        },
        other => Err(format!("the label {other} is no text")),
    }
}

fn in_order(mut pairs: Vec<(u32, String)>) -> Result<Vec<String>, String> {
    pairs.sort_unstable();
    if pairs.is_empty() {
        return Err("there are none in it".to_owned());
    }
    match pairs.iter().zip(0..).find(|((id, _), wanted)| id != wanted) {
        Some((_, wanted)) => {
            Err(format!("there is no label with the id {wanted}, or more than one"))
        }
        None => Ok(pairs.into_iter().map(|(_, label)| label).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_as_other_libraries_write_them() {
        for text in [
            r#"["cat", "dog", "owl"]"#,
            r#"{"2": "owl", "0": "cat", "1": "dog"}"#,
            r#"{"cat": 0, "owl": 2, "dog": 1}"#,
            r#"{"0": ["n1", "cat"], "1": ["n2", "dog"], "2": ["n3", "owl"]}"#,
            r#"{"model_type": "vit", "id2label": {"0": "cat", "1": "dog", "2": "owl"}, "label2id": {}}"#,
        ] {
            assert_eq!(of_json(text).unwrap().unwrap(), ["cat", "dog", "owl"], "{text}");
            assert_eq!(of_metadata(text).unwrap(), ["cat", "dog", "owl"], "{text}");
        }
        let printed = "{0: 'person', 1: \"painter's green\", 2: 'traffic: light'}";
        assert_eq!(of_metadata(printed).unwrap(), ["person", "painter's green", "traffic: light"]);
        assert_eq!(of_metadata("['a', 'b']").unwrap(), ["a", "b"]);
        for (printed, label) in [
            (r"{0: 'a\\b'}", r"a\b"),
            (r#"{0: "it's a\\b"}"#, r"it's a\b"),
            (r"{0: 'it\'s'}", "it's"),
            (r#"{0: 'a "b"'}"#, r#"a "b""#),
            (r"{0: 'caf\xe9 \u20ac \U0001f408\t'}", "café € 🐈\t"),
            (r"{0: '1: one'}", "1: one"),
            (r"['\\']", r"\"),
            ("0: plain\n", "plain"),
        ] {
            assert_eq!(of_metadata(printed).unwrap(), [label], "{printed}");
        }
        // Ten and more are in the order of their numbers.
        let many = (0..12).rev().map(|n| format!("\"{n}\": \"l{n}\"")).collect::<Vec<_>>();
        let labels = of_json(&format!("{{{}}}", many.join(","))).unwrap().unwrap();
        assert_eq!((labels[2].as_str(), labels[10].as_str()), ("l2", "l10"));
    }

    #[test]
    fn lines_are_no_json_and_what_is_wrong_is_said() {
        assert!(of_json("cat\ndog\n").is_none() && of_json("[background]\ncat\n").is_none());
        for (text, wanted) in [
            (r#"{"0": "cat", "2": "dog"}"#, "no label with the id 1"),
            (r#"{"0": "cat", "x": "dog"}"#, "`x` is neither an id"),
            (r#"{"model_type": "vit"}"#, "the configuration has no `id2label`"),
            (r#"{"id2label": []}"#, "`id2label` is no dictionary"),
            (r#"{"0": "cat", "0": "dog"}"#, "of the labels, `0` is given twice"),
            (r#"{"id2label": {"0": "cat", "0": "dog"}}"#, "`0` is given twice"),
            ("{}", "there are none"),
            ("{", "the labels are not JSON"),
            ("[1]", "the label 1 is no text"),
        ] {
            let error = of_json(text).unwrap().unwrap_err();
            assert!(error.contains(wanted), "{text}: {error}");
        }
        assert!(of_metadata("yolo").is_err());
        let refused = of_metadata(r"{0: 'a\q'}").unwrap_err();
        assert!(refused.contains("read in two ways"), "{refused}");
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_a_label() {
        for text in ["\u{feff}[\"cat\"]", "\u{feff}{\"0\": \"cat\"}"] {
            assert_eq!(of_json(without_mark(text)).unwrap().unwrap(), ["cat"]);
            assert_eq!(of_metadata(text).unwrap(), ["cat"]);
        }
        assert_eq!(of_metadata("\u{feff}{0: 'cat'}").unwrap(), ["cat"]);
    }
}
