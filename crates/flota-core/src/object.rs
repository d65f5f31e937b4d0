//! Images in S3: their URLs, and what identifies their content.

use std::{fmt, str::FromStr};

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Sha256, limits::MAX_ADDRESS_BYTES};

/// The scheme of an object's URL.
pub const OBJECT_PREFIX: &str = "s3://";
/// Most bytes of a key or a version id: the limit of S3.
const MAX_KEY_BYTES: usize = 1024;
/// The length of a bucket's name in characters: the limits of S3.
const BUCKET_CHARS: std::ops::RangeInclusive<usize> = 3..=63;
/// The version id of objects in a bucket without versioning, which each upload overwrites.
const NULL_VERSION: &str = "null";

const VERSION: &str = "versionId";
const ETAG: &str = "etag";

/// Text that is no URL of an object.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ObjectAddressError {
    /// The URL does not have the form `s3://bucket/key`.
    #[error("an object's address is s3://bucket/key")]
    Form,
    /// S3 allows no bucket with this name.
    #[error("the name of a bucket is 3 to 63 of a-z, 0-9, `.` and `-`")]
    Bucket,
    /// S3 allows no object with this key.
    #[error("the key of an object has 1 to {MAX_KEY_BYTES} bytes")]
    Key,
    /// A `%` without two hexadecimal digits, or bytes that are not UTF-8.
    #[error("what stands behind `%` is not UTF-8 in two hexadecimal digits a byte")]
    Encoding,
    /// Something other than `?versionId=…` or `?etag=…` after the key.
    #[error(
        "behind the key only `?versionId=…` or `?etag=…` may stand; `?` and `#` of a key are \
         written %3F and %23"
    )]
    Query,
    /// The URL is longer than allowed; its length in bytes.
    #[error("the address has {0} bytes, and {MAX_ADDRESS_BYTES} is the limit")]
    TooLong(usize),
}

/// The URL of an object: `s3://bucket/key`, with a percent-encoded key. `?versionId=…` or `?etag=…`
/// restricts it to one content.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ObjectAddress {
    bucket: String,
    key: String,
    pin: Option<Pin>,
}

/// The content of an object that a URL is restricted to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pin {
    /// The content of this version.
    Version(String),
    /// Content with this ETag, written without quotes. The ETag of an object that was uploaded in
    /// one part, without KMS encryption, is the MD5 of its content. Two contents can be made to
    /// share an MD5.
    ETag(String),
}

/// The identity of an object's content: bucket, key, and version or ETag.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ObjectIdentity(ObjectAddress);

/// The content of an object, as a worker determined it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Alias {
    /// The object.
    pub object: ObjectIdentity,
    /// The SHA-256 of its bytes.
    pub sha256: Sha256,
}

impl ObjectAddress {
    /// The URL of `key`, not encoded, in `bucket`.
    pub fn new(
        bucket: impl Into<String>,
        key: impl Into<String>,
        pin: Option<Pin>,
    ) -> Result<Self, ObjectAddressError> {
        let address = Self { bucket: bucket.into(), key: key.into(), pin };
        if !is_bucket(&address.bucket) {
            return Err(ObjectAddressError::Bucket);
        }
        if !(1..=MAX_KEY_BYTES).contains(&address.key.len()) {
            return Err(ObjectAddressError::Key);
        }
        match address.to_string().len() {
            0..=MAX_ADDRESS_BYTES => Ok(address),
            size_bytes => Err(ObjectAddressError::TooLong(size_bytes)),
        }
    }

    /// The name of its bucket.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The key, not encoded.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The content that is meant; `None`: the current one.
    pub fn pin(&self) -> Option<&Pin> {
        self.pin.as_ref()
    }
}

impl ObjectIdentity {
    /// The identity of the content at `address`; `None` if the content may change.
    pub fn of(address: &ObjectAddress) -> Option<Self> {
        match address.pin()? {
            Pin::Version(version) if version == NULL_VERSION => None,
            Pin::Version(_) | Pin::ETag(_) => Some(Self(address.clone())),
        }
    }

    /// The URL of the object.
    pub fn address(&self) -> &ObjectAddress {
        &self.0
    }

    /// Whether it identifies one content. A version always does. An ETag does only if `trust_etag`
    /// is set, because two contents can be made to share one.
    pub fn is_trusted(&self, trust_etag: bool) -> bool {
        trust_etag || matches!(self.0.pin, Some(Pin::Version(_)))
    }
}

fn is_bucket(name: &str) -> bool {
    let is_end = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    BUCKET_CHARS.contains(&name.len())
        && name.starts_with(is_end)
        && name.ends_with(is_end)
        && name.chars().all(|c| is_end(c) || matches!(c, '.' | '-'))
}

/// Percent-encodes `text`, except for letters and digits of any script and `-._~/`. So URLs stay
/// readable and short.
fn encode(text: &str, to: &mut fmt::Formatter<'_>) -> fmt::Result {
    for c in text.chars() {
        if c.is_alphanumeric() || matches!(c, '-' | '.' | '_' | '~' | '/') {
            fmt::Write::write_char(to, c)?;
        } else {
            let mut bytes = [0; 4];
            let c: &str = c.encode_utf8(&mut bytes);
            fmt::Display::fmt(&utf8_percent_encode(c, NON_ALPHANUMERIC), to)?;
        }
    }
    Ok(())
}

fn decode(text: &str) -> Result<String, ObjectAddressError> {
    let is_code = |rest: &str| {
        let code = rest.as_bytes().get(..2);
        code.is_some_and(|code| code.iter().all(u8::is_ascii_hexdigit))
    };
    if !text.split('%').skip(1).all(is_code) {
        return Err(ObjectAddressError::Encoding);
    }
    let decoded = percent_decode_str(text).decode_utf8();
    Ok(decoded.map_err(|_| ObjectAddressError::Encoding)?.into_owned())
}

fn parse_pin(query: &str) -> Result<Pin, ObjectAddressError> {
    let (name, value) = query.split_once('=').ok_or(ObjectAddressError::Query)?;
    let value = decode(value)?;
    if !(1..=MAX_KEY_BYTES).contains(&value.len()) {
        return Err(ObjectAddressError::Query);
    }
    match name {
        VERSION => Ok(Pin::Version(value)),
        ETAG => Ok(Pin::ETag(value)),
        _ => Err(ObjectAddressError::Query),
    }
}

impl FromStr for ObjectAddress {
    type Err = ObjectAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let path = text.strip_prefix(OBJECT_PREFIX).ok_or(ObjectAddressError::Form)?;
        if path.contains('#') {
            return Err(ObjectAddressError::Query);
        }
        let (path, pin) = match path.split_once('?') {
            Some((path, query)) => (path, Some(parse_pin(query)?)),
            None => (path, None),
        };
        let (bucket, key) = path.split_once('/').ok_or(ObjectAddressError::Form)?;
        Self::new(bucket, decode(key)?, pin)
    }
}

impl fmt::Display for ObjectAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{OBJECT_PREFIX}{}/", self.bucket)?;
        encode(&self.key, f)?;
        let (name, value) = match &self.pin {
            None => return Ok(()),
            Some(Pin::Version(version)) => (VERSION, version),
            Some(Pin::ETag(etag)) => (ETAG, etag),
        };
        write!(f, "?{name}=")?;
        encode(value, f)
    }
}

impl fmt::Display for ObjectIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ObjectIdentity {
    type Err = ObjectAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::of(&text.parse()?).ok_or(ObjectAddressError::Query)
    }
}

impl TryFrom<String> for ObjectAddress {
    type Error = ObjectAddressError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl TryFrom<String> for ObjectIdentity {
    type Error = ObjectAddressError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ObjectAddress> for String {
    fn from(address: ObjectAddress) -> Self {
        address.to_string()
    }
}

impl From<ObjectIdentity> for String {
    fn from(identity: ObjectIdentity) -> Self {
        identity.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<ObjectAddress, ObjectAddressError> {
        text.parse()
    }

    #[test]
    fn an_address_reads_as_a_url_does() {
        let address = parse("s3://photos/a%2Bb+c%20d/%25/größe%C3%9F.jpg?versionId=v.1_").unwrap();
        assert_eq!((address.bucket(), address.key()), ("photos", "a+b+c d/%/größeß.jpg"));
        assert_eq!(address.pin(), Some(&Pin::Version("v.1_".to_owned())));
        let spelled = "s3://photos/a%2Bb%2Bc%20d/%25/größeß.jpg?versionId=v.1_";
        assert_eq!(address.to_string(), spelled);
        assert_eq!(parse("s3://photos//a").unwrap().key(), "/a");
    }

    #[test]
    fn what_is_no_address_says_why() {
        use ObjectAddressError::{Bucket, Encoding, Form, Key, Query};
        for (text, wanted) in [
            ("https://photos/a", Form),
            ("s3://photos", Form),
            ("s3://photos/", Key),
            ("s3://ab/a", Bucket),
            ("s3://Photos/a", Bucket),
            ("s3://-photos/a", Bucket),
            ("s3:///a", Bucket),
            ("s3://photos/100%", Encoding),
            ("s3://photos/%+1", Encoding),
            ("s3://photos/%ff", Encoding),
            ("s3://photos/a#b", Query),
            ("s3://photos/a?", Query),
            ("s3://photos/a?etag=", Query),
            ("s3://photos/a?x=1", Query),
        ] {
            assert_eq!(parse(text), Err(wanted), "{text}");
        }
        let long = format!("s3://photos/{}", "a".repeat(MAX_KEY_BYTES + 1));
        assert_eq!(parse(&long), Err(Key));
        let strange = "%20".repeat(MAX_KEY_BYTES);
        let too_long = parse(&format!("s3://photos/{strange}"));
        assert!(matches!(too_long, Err(ObjectAddressError::TooLong(_))));
    }

    #[test]
    fn only_what_never_changes_is_an_identity() {
        let identity = |text: &str| ObjectIdentity::of(&parse(text).unwrap());
        assert!(identity("s3://photos/a?versionId=1").unwrap().is_trusted(false));
        let by_etag = identity("s3://photos/a?etag=1").unwrap();
        assert!(by_etag.is_trusted(true) && !by_etag.is_trusted(false));
        assert_eq!(identity("s3://photos/a"), None);
        assert_eq!(identity("s3://photos/a?versionId=null"), None);
        assert!("s3://photos/a".parse::<ObjectIdentity>().is_err());
    }

    proptest! {
        #[test]
        fn every_key_survives_its_address(key in "\\PC{1,80}", pin in 0..3) {
            let pin = match pin {
                0 => None,
                1 => Some(Pin::Version(key.clone())),
                _ => Some(Pin::ETag(key.clone())),
            };
            let address = ObjectAddress::new("photos", key, pin).unwrap();
            prop_assert_eq!(parse(&address.to_string()), Ok(address));
        }
    }
}
