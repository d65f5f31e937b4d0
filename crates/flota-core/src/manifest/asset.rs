//! Sources of weights and labels.

use std::{
    fmt,
    path::{Component, Path, PathBuf},
};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, value::MapAccessDeserializer},
};
use url::Url;

use super::label_file;
use crate::Sha256;

/// Most labels in the manifest itself. Longer lists belong in a file.
const MAX_INLINE_LABELS: usize = 1_000;

/// A file of the model, in its folder or at a URL.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "AssetFields", into = "AssetFields")]
pub enum Asset {
    /// A file in the model's folder.
    File {
        /// Path relative to the folder. It never leads out of the folder.
        file: PathBuf,
        /// Expected SHA-256, if the manifest names one.
        sha256: Option<Sha256>,
    },
    /// A file that is downloaded once, verified and cached.
    Url {
        /// The `http` or `https` URL.
        url: Url,
        /// Expected SHA-256 of the downloaded bytes.
        sha256: Sha256,
    },
}

/// The labels of a model's outputs, in the order of their indices.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum LabelSource {
    /// In the manifest itself.
    Inline(Vec<String>),
    /// In a file: one label per line, or JSON.
    Lines(LabelLines),
    /// In the metadata of the ONNX file.
    Metadata(LabelMetadata),
}

/// Labels in the metadata of the ONNX file, where Ultralytics' export writes them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelMetadata {
    /// The key of `metadata_props`, such as `names`.
    #[serde(rename = "metadata")]
    pub key: String,
}

impl LabelMetadata {
    /// Parses the labels in `text`, the value of the key in the file's metadata.
    ///
    /// # Errors
    /// If it is neither a list nor a dictionary of labels.
    pub fn read(&self, text: &str) -> Result<Vec<String>, String> {
        label_file::of_metadata(text)
            .and_then(label_file::bounded)
            .map_err(|error| format!("the metadata `{}` of the ONNX file: {error}", self.key))
    }
}

/// A file of labels: one per line, a JSON list, a JSON dictionary of ids, or Hugging Face's `config.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "LabelFields", into = "LabelFields")]
pub struct LabelLines {
    /// The file.
    pub asset: Asset,
    /// The number of words at the start of each line that are not part of the label, such as
    /// WordNet ids.
    pub skip_words: u32,
}

impl LabelLines {
    /// Parses the labels in `text`: JSON in the order of its ids, or one label per line. Trailing
    /// empty lines are ignored.
    ///
    /// # Errors
    /// If it is JSON but no labels, or has too many of them.
    pub fn read(&self, text: &str) -> Result<Vec<String>, String> {
        let text = label_file::without_mark(text);
        let lines = || {
            // One more than the limit, so that the excess is noticed.
            let lines = text.trim_end().lines().take(label_file::MAX_LABELS + 1);
            lines.map(|line| self.label_of(line).to_owned()).collect()
        };
        label_file::of_json(text).unwrap_or_else(|| Ok(lines())).and_then(label_file::bounded)
    }

    fn label_of<'a>(&self, line: &'a str) -> &'a str {
        let mut rest = line.trim();
        for _ in 0..self.skip_words {
            rest = rest.split_once(char::is_whitespace).map_or("", |(_, rest)| rest.trim_start());
        }
        rest
    }
}

impl<'de> Deserialize<'de> for LabelSource {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        de.deserialize_any(LabelVisitor)
    }
}

/// Reads both forms. An untagged enum would lose the line numbers of errors.
struct LabelVisitor;

impl<'de> de::Visitor<'de> for LabelVisitor {
    type Value = LabelSource;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of labels, or `file` or `url` of a file, or `metadata`")
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<LabelSource, A::Error> {
        let mut labels = Vec::new();
        while let Some(label) = seq.next_element::<String>()? {
            labels.push(label);
            if labels.len() > MAX_INLINE_LABELS {
                let reason = format!("more than {MAX_INLINE_LABELS} labels: put them into a file");
                return Err(de::Error::custom(reason));
            }
        }
        Ok(LabelSource::Inline(labels))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<LabelSource, A::Error> {
        let fields = LabelFields::deserialize(MapAccessDeserializer::new(map))?;
        match fields.metadata {
            None => fields.try_into().map(LabelSource::Lines).map_err(de::Error::custom),
            Some(_) if fields.file.is_some() || fields.url.is_some() || fields.skip_words > 0 => {
                Err(de::Error::custom(
                    "`metadata` stands alone: leave out `file`, `url`, `skip_words`",
                ))
            }
            Some(key) => Ok(LabelSource::Metadata(LabelMetadata { key })),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AssetFields {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) url: Option<Url>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sha256: Option<Sha256>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LabelFields {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<Url>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<Sha256>,
    #[serde(default)]
    skip_words: u32,
    #[serde(default, skip_serializing)]
    metadata: Option<String>,
}

impl TryFrom<AssetFields> for Asset {
    type Error = String;

    fn try_from(fields: AssetFields) -> Result<Self, String> {
        match (fields.file, fields.url, fields.sha256) {
            (Some(file), None, sha256) => {
                if !stays_inside(&file) {
                    return Err(format!("`{}` leads out of the model's folder", file.display()));
                }
                Ok(Self::File { file, sha256 })
            }
            (None, Some(url), Some(sha256)) if matches!(url.scheme(), "http" | "https") => {
                Ok(Self::Url { url, sha256 })
            }
            (None, Some(url), Some(_)) => {
                Err(format!("`{}:` is not fetched: only http and https are", url.scheme()))
            }
            (None, Some(_), None) => Err("`url` needs the `sha256` of what it leads to".to_owned()),
            (Some(_), Some(_), _) => Err("`file` and `url` exclude each other".to_owned()),
            (None, None, _) => Err("neither `file` nor `url` is given".to_owned()),
        }
    }
}

fn stays_inside(file: &Path) -> bool {
    let is_plain = |part| matches!(part, Component::Normal(_) | Component::CurDir);
    !file.as_os_str().is_empty() && file.components().all(is_plain)
}

impl From<Asset> for AssetFields {
    fn from(asset: Asset) -> Self {
        match asset {
            Asset::File { file, sha256 } => Self { file: Some(file), url: None, sha256 },
            Asset::Url { url, sha256 } => Self { file: None, url: Some(url), sha256: Some(sha256) },
        }
    }
}

impl TryFrom<LabelFields> for LabelLines {
    type Error = String;

    fn try_from(fields: LabelFields) -> Result<Self, String> {
        let LabelFields { file, url, sha256, skip_words, .. } = fields;
        Ok(Self { asset: AssetFields { file, url, sha256 }.try_into()?, skip_words })
    }
}

impl From<LabelLines> for LabelFields {
    fn from(lines: LabelLines) -> Self {
        let AssetFields { file, url, sha256 } = lines.asset.into();
        Self { file, url, sha256, skip_words: lines.skip_words, metadata: None }
    }
}
