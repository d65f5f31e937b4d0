//! A model's own code, which runs before and after its network.

use std::{collections::BTreeMap, fmt, num::NonZeroU32};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, DeserializeOwned, value::MapAccessDeserializer},
};

/// The code that a model needs, and its parameters. Both are part of the model's digest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodeSpec {
    /// The revision of the code. It is raised whenever the code may give another result for an
    /// image.
    pub revision: NonZeroU32,
    /// The parameters of the code, which defines their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, Parameter>,
}

/// The value of a parameter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Parameter {
    /// `true` or `false`.
    Flag(bool),
    /// A whole number.
    Integer(i64),
    /// A number that is not an integer.
    Number(f64),
    /// A text.
    Text(String),
    /// Several values in order.
    List(Vec<Parameter>),
    /// Values by name. They are sorted, so that equal parameters have equal digests.
    Map(BTreeMap<String, Parameter>),
}

impl CodeSpec {
    /// Deserializes the parameters.
    ///
    /// # Errors
    /// If a parameter is missing, unknown or of another type.
    pub fn read_parameters<P: DeserializeOwned>(&self) -> Result<P, String> {
        let value = serde_json::to_value(&self.parameters).map_err(|error| error.to_string())?;
        serde_json::from_value(value).map_err(|error| error.to_string())
    }
}

/// No code is written as `code: false`, as in manifests from before code had revisions.
pub(super) fn serialize<S: Serializer>(code: &Option<CodeSpec>, to: S) -> Result<S::Ok, S::Error> {
    match code {
        None => to.serialize_bool(false),
        Some(code) => code.serialize(to),
    }
}

/// `false` means no code, `true` the first revision.
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
