//! Embeddings, and how predictions encode them.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use half::f16;
use serde::{Deserialize, Serialize, Serializer};
use thiserror::Error;

use crate::output::widen;

/// Longest embedding: as many 16-bit numbers as fit a prediction.
pub const MAX_EMBEDDING_LENGTH: usize = 16_384;

/// The encoding of an embedding in a prediction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VectorEncoding {
    /// A JSON array of numbers, `vector`.
    #[default]
    Json,
    /// `data`: base64 (RFC 4648, with padding) of 32-bit floating-point numbers, little endian.
    Base64F32,
    /// `data`: base64 of 16-bit floating-point numbers (IEEE 754 binary16), little endian. It keeps
    /// three decimal digits; the largest number is 65,504.
    Base64F16,
}

impl VectorEncoding {
    /// The longest vector that fits a prediction in this encoding.
    pub fn max_length(self) -> usize {
        match self {
            Self::Json => 3_000,
            Self::Base64F32 => 9_000,
            Self::Base64F16 => MAX_EMBEDDING_LENGTH,
        }
    }

    /// The encoding of a vector of `length` numbers if the manifest names none. It loses no digits.
    pub fn usual(length: usize) -> Self {
        if length <= Self::Json.max_length() { Self::Json } else { Self::Base64F32 }
    }
}

/// A vector for comparing images. The numbers are those that a reader decodes:
/// [`VectorEncoding::Base64F16`] rounds them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "EmbeddingFields", into = "EmbeddingFields")]
pub struct Embedding {
    vector: Vec<f32>,
    encoding: VectorEncoding,
}

/// A number that 16 bits cannot hold.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
#[error("the number {value} at index {index} is beyond 65504, the largest of 16 bits")]
pub struct BeyondF16 {
    /// The number.
    pub value: f32,
    /// Its index in the vector.
    pub index: usize,
}

impl Embedding {
    /// A vector with its encoding.
    ///
    /// # Errors
    /// If the encoding cannot hold one of its finite numbers.
    pub fn new(mut vector: Vec<f32>, encoding: VectorEncoding) -> Result<Self, BeyondF16> {
        if encoding == VectorEncoding::Base64F16 {
            for (index, value) in vector.iter_mut().enumerate() {
                let rounded = f16::from_f32(*value).to_f32();
                if rounded.is_infinite() && value.is_finite() {
                    return Err(BeyondF16 { value: *value, index });
                }
                *value = rounded;
            }
        }
        Ok(Self { vector, encoding })
    }

    /// The numbers.
    pub fn vector(&self) -> &[f32] {
        &self.vector
    }

    /// The encoding.
    pub fn encoding(&self) -> VectorEncoding {
        self.encoding
    }
}

/// The fields in JSON: `{vector}`, or `{encoding, length, data}`.
#[derive(Default, Serialize, Deserialize)]
struct EmbeddingFields {
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "shortest_each")]
    vector: Option<Vec<f32>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    encoding: Option<VectorEncoding>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    length: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data: Option<String>,
}

impl From<Embedding> for EmbeddingFields {
    fn from(Embedding { vector, encoding }: Embedding) -> Self {
        let bytes: Vec<u8> = match encoding {
            VectorEncoding::Json => return Self { vector: Some(vector), ..Self::default() },
            VectorEncoding::Base64F32 => vector.iter().flat_map(|n| n.to_le_bytes()).collect(),
            VectorEncoding::Base64F16 => {
                vector.iter().flat_map(|n| f16::from_f32(*n).to_le_bytes()).collect()
            }
        };
        Self {
            vector: None,
            encoding: Some(encoding),
            length: Some(vector.len()),
            data: Some(BASE64.encode(bytes)),
        }
    }
}

impl TryFrom<EmbeddingFields> for Embedding {
    type Error = String;

    fn try_from(fields: EmbeddingFields) -> Result<Self, String> {
        let EmbeddingFields { vector, encoding, length, data } = fields;
        let encoding = encoding.unwrap_or_default();
        let vector = match (encoding, vector, data) {
            (VectorEncoding::Json, Some(vector), None) => vector,
            (VectorEncoding::Base64F32, None, Some(data)) => {
                let read = |bytes: &[u8; 4]| f32::from_le_bytes(*bytes);
                decoded(&data)?.as_chunks().0.iter().map(read).collect()
            }
            (VectorEncoding::Base64F16, None, Some(data)) => {
                let read = |bytes: &[u8; 2]| f16::from_le_bytes(*bytes).to_f32();
                decoded(&data)?.as_chunks().0.iter().map(read).collect()
            }
            _ => return Err("an embedding has `vector`, or `encoding` and `data`".to_owned()),
        };
        if length.is_some_and(|length| length != vector.len()) {
            return Err(format!("the embedding has {} numbers and says otherwise", vector.len()));
        }
        Ok(Self { vector, encoding })
    }
}

fn decoded(data: &str) -> Result<Vec<u8>, String> {
    BASE64.decode(data).map_err(|error| format!("`data` is not base64: {error}"))
}

fn shortest_each<S: Serializer>(vector: &Option<Vec<f32>>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(vector.iter().flatten().map(|number| widen(*number)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Output;

    const WIDEST: f32 = -1.234_567_8e-30;

    fn output(vector: Vec<f32>, encoding: VectorEncoding) -> Output {
        Output::Embedding(Embedding::new(vector, encoding).unwrap())
    }

    /// `data` is the base64 of Python's `struct.pack("<3f", ...)` and `struct.pack("<3e", ...)`.
    #[test]
    fn each_encoding_is_read_back_equal() {
        for (encoding, text) in [
            (VectorEncoding::Json, r#"{"kind":"embedding","vector":[1.5,-2.0,0.1]}"#),
            (
                VectorEncoding::Base64F32,
                r#"{"kind":"embedding","encoding":"base64_f32","length":3,"data":"AADAPwAAAMDNzMw9"}"#,
            ),
            (
                VectorEncoding::Base64F16,
                r#"{"kind":"embedding","encoding":"base64_f16","length":3,"data":"AD4AwGYu"}"#,
            ),
        ] {
            let written = output(vec![1.5, -2.0, 0.1], encoding);
            assert_eq!(serde_json::to_string(&written).unwrap(), text);
            assert_eq!(serde_json::from_str::<Output>(text).unwrap(), written);
            let value = serde_json::to_value(&written).unwrap();
            assert_eq!(serde_json::from_value::<Output>(value).unwrap(), written);
        }
    }

    #[test]
    fn the_longest_of_each_encoding_fits_a_prediction() {
        for encoding in [VectorEncoding::Json, VectorEncoding::Base64F32, VectorEncoding::Base64F16]
        {
            let longest = vec![WIDEST; encoding.max_length()];
            assert_eq!(output(longest, encoding).check_size(), Ok(()), "{encoding:?}");
        }
        assert_eq!(VectorEncoding::usual(3_000), VectorEncoding::Json);
        assert_eq!(VectorEncoding::usual(3_001), VectorEncoding::Base64F32);
        let too_long = output(vec![WIDEST; 6_000], VectorEncoding::Json);
        let error = too_long.check_size().unwrap_err().to_string();
        assert!(error.contains("of 49152"), "{error}");
    }

    #[test]
    fn what_sixteen_bits_cannot_hold_is_said() {
        let error = Embedding::new(vec![0.0, -70_000.0], VectorEncoding::Base64F16).unwrap_err();
        assert_eq!((error.value, error.index), (-70_000.0, 1));
    }

    #[test]
    fn what_is_no_embedding_is_refused() {
        for text in [
            r#"{"kind":"embedding"}"#,
            r#"{"kind":"embedding","vector":[1.0],"data":"AADAPw=="}"#,
            r#"{"kind":"embedding","encoding":"base64_f32","data":"?"}"#,
            r#"{"kind":"embedding","encoding":"base64_f32","length":2,"data":"AADAPw=="}"#,
            r#"{"kind":"embedding","encoding":"base64_f64","data":"AADAPw=="}"#,
        ] {
            assert!(serde_json::from_str::<Output>(text).is_err(), "{text}");
        }
    }
}
