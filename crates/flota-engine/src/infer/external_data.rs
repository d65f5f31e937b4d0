//! External data: the tensors of a network whose bytes lie in files beside its ONNX file.
//!
//! No engine opens these files. The bytes that the caller has read, and hashed, are put into the ONNX
//! file or given to the engine in memory, and what is not among them is refused. So an engine runs no
//! other bytes, whatever lies in the folder of the model or of the process.

use std::{
    collections::BTreeSet,
    hash::{BuildHasher, RandomState},
    path::{Component, Path},
    sync::Arc,
};

use super::{
    LoadError,
    wire::{self, Value},
};
use crate::Weights;

/// Deepest nesting of messages, as other readers of protocol buffers have it.
const MAX_DEPTH: usize = 100;
/// Smallest tensor that is given to an engine beside the ONNX file. Shapes and other small tensors are
/// needed while the graph is read, so they are put into it.
const MIN_BESIDE_BYTES: usize = 64 * 1024;
/// Most bytes that are put into an ONNX file for an engine that reads no more than 2 GiB of it.
const MAX_INSIDE_BYTES: usize = 1_900_000_000;

/// An ONNX file that refers to nothing outside of memory.
pub(super) struct Resolved {
    pub(super) onnx: Arc<[u8]>,
    /// The files that it still refers to, by names that no other process can guess.
    pub(super) beside: Vec<(String, Arc<[u8]>)>,
}

impl Weights {
    /// The ONNX file with all external data in it.
    pub(super) fn in_one(&self) -> Result<Arc<[u8]>, LoadError> {
        Ok(Resolver::new(self, false).resolve()?.onnx)
    }

    /// The ONNX file with its small external data in it, and the files of large initializers beside it.
    pub(super) fn in_memory(&self) -> Result<Resolved, LoadError> {
        Resolver::new(self, true).resolve()
    }
}

/// The messages of an ONNX file on the way to its tensors (`onnx.proto`).
#[derive(Clone, Copy, PartialEq)]
enum Message {
    Model,
    MainGraph,
    Graph,
    Node,
    Attribute,
    Function,
    TrainingInfo,
    SparseTensor,
    Tensor,
    /// A tensor of the main graph, which engines take from memory.
    Initializer,
}

impl Message {
    /// What the field `number` holds, where it leads to tensors.
    fn of_field(self, number: u32) -> Option<Self> {
        match (self, number) {
            (Self::Model, 7) => Some(Self::MainGraph),
            (Self::Model, 20) => Some(Self::TrainingInfo),
            (Self::Model, 25) => Some(Self::Function),
            (Self::MainGraph, 5) => Some(Self::Initializer),
            (Self::MainGraph | Self::Graph, 1) | (Self::Function, 7) => Some(Self::Node),
            (Self::Graph, 5) => Some(Self::Tensor),
            (Self::MainGraph | Self::Graph, 15) => Some(Self::SparseTensor),
            (Self::Node, 5) | (Self::Function, 11) => Some(Self::Attribute),
            (Self::Attribute, 5 | 10) | (Self::SparseTensor, 1 | 2) => Some(Self::Tensor),
            (Self::Attribute, 6 | 11) | (Self::TrainingInfo, 1 | 2) => Some(Self::Graph),
            (Self::Attribute, 22 | 23) => Some(Self::SparseTensor),
            _ => None,
        }
    }
}

struct Resolver<'a> {
    weights: &'a Weights,
    /// Whether large initializers may stay beside the ONNX file.
    may_be_beside: bool,
    /// Names begin with it.
    secret: String,
    inside_bytes: usize,
    beside: BTreeSet<String>,
    used: BTreeSet<String>,
    missing: BTreeSet<String>,
}

impl<'a> Resolver<'a> {
    fn new(weights: &'a Weights, may_be_beside: bool) -> Self {
        let random = || RandomState::new().hash_one(weights.sha256());
        Self {
            weights,
            may_be_beside,
            secret: format!("{:016x}{:016x}", random(), random()),
            inside_bytes: 0,
            beside: BTreeSet::new(),
            used: BTreeSet::new(),
            missing: BTreeSet::new(),
        }
    }

    fn resolve(mut self) -> Result<Resolved, LoadError> {
        let onnx = self.weights.onnx();
        let resolved = self.message(Message::Model, onnx, 0)?;
        if !self.missing.is_empty() {
            return Err(LoadError::DataNotListed(self.missing.into_iter().collect()));
        }
        let unused = self.weights.data().keys().filter(|name| !self.used.contains(*name));
        let unused: Vec<String> = unused.cloned().collect();
        if !unused.is_empty() {
            return Err(LoadError::DataUnused(unused));
        }
        if self.may_be_beside && self.inside_bytes > MAX_INSIDE_BYTES {
            return Err(LoadError::TooMuchInside { limit_bytes: MAX_INSIDE_BYTES });
        }
        let beside = self
            .beside
            .iter()
            .map(|location| (self.name_of(location), Arc::clone(&self.weights.data()[location])));
        let beside = beside.collect();
        Ok(Resolved { onnx: resolved.map_or_else(|| Arc::clone(onnx), Arc::from), beside })
    }

    /// The message in `bytes` without references to files; `None` where it has none.
    fn message(
        &mut self,
        message: Message,
        bytes: &[u8],
        depth: usize,
    ) -> Result<Option<Vec<u8>>, LoadError> {
        if depth > MAX_DEPTH {
            return Err(LoadError::NotOnnx(format!("it is nested deeper than {MAX_DEPTH}")));
        }
        if matches!(message, Message::Tensor | Message::Initializer) {
            return self.tensor(bytes, message == Message::Initializer);
        }
        let mut resolved: Option<Vec<u8>> = None;
        let mut begin = 0;
        for field in wire::fields(bytes) {
            let field = field?;
            let inner = match (message.of_field(field.number), &field.value) {
                (Some(inner), Value::Bytes(bytes)) => self.message(inner, bytes, depth + 1)?,
                (None, Value::Bytes(b"EPContext"))
                    if (message, field.number) == (Message::Node, 4) =>
                {
                    return Err(LoadError::CompiledElsewhere);
                }
                _ => None,
            };
            match (inner, &mut resolved) {
                (Some(inner), resolved) => {
                    let whole = resolved.get_or_insert_with(|| bytes[..begin].to_vec());
                    wire::push_bytes(whole, field.number, &inner);
                }
                (None, Some(resolved)) => resolved.extend_from_slice(field.encoded),
                (None, None) => {}
            }
            begin += field.encoded.len();
        }
        Ok(resolved)
    }

    fn tensor(&mut self, bytes: &[u8], is_initializer: bool) -> Result<Option<Vec<u8>>, LoadError> {
        let tensor = TensorHead::read(bytes)?;
        if tensor.entries.is_empty() && !tensor.is_external {
            return Ok(None);
        }
        // Readers heed these entries only where the tensor says that it is external.
        if !tensor.is_external {
            return without(bytes, &[EXTERNAL_DATA, DATA_LOCATION]).map(Some);
        }
        let mut resolved = without(bytes, &[EXTERNAL_DATA, DATA_LOCATION, RAW_DATA])?;
        let location = self.location_of(&tensor)?;
        let Some(data) = self.weights.data().get(&location) else {
            self.missing.insert(location);
            return Ok(None);
        };
        self.used.insert(location.clone());
        let (offset, length) = tensor.range(&location, data.len())?;
        let is_beside = self.may_be_beside
            && is_initializer
            && tensor.is_of_weights()
            && length >= MIN_BESIDE_BYTES;
        if is_beside {
            let name = self.name_of(&location);
            for (key, value) in
                [("location", name), ("offset", offset.to_string()), ("length", length.to_string())]
            {
                let mut entry = Vec::new();
                wire::push_bytes(&mut entry, 1, key.as_bytes());
                wire::push_bytes(&mut entry, 2, value.as_bytes());
                wire::push_bytes(&mut resolved, EXTERNAL_DATA, &entry);
            }
            resolved.extend_from_slice(&SAYS_EXTERNAL);
            self.beside.insert(location);
        } else {
            wire::push_bytes(&mut resolved, RAW_DATA, &data[offset..offset + length]);
            self.inside_bytes = self.inside_bytes.saturating_add(length);
        }
        Ok(Some(resolved))
    }

    /// The name of the file in the way that manifests list it.
    fn location_of(&self, tensor: &TensorHead) -> Result<String, LoadError> {
        let location = tensor.entry("location").unwrap_or_default();
        let mut parts = Vec::new();
        for part in Path::new(location).components() {
            match part {
                Component::Normal(part) => parts.push(part.to_string_lossy()),
                Component::CurDir => {}
                _ => return Err(LoadError::DataOutside(location.to_owned())),
            }
        }
        if parts.is_empty() {
            let tensor = tensor.name.clone();
            return Err(LoadError::DataWithoutPlace { tensor });
        }
        Ok(parts.join("/"))
    }

    fn name_of(&self, location: &str) -> String {
        let place = self.weights.data().keys().position(|known| known == location);
        format!("{}-{}", self.secret, place.unwrap_or_default())
    }
}

/// Fields of a `TensorProto`.
const DIMS: u32 = 1;
const DATA_TYPE: u32 = 2;
const NAME: u32 = 8;
const RAW_DATA: u32 = 9;
const EXTERNAL_DATA: u32 = 13;
const DATA_LOCATION: u32 = 14;
/// The field `data_location` that says so.
const SAYS_EXTERNAL: [u8; 2] = [(DATA_LOCATION << 3) as u8, EXTERNAL as u8];
const EXTERNAL: u64 = 1;

/// What a tensor says of itself.
#[derive(Default)]
struct TensorHead {
    name: String,
    dims: Vec<u64>,
    data_type: u64,
    is_external: bool,
    entries: Vec<(String, String)>,
}

impl TensorHead {
    fn read(bytes: &[u8]) -> Result<Self, LoadError> {
        let mut head = Self::default();
        for field in wire::fields(bytes) {
            let field = field?;
            match (field.number, field.value) {
                (DIMS, Value::Varint(length)) => head.dims.push(length),
                (DIMS, Value::Bytes(bytes)) => {
                    head.dims.extend(wire::packed(bytes).unwrap_or_default());
                }
                (DATA_TYPE, Value::Varint(data_type)) => head.data_type = data_type,
                (NAME, Value::Bytes(name)) => head.name = text(name),
                (DATA_LOCATION, Value::Varint(place)) => head.is_external = place == EXTERNAL,
                (EXTERNAL_DATA, Value::Bytes(entry)) => head.entries.push(read_entry(entry)?),
                _ => {}
            }
        }
        Ok(head)
    }

    fn entry(&self, key: &str) -> Option<&str> {
        let mut entries = self.entries.iter();
        entries.find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    /// Offset and length within a file of `size` bytes.
    fn range(&self, location: &str, size: usize) -> Result<(usize, usize), LoadError> {
        let number = |key| match self.entry(key) {
            None => Ok(None),
            Some(text) => text.parse::<usize>().map(Some),
        };
        let outside = || LoadError::DataTooShort {
            location: location.to_owned(),
            tensor: self.name.clone(),
            size_bytes: size,
        };
        let offset = number("offset").map_err(|_| outside())?.unwrap_or(0);
        let length = number("length").map_err(|_| outside())?;
        let rest = size.checked_sub(offset).ok_or_else(outside)?;
        if let (Some(length_bytes), Some(needed_bytes)) = (length, self.size_bytes())
            && length_bytes != needed_bytes
        {
            let (location, tensor) = (location.to_owned(), self.name.clone());
            return Err(LoadError::DataLength { location, tensor, length_bytes, needed_bytes });
        }
        let length = length.or_else(|| self.size_bytes()).unwrap_or(rest);
        if length > rest {
            return Err(outside());
        }
        Ok((offset, length))
    }

    /// The bytes that the tensor has by its shape and type, where that is known.
    fn size_bytes(&self) -> Option<usize> {
        let bits: u64 = match self.data_type {
            2 | 3 | 9 | 17..=20 => 8,
            4 | 5 | 10 | 16 => 16,
            1 | 6 | 12 => 32,
            7 | 11 | 13 | 14 => 64,
            15 => 128,
            21..=23 => 4,
            _ => return None,
        };
        let bits = self.dims.iter().try_fold(bits, |bits, length| bits.checked_mul(*length))?;
        usize::try_from(bits.div_ceil(8)).ok()
    }

    /// Whether it is of numbers as weights are, and not of those that shapes and indices have.
    fn is_of_weights(&self) -> bool {
        matches!(self.data_type, 1 | 2 | 3 | 10 | 11 | 16)
    }
}

fn read_entry(bytes: &[u8]) -> Result<(String, String), LoadError> {
    let (mut key, mut value) = (String::new(), String::new());
    for field in wire::fields(bytes) {
        match field? {
            wire::Field { number: 1, value: Value::Bytes(bytes), .. } => key = text(bytes),
            wire::Field { number: 2, value: Value::Bytes(bytes), .. } => value = text(bytes),
            _ => {}
        }
    }
    Ok((key, value))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn without(message: &[u8], numbers: &[u32]) -> Result<Vec<u8>, LoadError> {
    let mut kept = Vec::with_capacity(message.len());
    for field in wire::fields(message) {
        let field = field?;
        if !numbers.contains(&field.number) {
            kept.extend_from_slice(field.encoded);
        }
    }
    Ok(kept)
}
