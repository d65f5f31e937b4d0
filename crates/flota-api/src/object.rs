//! How values are read that serde reads more loosely than JSON Schema says.

use std::{fmt, marker::PhantomData, ops::Deref};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error as _, MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::Number;

/// A `T` that is written as a JSON object, not as an array of its fields, which serde takes too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Object<T>(pub T);

impl<T> From<T> for Object<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl<T> Deref for Object<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

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
///
/// # Errors
/// If it is no whole number, or none that `T` holds.
pub fn whole<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
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
