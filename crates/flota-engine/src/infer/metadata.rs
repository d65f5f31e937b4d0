//! What an ONNX file says of itself, read without its weights.

use std::collections::BTreeMap;

use super::wire::{Field, Value, fields};

/// `metadata_props` of `ModelProto`, and `key` and `value` of its entries (onnx.proto of ONNX 1.23).
const METADATA: u32 = 14;
const KEY: u32 = 1;
const VALUE: u32 = 2;
/// Most bytes of a value that is kept: labels of any model are shorter.
const MAX_VALUE_BYTES: usize = 1024 * 1024;

/// The metadata of an ONNX file, by key; empty where it has none, or is no ONNX file.
pub(crate) fn metadata(onnx: &[u8]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (_, entry) in parts(onnx).filter(|(number, _)| *number == METADATA) {
        let (mut key, mut value) = ("", "");
        for (number, text) in parts(entry) {
            match (number, std::str::from_utf8(text)) {
                (KEY, Ok(text)) => key = text,
                (VALUE, Ok(text)) if text.len() <= MAX_VALUE_BYTES => value = text,
                _ => {}
            }
        }
        found.insert(key.to_owned(), value.to_owned());
    }
    found
}

/// The messages and texts in `message`, as far as it can be read.
fn parts(message: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    fields(message).map_while(Result::ok).filter_map(|field| match field {
        Field { number, value: Value::Bytes(bytes), .. } => Some((number, bytes)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMED: &[u8] = include_bytes!("../../tests/fixtures/softmax.onnx");
    const PLAIN: &[u8] = include_bytes!("../../tests/fixtures/means.onnx");

    #[test]
    fn metadata_is_read_from_what_onnx_writes() {
        let names = &metadata(NAMED)["names"];
        assert_eq!(names, r#"{0: 'red', 1: "painter's green", 2: 'blue'}"#);
        assert!(metadata(PLAIN).is_empty());
    }

    #[test]
    fn what_is_no_onnx_file_has_none_and_harms_nobody() {
        for length in 0..NAMED.len() {
            metadata(&NAMED[..length]);
        }
        for byte in 0..=255 {
            assert!(metadata(&[byte; 40]).len() <= 1);
        }
    }
}
