//! The bytes of a network.

use std::{collections::BTreeMap, fmt, sync::Arc};

use flota_core::{Sha256, WeightsSource};

use crate::infer::metadata;

/// The content of a file, with its hash.
#[derive(Clone)]
pub struct Hashed {
    bytes: Arc<[u8]>,
    sha256: Sha256,
}

impl Hashed {
    /// Hashes `bytes`.
    pub fn new(bytes: Arc<[u8]>) -> Self {
        Self { sha256: Sha256::of(&bytes), bytes }
    }

    /// The content.
    pub fn bytes(&self) -> &Arc<[u8]> {
        &self.bytes
    }

    /// What it hashes to.
    pub fn sha256(&self) -> Sha256 {
        self.sha256
    }
}

/// An ONNX file and its external data, in memory. An engine runs these bytes and no others, whatever
/// becomes of the files that they were read from.
pub struct Weights {
    onnx: Arc<[u8]>,
    data: BTreeMap<String, Arc<[u8]>>,
    sha256: Sha256,
}

impl Weights {
    /// The ONNX file `onnx` with its external data: each file by what the ONNX file calls it.
    pub fn new(onnx: Hashed, data: BTreeMap<String, Hashed>) -> Self {
        let hashes = data.iter().map(|(location, file)| (location.clone(), file.sha256)).collect();
        Self {
            sha256: WeightsSource::hash(&onnx.sha256, &hashes),
            onnx: onnx.bytes,
            data: data.into_iter().map(|(location, file)| (location, file.bytes)).collect(),
        }
    }

    /// The identity of all the bytes: see [`WeightsSource::hash`].
    pub fn sha256(&self) -> Sha256 {
        self.sha256
    }

    /// What the ONNX file says of itself, by key: its `metadata_props`.
    pub fn metadata(&self) -> BTreeMap<String, String> {
        metadata(&self.onnx)
    }

    pub(crate) fn onnx(&self) -> &Arc<[u8]> {
        &self.onnx
    }

    pub(crate) fn data(&self) -> &BTreeMap<String, Arc<[u8]>> {
        &self.data
    }
}

impl From<&[u8]> for Weights {
    /// An ONNX file without external data.
    fn from(onnx: &[u8]) -> Self {
        Self::new(Hashed::new(onnx.into()), BTreeMap::new())
    }
}

impl fmt::Debug for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Weights({})", self.sha256)
    }
}
