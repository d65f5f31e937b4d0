//! Metadata that clients attach to requests.

use std::{collections::HashSet, fmt};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::limits::MAX_METADATA_BYTES;

/// Deepest nesting. Many JSON parsers stop at the same depth.
const MAX_DEPTH: usize = 128;

/// A JSON object of the client, which Flota returns byte for byte: numbers, order and spaces stay.
/// No object in it repeats a name, because parsers differ on what that means.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Metadata(Box<RawValue>);

impl Metadata {
    /// The JSON as the client wrote it.
    pub fn as_json(&self) -> &str {
        self.0.get()
    }
}

impl PartialEq for Metadata {
    fn eq(&self, other: &Self) -> bool {
        self.as_json() == other.as_json()
    }
}

/// Deserializes metadata from a client. It rejects what is no object, is nested too deeply or
/// repeats a name. Stored metadata is not checked again.
pub fn deserialize_submitted_metadata<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Metadata>, D::Error> {
    let metadata = Option::<Metadata>::deserialize(deserializer)?;
    if let Some(Metadata(raw)) = &metadata
        // Metadata that is too large gets that error and is not parsed.
        && raw.get().len() <= MAX_METADATA_BYTES
    {
        check_names(raw, "", MAX_DEPTH).map_err(D::Error::custom)?;
    }
    Ok(metadata)
}

/// The names and values of an object, as the client wrote them.
struct Members<'j>(Vec<(String, &'j RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(MembersVisitor)
    }
}

/// Checks that no object in `value`, which is at `path`, repeats a name. The outermost value must
/// be an object. Numbers are not parsed: they may exceed every type.
///
/// # Errors
/// The message of the parser.
fn check_names(value: &RawValue, path: &str, depth_left: usize) -> Result<(), String> {
    if depth_left == 0 {
        return Err("recursion limit exceeded".to_owned());
    }
    let text = value.get();
    if text.starts_with('[') && depth_left < MAX_DEPTH {
        let values: Vec<&RawValue> = read(text)?;
        let mut numbered = values.iter().enumerate();
        return numbered
            .try_for_each(|(i, it)| check_names(it, &format!("{path}[{i}]"), depth_left - 1));
    }
    if !text.starts_with('{') && depth_left < MAX_DEPTH {
        return Ok(());
    }
    let Members(members) = read(text)?;
    let mut seen = HashSet::new();
    for (name, value) in &members {
        let dot = if path.is_empty() { "" } else { "." };
        let path = format!("{path}{dot}{name}");
        if !seen.insert(name) {
            return Err(format!("duplicate field `{path}`"));
        }
        check_names(value, &path, depth_left - 1)?;
    }
    Ok(())
}

fn read<'j, T: Deserialize<'j>>(text: &'j str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| {
        let text = error.to_string();
        text.rsplit_once(" at line ").map_or(text.clone(), |(text, _)| text.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn submitted(text: &str) -> serde_json::Result<Option<Metadata>> {
        deserialize_submitted_metadata(&mut serde_json::Deserializer::from_str(text))
    }

    fn read_error(text: &str) -> String {
        submitted(text).unwrap_err().to_string()
    }

    #[test]
    fn it_comes_back_byte_for_byte() {
        for text in [
            "{}",
            r#"{ "b" : 1 , "a":[ 1.0,1e2, -0, 10000000000000000000000000000001, 1e999, 0.1000 ]}"#,
            "{\"é\":\"\\u00e9\\ud83d\\ude00\",\n\t\"x\":{\"x\":{\"x\":null}}}",
        ] {
            let metadata = submitted(text).unwrap().unwrap();
            assert_eq!(serde_json::to_string(&metadata).unwrap(), text);
        }
    }

    #[test]
    fn a_name_that_stands_twice_is_named() {
        let twice = "duplicate field `a`";
        assert!(read_error(r#"{"a":1,"b":2,"\u0061":3}"#).starts_with(twice));
        let deep = read_error(r#"{"a":[{"b":1},{"b":{"c":1,"c":1}}]}"#);
        assert!(deep.starts_with("duplicate field `a[1].b.c`"), "{deep}");
        submitted(r#"{"a":{"a":[{"a":1},{"a":1}]}}"#).unwrap();
    }

    #[test]
    fn only_an_object_that_is_not_too_deep_will_do() {
        assert!(read_error("[1]").starts_with("invalid type: sequence, expected a map"));
        assert!(read_error("7").contains("expected a map"));
        let deep = |n: usize| format!("{}1{}", r#"{"a":"#.repeat(n), "}".repeat(n));
        submitted(&deep(MAX_DEPTH - 1)).unwrap();
        assert!(read_error(&deep(MAX_DEPTH + 1)).starts_with("recursion limit exceeded"));
    }
}
