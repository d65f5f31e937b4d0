//! Tensors by name: what a network takes and what it gives.

use std::sync::Arc;

/// Numbers of one type in a grid of any rank.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// The length of each axis; none of a single number. An image's are `[1, channels, height, width]` or
    /// `[1, height, width, channels]`.
    pub shape: Vec<usize>,
    /// The numbers, the last axis the fastest: as many as the product of the lengths.
    pub data: TensorData,
}

/// The numbers of a [`Tensor`].
#[derive(Debug, Clone, PartialEq)]
pub enum TensorData {
    /// `float` in ONNX.
    F32(Vec<f32>),
    /// `double`.
    F64(Vec<f64>),
    /// `uint8`.
    U8(Vec<u8>),
    /// `int32`.
    I32(Vec<i32>),
    /// `int64`.
    I64(Vec<i64>),
    /// `bool`.
    Bool(Vec<bool>),
}

/// The type of a tensor's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ElementType {
    /// `float` in ONNX.
    F32,
    /// `double`.
    F64,
    /// `uint8`.
    U8,
    /// `int32`.
    I32,
    /// `int64`.
    I64,
    /// `bool`.
    Bool,
}

/// What a network takes or gives under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    /// The name in the graph.
    pub name: Arc<str>,
    /// The type of the numbers.
    pub element: ElementType,
    /// The length of each axis for one item; `None` where it is not known before a run.
    pub shape: Vec<Option<usize>>,
}

/// The tensors of one item, such as an image, by name: a network's inputs, or its outputs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NamedTensors(Vec<(Arc<str>, Tensor)>);

impl Tensor {
    /// A vector of floats for one item: `[1, numbers.len()]`.
    pub fn row(numbers: Vec<f32>) -> Self {
        Self { shape: vec![1, numbers.len()], data: TensorData::F32(numbers) }
    }

    /// The numbers, where they are 32-bit floats.
    pub fn floats(&self) -> Option<&[f32]> {
        match &self.data {
            TensorData::F32(numbers) => Some(numbers),
            _ => None,
        }
    }
}

impl TensorData {
    /// `length` zeros.
    pub(crate) fn zeros(element: ElementType, length: usize) -> Self {
        match element {
            ElementType::F32 => Self::F32(vec![0.0; length]),
            ElementType::F64 => Self::F64(vec![0.0; length]),
            ElementType::U8 => Self::U8(vec![0; length]),
            ElementType::I32 => Self::I32(vec![0; length]),
            ElementType::I64 => Self::I64(vec![0; length]),
            ElementType::Bool => Self::Bool(vec![false; length]),
        }
    }

    /// The type of the numbers.
    pub fn element(&self) -> ElementType {
        match self {
            Self::F32(_) => ElementType::F32,
            Self::F64(_) => ElementType::F64,
            Self::U8(_) => ElementType::U8,
            Self::I32(_) => ElementType::I32,
            Self::I64(_) => ElementType::I64,
            Self::Bool(_) => ElementType::Bool,
        }
    }

    /// Removes the numbers and keeps their memory.
    pub(crate) fn clear(&mut self) {
        match self {
            Self::F32(numbers) => numbers.clear(),
            Self::F64(numbers) => numbers.clear(),
            Self::U8(numbers) => numbers.clear(),
            Self::I32(numbers) => numbers.clear(),
            Self::I64(numbers) => numbers.clear(),
            Self::Bool(numbers) => numbers.clear(),
        }
    }

    /// Appends the numbers of `other`, unless they are of another type: that is `false`.
    pub(crate) fn append(&mut self, other: &Self) -> bool {
        match (self, other) {
            (Self::F32(all), Self::F32(more)) => all.extend_from_slice(more),
            (Self::F64(all), Self::F64(more)) => all.extend_from_slice(more),
            (Self::U8(all), Self::U8(more)) => all.extend_from_slice(more),
            (Self::I32(all), Self::I32(more)) => all.extend_from_slice(more),
            (Self::I64(all), Self::I64(more)) => all.extend_from_slice(more),
            (Self::Bool(all), Self::Bool(more)) => all.extend_from_slice(more),
            _ => return false,
        }
        true
    }
}

impl ElementType {
    /// The type that ONNX calls so; `None` of those that no tensor here has.
    pub(crate) fn of_onnx(name: &str) -> Option<Self> {
        let all = [Self::F32, Self::F64, Self::U8, Self::I32, Self::I64, Self::Bool];
        all.into_iter().find(|element| element.onnx_name() == name)
    }

    /// What ONNX calls it.
    pub fn onnx_name(self) -> &'static str {
        match self {
            Self::F32 => "float",
            Self::F64 => "double",
            Self::U8 => "uint8",
            Self::I32 => "int32",
            Self::I64 => "int64",
            Self::Bool => "bool",
        }
    }
}

impl TensorSpec {
    /// How many numbers an item has; `None` where an axis is not known.
    pub fn length(&self) -> Option<usize> {
        self.shape.iter().copied().product()
    }
}

impl NamedTensors {
    /// One tensor.
    pub fn one(name: Arc<str>, tensor: Tensor) -> Self {
        Self(vec![(name, tensor)])
    }

    /// The tensor of that name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.0.iter().find(|(known, _)| &**known == name).map(|(_, tensor)| tensor)
    }

    /// The tensor of that name, to be changed.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Tensor> {
        self.0.iter_mut().find(|(known, _)| &**known == name).map(|(_, tensor)| tensor)
    }

    /// Adds a tensor, or replaces the one of that name.
    pub fn insert(&mut self, name: impl Into<Arc<str>>, tensor: Tensor) {
        let name = name.into();
        match self.get_mut(&name) {
            Some(known) => *known = tensor,
            None => self.0.push((name, tensor)),
        }
    }

    /// The tensors with their names, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.0.iter().map(|(name, tensor)| (&**name, tensor))
    }

    /// The same, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&str, &mut Tensor)> {
        self.0.iter_mut().map(|(name, tensor)| (&**name, tensor))
    }
}

impl FromIterator<(Arc<str>, Tensor)> for NamedTensors {
    fn from_iter<I: IntoIterator<Item = (Arc<str>, Tensor)>>(tensors: I) -> Self {
        Self(tensors.into_iter().collect())
    }
}
