//! The weights of a network: an ONNX file, and files with external data.

use std::{
    collections::BTreeMap,
    fmt, iter,
    path::{Component, Path, PathBuf},
};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, value::MapAccessDeserializer},
};
use url::Url;

use super::asset::AssetFields;
use crate::{Asset, Sha256};

/// Most files with external data. Exporters write one, or one per tensor.
const MAX_DATA_FILES: usize = 4_096;
/// Must change when the hash of several files changes its meaning.
const HASH_FORMAT: &str = "onnx with external data 1";

/// The ONNX file of a model, and the files with external data that it refers to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "WeightsFields", into = "WeightsFields")]
pub struct WeightsSource {
    /// The ONNX file.
    pub onnx: Asset,
    /// The files with external data. Most models have none.
    pub data: Vec<DataFile>,
}

/// A file with external data.
#[derive(Debug, Clone, PartialEq)]
pub struct DataFile {
    /// Its name in the ONNX file: a path relative to the ONNX file's folder, with `/` as separator.
    pub location: String,
    /// The source of the file.
    pub asset: Asset,
}

impl WeightsSource {
    /// All files, beginning with the ONNX file.
    pub fn assets(&self) -> impl Iterator<Item = &Asset> {
        iter::once(&self.onnx).chain(self.data.iter().map(|file| &file.asset))
    }

    /// The hash of all weights, from the hash of the ONNX file and those of the external data by
    /// location. Without external data it is the hash of the ONNX file.
    pub fn hash(onnx: &Sha256, data: &BTreeMap<String, Sha256>) -> Sha256 {
        if data.is_empty() {
            return *onnx;
        }
        let identity = (HASH_FORMAT, onnx, data);
        Sha256::of(&serde_json::to_vec(&identity).expect("plain data is always JSON"))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WeightsFields {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    url: Option<Url>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<Sha256>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    data: Vec<DataFields>,
}

/// The JSON form of a data file: a name alone, a name with its hash, or a URL.
#[derive(Serialize)]
struct DataFields {
    #[serde(flatten)]
    asset: AssetFields,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DataMap {
    file: Option<PathBuf>,
    url: Option<Url>,
    sha256: Option<Sha256>,
    location: Option<String>,
}

impl<'de> Deserialize<'de> for DataFields {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        de.deserialize_any(DataVisitor)
    }
}

/// Reads both forms. An untagged enum would lose the line numbers of errors.
struct DataVisitor;

impl<'de> de::Visitor<'de> for DataVisitor {
    type Value = DataFields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a file, or `file` or `url` of a file with external data")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<DataFields, E> {
        let asset = AssetFields { file: Some(name.into()), url: None, sha256: None };
        Ok(DataFields { asset, location: None })
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<DataFields, A::Error> {
        let DataMap { file, url, sha256, location } =
            DataMap::deserialize(MapAccessDeserializer::new(map))?;
        Ok(DataFields { asset: AssetFields { file, url, sha256 }, location })
    }
}

impl TryFrom<WeightsFields> for WeightsSource {
    type Error = String;

    fn try_from(fields: WeightsFields) -> Result<Self, String> {
        let WeightsFields { file, url, sha256, data } = fields;
        let onnx: Asset = AssetFields { file, url, sha256 }.try_into()?;
        if data.len() > MAX_DATA_FILES {
            return Err(format!("`data` lists more than {MAX_DATA_FILES} files"));
        }
        let mut files: Vec<DataFile> = Vec::new();
        for DataFields { asset, location } in data {
            let asset = Asset::try_from(asset).map_err(|reason| format!("in `data`, {reason}"))?;
            let location = match location {
                Some(location) => plain(Path::new(&location))
                    .ok_or_else(|| format!("`location: {location}` leads out of a folder"))?,
                None => default_location(&onnx, &asset)?,
            };
            if files.iter().any(|other| other.location == location) {
                return Err(format!("`data` lists `{location}` twice"));
            }
            files.push(DataFile { location, asset });
        }
        Ok(Self { onnx, data: files })
    }
}

impl From<WeightsSource> for WeightsFields {
    fn from(WeightsSource { onnx, data }: WeightsSource) -> Self {
        let AssetFields { file, url, sha256 } = onnx.into();
        let fields =
            |file: DataFile| DataFields { asset: file.asset.into(), location: Some(file.location) };
        Self { file, url, sha256, data: data.into_iter().map(fields).collect() }
    }
}

/// The location of a data file if the manifest does not name it: its path relative to the ONNX
/// file's folder, or the last segment of its URL.
fn default_location(onnx: &Asset, data: &Asset) -> Result<String, String> {
    match data {
        Asset::File { file, .. } => {
            let folder = match onnx {
                Asset::File { file, .. } => plain(file.parent().unwrap_or(Path::new(""))),
                Asset::Url { .. } => None,
            };
            let file = plain(file).unwrap_or_default();
            let inside = match folder.as_deref() {
                None | Some("") => Some(file.as_str()),
                Some(folder) => file.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/')),
            };
            inside.map(str::to_owned).ok_or_else(|| {
                format!("`{file}` in `data` does not lie beside the ONNX file: move it there")
            })
        }
        Asset::Url { url, .. } => {
            let last = url.path_segments().and_then(|mut parts| parts.next_back());
            match last {
                Some(name) if !name.is_empty() => Ok(name.to_owned()),
                _ => Err(format!("say as `location` what the ONNX file calls {url}")),
            }
        }
    }
}

/// `path` without `.` segments and with `/` as separator. `None` if it leads out of its folder.
fn plain(path: &Path) -> Option<String> {
    let mut parts = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => parts.push(part.to_str()?),
            Component::CurDir => {}
            _ => return None,
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn source(yaml: &str) -> Result<WeightsSource, String> {
        let yaml = yaml.replace("SHA", SHA);
        serde_saphyr::from_str(&yaml).map_err(|error| error.without_snippet().to_string())
    }

    fn locations(yaml: &str) -> Vec<String> {
        source(yaml).unwrap().data.into_iter().map(|file| file.location).collect()
    }

    #[test]
    fn external_data_is_called_as_the_onnx_file_calls_it() {
        assert_eq!(locations("{file: m.onnx}"), Vec::<String>::new());
        assert_eq!(locations("{file: m.onnx, data: [m.onnx.data]}"), ["m.onnx.data"]);
        assert_eq!(locations("{file: ./a/m.onnx, data: [a/./b/c]}"), ["b/c"]);
        assert_eq!(locations("{file: m.onnx, data: [{file: x, sha256: SHA}]}"), ["x"]);
        let fetched = "{url: 'https://a.example/m.onnx', sha256: SHA, data: [\
            {url: 'https://a.example/m.onnx.data?t=1', sha256: SHA}, \
            {url: 'https://a.example/2', sha256: SHA, location: w/two}]}";
        assert_eq!(locations(fetched), ["m.onnx.data", "w/two"]);
    }

    #[test]
    fn what_is_wrong_with_external_data_is_said() {
        for (yaml, wanted) in [
            ("{file: m.onnx, data: [../x]}", "leads out of the model's folder"),
            ("{file: m.onnx, data: [/x]}", "leads out of the model's folder"),
            ("{file: m.onnx, data: [x, ./x]}", "lists `x` twice"),
            ("{file: a/m.onnx, data: [x]}", "does not lie beside the ONNX file"),
            ("{file: m.onnx, data: [{url: 'https://a.example/x'}]}", "needs the `sha256`"),
            ("{file: m.onnx, data: [{fiel: x}]}", "fiel"),
            ("{file: m.onnx, data: [{file: x, location: ../x}]}", "leads out of a folder"),
            ("{file: m.onnx, data: [{url: 'https://a.example/', sha256: SHA}]}", "`location`"),
        ] {
            let reason = source(yaml).unwrap_err();
            assert!(reason.contains(wanted), "{yaml}: {reason}");
        }
    }

    #[test]
    fn the_hash_is_of_all_bytes_and_of_the_onnx_file_alone_where_there_are_no_others() {
        let [onnx, one, two] = [b"onnx", b"one.", b"two."].map(|bytes| Sha256::of(bytes));
        let hash = |data: &[(&str, Sha256)]| {
            let data = data.iter().map(|(location, sha)| ((*location).to_owned(), *sha)).collect();
            WeightsSource::hash(&onnx, &data)
        };
        assert_eq!(hash(&[]), onnx);
        assert_ne!(hash(&[("x", one)]), onnx);
        assert_ne!(hash(&[("x", one)]), hash(&[("x", two)]));
        assert_ne!(hash(&[("x", one), ("y", two)]), hash(&[("x", two), ("y", one)]));
    }

    #[test]
    fn external_data_survives_json() {
        let yaml = "{file: a/m.onnx, data: [a/x, {url: 'https://a.example/y', sha256: SHA}]}";
        let source = source(yaml).unwrap();
        let json = serde_json::to_value(&source).unwrap();
        assert_eq!(serde_json::from_value::<WeightsSource>(json).unwrap(), source);
    }
}
