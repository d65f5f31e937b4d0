//! From the values of a file to checked types. An error says what is wanted; who calls adds the key.

use std::{
    collections::BTreeSet,
    fmt,
    net::{IpAddr, SocketAddr},
    num::NonZeroUsize,
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use ipnet::IpNet;
use serde::{Deserialize, Deserializer, de::Error};
use strum::VariantNames;
use url::Url;

use super::{ModelGroup, Role};
use crate::net::PortRange;

/// The beginning of a secret, as Standard Webhooks writes it.
const SECRET_PREFIX: &str = "whsec_";
/// How long the key of a secret is in bytes, as Standard Webhooks 1.0 asks.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// A secret that signs callbacks, `whsec_` and 24 to 64 bytes in base64. It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The secret as text, to sign with.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

impl FromStr for Secret {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let key = text.strip_prefix(SECRET_PREFIX).and_then(|key| BASE64_STANDARD.decode(key).ok());
        match key {
            Some(key) if SECRET_BYTES.contains(&key.len()) => Ok(Self(text.to_owned())),
            _ => Err("whsec_ and 24 to 64 bytes in base64"),
        }
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from_text(from)
    }
}

pub(super) fn from_text<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err = &'static str>,
{
    String::deserialize(from)?.parse().map_err(D::Error::custom)
}

pub(super) fn millis<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    u64::deserialize(from).map(Duration::from_millis)
}

pub(super) fn optional_hours<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<Duration>, D::Error> {
    const HOUR: Duration = Duration::from_secs(60 * 60);
    Ok(Some(HOUR.saturating_mul(u32::deserialize(from)?)).filter(|time| !time.is_zero()))
}

pub(super) fn optional_days<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<Duration>, D::Error> {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    Ok(Some(DAY.saturating_mul(u32::deserialize(from)?)).filter(|time| !time.is_zero()))
}

pub(super) fn millis_list<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Duration>, D::Error> {
    let list = Vec::<u64>::deserialize(from)?;
    Ok(list.into_iter().map(Duration::from_millis).collect())
}

pub(super) fn zero_is_none<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<NonZeroUsize>, D::Error> {
    usize::deserialize(from).map(NonZeroUsize::new)
}

pub(super) fn listen_address<'de, D: Deserializer<'de>>(from: D) -> Result<SocketAddr, D::Error> {
    let wanted = "an address and a port such as 127.0.0.1:8080";
    String::deserialize(from)?.parse().map_err(|_| D::Error::custom(wanted))
}

pub(super) fn optional_text<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<String>, D::Error> {
    Ok(Some(String::deserialize(from)?).filter(|text| !text.is_empty()))
}

pub(super) fn optional_path<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<PathBuf>, D::Error> {
    let path = PathBuf::deserialize(from)?;
    Ok(Some(path).filter(|path| !path.as_os_str().is_empty()))
}

pub(super) fn optional_http_url<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<Url>, D::Error> {
    let text = String::deserialize(from)?;
    if text.is_empty() {
        return Ok(None);
    }
    let url = Url::parse(&text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    url.map(Some).ok_or_else(|| D::Error::custom("an http:// or https:// address, or nothing"))
}

pub(super) fn roles<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeSet<Role>, D::Error> {
    let wanted = || D::Error::custom(format!("some of {}", Role::VARIANTS.join(", ")));
    let roles: Option<BTreeSet<_>> =
        Vec::<String>::deserialize(from)?.iter().map(|role| role.parse().ok()).collect();
    roles.filter(|roles| !roles.is_empty()).ok_or_else(wanted)
}

pub(super) fn groups<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<ModelGroup>, D::Error> {
    let texts = Vec::<String>::deserialize(from)?;
    let groups = texts.iter().map(|text| text.parse()).collect::<Result<Vec<ModelGroup>, _>>();
    let groups = groups.map_err(D::Error::custom)?;
    ModelGroup::check(&groups)
        .map_err(|error| D::Error::custom(format!("other groups: {error}")))?;
    Ok(groups)
}

pub(super) fn networks<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<IpNet>, D::Error> {
    let network = |text: String| {
        let host = || text.parse::<IpAddr>().map(IpNet::from);
        let wanted = "networks such as 127.0.0.0/8 or ::1/128";
        text.parse().or_else(|_| host()).map_err(|_| D::Error::custom(wanted))
    };
    Vec::<String>::deserialize(from)?.into_iter().map(network).collect()
}

pub(super) fn ports<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<PortRange>, D::Error> {
    let texts = Vec::<String>::deserialize(from)?;
    texts.iter().map(|text| text.parse().map_err(D::Error::custom)).collect()
}
