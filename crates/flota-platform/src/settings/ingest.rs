use flota_core::{ModelName, Priority};
use serde::Deserialize;
use url::Url;

/// Images that lie in S3.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectSettings {
    /// Whether the ETag of an object names its content where it has no version.
    pub trust_etag: bool,
    /// Whether S3 is asked for the SHA-256 of an object that is not known, before it is fetched.
    pub ask_checksum: bool,
}

/// Upload events.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IngestSettings {
    /// What is done with which uploads; an upload may meet several.
    pub rules: Vec<IngestRule>,
}

/// Which uploads are looked at by which models.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IngestRule {
    /// Those of this bucket,
    pub bucket: String,
    /// whose key begins so
    #[serde(default)]
    pub prefix: String,
    /// and ends so.
    #[serde(default)]
    pub suffix: String,
    /// The models that look at them.
    pub models: Vec<ModelName>,
    /// How urgent that is.
    #[serde(default)]
    pub priority: Priority,
    /// Whom to tell: each upload is a request then. `None`: its predictions are simply there.
    #[serde(default)]
    pub callback: Option<Url>,
}

impl IngestRule {
    /// Whether it is about the object `key` in `bucket`.
    pub fn matches(&self, bucket: &str, key: &str) -> bool {
        self.bucket == bucket && key.starts_with(&self.prefix) && key.ends_with(&self.suffix)
    }
}
