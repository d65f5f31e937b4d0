//! The code of its own that a model may need before and after its network.

use std::{collections::BTreeMap, fmt, num::NonZeroU32};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, DeserializeOwned, value::MapAccessDeserializer},
};

/// Which code a model needs, and what the code is told. All of it is part of the model's digest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodeSpec {
    /// The revision of the code, which is raised whenever it comes to say anything else of an image.
    pub revision: NonZeroU32,
    /// What the code is told; which names there are is for the code to say.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, Parameter>,
}

/// A value that code is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Parameter {
    /// `true` or `false`.
    Flag(bool),
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Number(f64),
    /// A text.
    Text(String),
    /// Several values in order.
    List(Vec<Parameter>),
    /// Values by name, sorted: one meaning has one digest.
    Map(BTreeMap<String, Parameter>),
}

impl CodeSpec {
    /// The parameters as the code takes them.
    ///
    /// # Errors
    /// Which is missing, not known, or of another type.
    pub fn read_parameters<P: DeserializeOwned>(&self) -> Result<P, String> {
        let value = serde_json::to_value(&self.parameters).map_err(|error| error.to_string())?;
        serde_json::from_value(value).map_err(|error| error.to_string())
    }
}

/// `code: false`, as manifests said before code had revisions, for none.
pub(super) fn serialize<S: Serializer>(code: &Option<CodeSpec>, to: S) -> Result<S::Ok, S::Error> {
    match code {
        None => to.serialize_bool(false),
        Some(code) => code.serialize(to),
    }
}

/// `false` is none, and `true` the first revision.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(de: D) -> Result<Option<CodeSpec>, D::Error> {
    de.deserialize_any(CodeVisitor)
}

struct CodeVisitor;

impl<'de> de::Visitor<'de> for CodeVisitor {
    type Value = Option<CodeSpec>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`revision` with the number of the code that the model needs")
    }

    fn visit_bool<E: de::Error>(self, is_needed: bool) -> Result<Self::Value, E> {
        let first = CodeSpec { revision: NonZeroU32::MIN, parameters: BTreeMap::new() };
        Ok(is_needed.then_some(first))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        CodeSpec::deserialize(MapAccessDeserializer::new(map)).map(Some)
    }
}
