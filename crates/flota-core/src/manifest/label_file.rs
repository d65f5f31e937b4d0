//! Labels as other libraries write them: a JSON list, a dictionary of ids, Hugging Face's `config.json`, or a
//! dictionary as Python prints it.

use std::collections::BTreeMap;

use serde_json::Value;

/// The key of `config.json` that holds the labels.
const HUGGING_FACE_KEY: &str = "id2label";

/// The labels in `text`, in the order of their ids; `None` where it is no JSON list or dictionary.
///
/// # Errors
/// If it is one, but not of labels.
pub(super) fn of_json(text: &str) -> Option<Result<Vec<String>, String>> {
    let text = text.trim_start();
    if !text.starts_with(['{', '[']) {
        return None;
    }
    match serde_json::from_str(text) {
        Ok(document) => Some(of_value(document)),
        // A label may begin with a bracket.
        Err(_) if text.starts_with('[') => None,
        Err(error) => Some(Err(format!("the labels are not JSON: {error}"))),
    }
}

/// The labels in the text of a file's metadata, as Ultralytics writes it: a dictionary or a list, in JSON
/// or as Python prints it.
pub(super) fn of_metadata(text: &str) -> Result<Vec<String>, String> {
    if let Ok(document) = serde_json::from_str(text) {
        return of_value(document);
    }
    // Python's way to print them is one of YAML's to write them.
    let by_id: Result<BTreeMap<u32, String>, _> = serde_saphyr::from_str(text);
    if let Ok(by_id) = by_id {
        return in_order(by_id.into_iter().collect());
    }
    serde_saphyr::from_str(text)
        .map_err(|_| "it is no list of labels, and no dictionary of ids and labels".to_owned())
}

fn of_value(document: Value) -> Result<Vec<String>, String> {
    match document {
        Value::Array(labels) => labels.into_iter().map(label).collect(),
        Value::Object(mut fields) => {
            let fields = match fields.remove(HUGGING_FACE_KEY) {
                Some(Value::Object(by_id)) => by_id,
                Some(_) => return Err(format!("`{HUGGING_FACE_KEY}` is no dictionary")),
                None => fields,
            };
            let pairs: Result<Vec<_>, String> = fields.into_iter().map(pair).collect();
            in_order(pairs?)
        }
        _ => Err("they are no list of labels, and no dictionary of ids and labels".to_owned()),
    }
}

/// `"0": "cat"`, `"0": ["n02123045", "cat"]` as Keras has it, or `"cat": 0`.
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
            (r#"{"model_type": "vit"}"#, "`model_type` is neither an id"),
            (r#"{"id2label": []}"#, "`id2label` is no dictionary"),
            ("{}", "there are none"),
            ("{", "the labels are not JSON"),
            ("[1]", "the label 1 is no text"),
        ] {
            let error = of_json(text).unwrap().unwrap_err();
            assert!(error.contains(wanted), "{text}: {error}");
        }
        assert!(of_metadata("yolo").is_err());
    }
}
