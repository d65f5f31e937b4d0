//! How values of the domain stand in attributes.

use std::{
    collections::HashMap,
    io::{Read, Write},
};

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use flate2::{Compression, read::ZlibDecoder, write::ZlibEncoder};
use flota_core::{PortError, PortResult};
use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};

/// The attributes of an item, or of its key.
pub(super) type Item = HashMap<String, AttributeValue>;

/// A document beyond this many bytes is compressed: with its key it would begin a second unit,
/// which is a kilobyte. Below, it can be read in the console.
const MAX_PLAIN_BYTES: usize = 768;
/// What a compressed document may take: an item has 400 KB with its other attributes.
const MAX_STORED_BYTES: usize = 390_000;
/// What a compressed document may take once it is read: far more than any record has.
const MAX_DOCUMENT_BYTES: u64 = 4 * 1024 * 1024;

/// An item of these attributes.
pub(super) fn item<const N: usize>(attributes: [(&str, AttributeValue); N]) -> Item {
    attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Text as an attribute.
pub(super) fn text(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

/// A number as an attribute.
pub(super) fn number(number: impl ToString) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

/// A time as nanoseconds since 1970.
pub(super) fn nanos(time: Timestamp) -> AttributeValue {
    number(time.as_nanosecond())
}

/// A record that is only read whole, as JSON, compressed where that saves units.
pub(super) fn document<T: Serialize>(record: &T) -> PortResult<AttributeValue> {
    let damaged = |error| PortError::permanent("writing a record as JSON", error);
    let json = serde_json::to_string(record).map_err(damaged)?;
    if json.len() <= MAX_PLAIN_BYTES {
        return Ok(AttributeValue::S(json));
    }
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    let compressed = encoder.write_all(json.as_bytes()).and_then(|()| encoder.finish());
    let failed = |error| PortError::permanent("compressing a record", error);
    let compressed = compressed.map_err(failed)?;
    if compressed.len() > MAX_STORED_BYTES {
        let kib = compressed.len() / 1024;
        return Err(PortError::TooLarge {
            what: format!("the record has {kib} KiB compressed, and DynamoDB takes 400 KB"),
        });
    }
    Ok(AttributeValue::B(Blob::new(compressed)))
}

/// The record that [`document`] put into the attribute `name`.
pub(super) fn read_document<T: DeserializeOwned>(item: &Item, name: &str) -> PortResult<T> {
    let read = match item.get(name) {
        Some(AttributeValue::S(json)) => serde_json::from_str(json),
        Some(AttributeValue::B(compressed)) => {
            let decoder = ZlibDecoder::new(compressed.as_ref()).take(MAX_DOCUMENT_BYTES);
            serde_json::from_reader(decoder)
        }
        _ => return Err(damaged(name, "it is not there")),
    };
    read.map_err(|error| damaged(name, error))
}

/// The text in the attribute `name`.
pub(super) fn read_text<'a>(item: &'a Item, name: &str) -> PortResult<&'a str> {
    let value = item.get(name).and_then(|value| value.as_s().ok());
    value.map(String::as_str).ok_or_else(|| damaged(name, "it is no text"))
}

/// The number in the attribute `name`, if it is there.
pub(super) fn read_number<T: std::str::FromStr>(item: &Item, name: &str) -> PortResult<Option<T>> {
    let Some(value) = item.get(name) else { return Ok(None) };
    let number = value.as_n().ok().and_then(|number| number.parse().ok());
    number.map(Some).ok_or_else(|| damaged(name, "it is no number"))
}

/// The time in the attribute `name`, if it is there.
pub(super) fn read_time(item: &Item, name: &str) -> PortResult<Option<Timestamp>> {
    let Some(nanos) = read_number(item, name)? else { return Ok(None) };
    Timestamp::from_nanosecond(nanos).map(Some).map_err(|error| damaged(name, error))
}

/// An attribute that is missing or does not read as its type.
pub(super) fn damaged(
    name: &str,
    why: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> PortError {
    PortError::permanent(format!("reading `{name}`: the record is damaged"), why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_presigned_urls_fit_an_item_and_what_does_not_is_said() {
        // Hex digests: they do not compress below half.
        let noise = |i: u32, len: usize| {
            let digests =
                (0..).map(move |n| flota_core::Sha256::of(&[i, n].map(u32::to_be_bytes).concat()));
            digests.flat_map(|digest| digest.to_string().into_bytes()).take(len).map(char::from)
        };
        let url = |i| {
            let token = noise(0, 800).collect::<String>();
            let signature = noise(i, 64).collect::<String>();
            format!(
                "https://photos.s3.amazonaws.com/{i}.jpg?X-Amz-Security-Token={token}\
                 &X-Amz-Signature={signature}"
            )
        };
        assert!(document(&(1..=1_000).map(url).collect::<Vec<_>>()).is_ok());
        let random = |i| noise(i, 1_000).collect::<String>();
        let refused = document(&(1..=1_000).map(random).collect::<Vec<_>>()).unwrap_err();
        assert!(matches!(refused, PortError::TooLarge { .. }), "{refused}");
    }

    #[test]
    fn documents_survive_and_long_ones_are_compressed() {
        let url = |i| format!("s3://photos/listings/2026/11/21/photo-{i}.jpg");
        for count in [1, 1_000] {
            let record: Vec<String> = (0..count).map(url).collect();
            let kept = item([("record", document(&record).unwrap())]);
            assert_eq!(read_document::<Vec<String>>(&kept, "record").unwrap(), record);
            assert_eq!(kept["record"].is_b(), count > 1);
        }
        assert!(!read_document::<String>(&Item::new(), "record").unwrap_err().is_transient());
    }
}
