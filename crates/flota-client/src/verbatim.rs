//! What a server wrote, kept as it was written: numbers that no type of ours holds, and names in their order.

use std::{fmt, ops::Deref};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeOwned, Error, MapAccess, Visitor},
};
use serde_json::value::{RawValue, to_raw_value};

/// An answer that is read as a `T` and printed byte for byte as it came.
#[derive(Debug, Clone)]
pub struct Verbatim<T> {
    text: Box<RawValue>,
    value: T,
}

/// An object whose values are not read: names in their order, values byte for byte.
#[derive(Debug, Clone)]
pub struct VerbatimObject(Vec<(String, Box<RawValue>)>);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Verbatim<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let value = serde_json::from_str(text.get()).map_err(D::Error::custom)?;
        Ok(Self { text, value })
    }
}

impl<T> Serialize for Verbatim<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.text.serialize(serializer)
    }
}

impl<T> Verbatim<T> {
    /// The value without its text.
    pub fn into_value(self) -> T {
        self.value
    }
}

impl<T> Deref for Verbatim<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl VerbatimObject {
    /// The value of `name`; `None` where it is absent or null.
    ///
    /// # Errors
    /// If it is no `T`.
    pub fn read<T: DeserializeOwned>(&self, name: &str) -> serde_json::Result<Option<T>> {
        match self.0.iter().find(|(other, _)| other == name) {
            Some((_, text)) => serde_json::from_str(text.get()),
            None => Ok(None),
        }
    }

    /// Puts `value` in the place of that of `name`.
    ///
    /// # Errors
    /// If `value` has no JSON.
    pub fn replace(&mut self, name: &str, value: &impl Serialize) -> serde_json::Result<()> {
        let text = to_raw_value(value)?;
        if let Some((_, old)) = self.0.iter_mut().find(|(other, _)| other == name) {
            *old = text;
        }
        Ok(())
    }

    /// Takes `name` out.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(other, _)| other != name);
    }
}

impl<'de> Deserialize<'de> for VerbatimObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = VerbatimObject;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<VerbatimObject, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(VerbatimObject(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

impl Serialize for VerbatimObject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, text)| (name, text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str =
        r#"{"z":10000000000000000000000000000001,"state":"open","m":{ "b" : 1e999, "a":[1.10] }}"#;

    #[derive(Deserialize)]
    struct Letter {
        state: String,
    }

    #[test]
    fn what_is_read_is_printed_as_it_came() {
        let letter: Verbatim<Letter> = serde_json::from_str(ANSWER).unwrap();
        assert_eq!(letter.state, "open");
        assert_eq!(serde_json::to_string(&letter).unwrap(), ANSWER);
        assert!(serde_json::from_str::<Verbatim<Letter>>("{}").is_err());
    }

    #[test]
    fn a_value_is_replaced_in_its_place_and_the_others_stay() {
        let mut object: VerbatimObject = serde_json::from_str(ANSWER).unwrap();
        assert_eq!(serde_json::to_string(&object).unwrap(), ANSWER);
        assert_eq!(object.read("state").unwrap(), Some("open".to_owned()));
        assert_eq!(object.read::<u32>("none").unwrap(), None);
        assert!(object.read::<u32>("state").is_err());
        object.replace("state", &7).unwrap();
        assert_eq!(serde_json::to_string(&object).unwrap(), ANSWER.replace("\"open\"", "7"));
        object.remove("m");
        let left = r#"{"z":10000000000000000000000000000001,"state":7}"#;
        assert_eq!(serde_json::to_string(&object).unwrap(), left);
    }
}
