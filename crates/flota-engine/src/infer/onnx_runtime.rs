//! The engine that is fastest on most CPUs, and runs on GPUs: ONNX Runtime.
//!
//! Its library is loaded when it is asked for; nothing is linked. A session has the weights for itself
//! where no optimised graph is kept. On a CPU, batch 1 is what it is mostly fastest at; on a GPU it is
//! not, so a batch is run whole where the graph leaves its length free.

use std::{borrow::Cow, sync::Arc};

use flota_core::{Dtype, InputSpec, OutputSpec};
use ort::{
    ErrorCode,
    session::SessionInputValue,
    value::{Outlet, Shape, TensorElementType, TensorRef, ValueType},
};

use super::{Engine, InferError, LoadError, OnnxRuntime, Session, graph, library::Graph};
use crate::{Tensor, TensorData, Weights, preprocess::shape_of};

impl OnnxRuntime {
    pub(super) fn load(
        &self,
        weights: &Weights,
        input: &InputSpec,
        output: &OutputSpec,
    ) -> Result<(OnnxRuntimeEngine, OnnxRuntimeSession), LoadError> {
        let (graph, session) =
            self.graph(weights.in_memory()?, weights.sha256()).map_err(load_error)?;
        let (inputs, outputs) = (session.inputs(), session.outputs());
        let names = names(inputs);
        let index = graph::find_input(input.name.as_deref(), &names)?;
        let taken = &inputs[index];
        let is_batch_free = check_input(taken, input)?;
        let outputs = self::names(outputs);
        let index = graph::find("output", output.name.as_deref(), &outputs)?;
        let names =
            Arc::new(Names { input: taken.name().to_owned(), output: outputs[index].clone() });
        let mut first = OnnxRuntimeSession {
            session,
            names,
            output_count: 0,
            is_batch_free,
            numbers: Vec::new(),
        };
        first.output_count = first.count_outputs(input)?;
        let engine = OnnxRuntimeEngine {
            runtime: self.clone(),
            graph,
            names: Arc::clone(&first.names),
            output_count: first.output_count,
            is_batch_free,
        };
        Ok((engine, first))
    }
}

/// A graph of which there is a session, and are made more.
pub(super) struct OnnxRuntimeEngine {
    runtime: OnnxRuntime,
    graph: Graph,
    names: Arc<Names>,
    output_count: usize,
    is_batch_free: bool,
}

struct Names {
    input: String,
    output: String,
}

impl Engine for OnnxRuntimeEngine {
    fn output_count(&self) -> usize {
        self.output_count
    }

    fn session(&self, threads: usize) -> Result<Box<dyn Session>, InferError> {
        Ok(Box::new(OnnxRuntimeSession {
            session: self.runtime.session(&self.graph, threads).map_err(infer_error)?,
            names: Arc::clone(&self.names),
            output_count: self.output_count,
            is_batch_free: self.is_batch_free,
            numbers: Vec::new(),
        }))
    }
}

pub(super) struct OnnxRuntimeSession {
    session: ort::session::Session,
    names: Arc<Names>,
    output_count: usize,
    /// Whether several images can be run as one tensor.
    is_batch_free: bool,
    /// The tensors of a batch, one behind the other.
    numbers: Vec<f32>,
}

impl Session for OnnxRuntimeSession {
    fn run(&mut self, batch: &[Tensor]) -> Result<Vec<Vec<f32>>, InferError> {
        if batch.len() > 1 && self.is_batch_free {
            return self.run_whole(batch);
        }
        batch.iter().map(|tensor| self.run_one(tensor)).collect()
    }
}

impl OnnxRuntimeSession {
    fn run_one(&mut self, tensor: &Tensor) -> Result<Vec<f32>, InferError> {
        let (_, numbers) = self.run_tensor(tensor.shape, &tensor.data)?;
        if numbers.len() != self.output_count {
            let (found, wanted) = (numbers.len(), self.output_count);
            return Err(InferError::WrongCount { found, wanted });
        }
        Ok(numbers)
    }

    fn run_whole(&mut self, batch: &[Tensor]) -> Result<Vec<Vec<f32>>, InferError> {
        let mut numbers = std::mem::take(&mut self.numbers);
        numbers.clear();
        let mut bytes = Vec::new();
        for tensor in batch {
            match &tensor.data {
                TensorData::F32(one) => numbers.extend_from_slice(one),
                TensorData::U8(one) => bytes.extend_from_slice(one),
            }
        }
        let [_, rest @ ..] = batch[0].shape;
        let shape = [batch.len(), rest[0], rest[1], rest[2]];
        let data = if bytes.is_empty() { TensorData::F32(numbers) } else { TensorData::U8(bytes) };
        let ran = self.run_tensor(shape, &data);
        if let TensorData::F32(numbers) = data {
            self.numbers = numbers;
        }
        let (answered, numbers) = ran?;
        let wanted = batch.len() * self.output_count;
        if answered.first() != i64::try_from(batch.len()).ok().as_ref() || numbers.len() != wanted {
            return Err(InferError::WrongCount { found: numbers.len(), wanted });
        }
        Ok(numbers.chunks(self.output_count).map(<[f32]>::to_vec).collect())
    }

    /// The shape and the numbers of the output.
    fn run_tensor(
        &mut self,
        shape: [usize; 4],
        data: &TensorData,
    ) -> Result<(Shape, Vec<f32>), InferError> {
        let value: SessionInputValue<'_> = match data {
            TensorData::F32(numbers) => {
                TensorRef::from_array_view((shape, numbers.as_slice())).map_err(infer_error)?.into()
            }
            TensorData::U8(numbers) => {
                TensorRef::from_array_view((shape, numbers.as_slice())).map_err(infer_error)?.into()
            }
        };
        let inputs = vec![(Cow::from(self.names.input.as_str()), value)];
        let outputs = self.session.run(inputs).map_err(infer_error)?;
        let output = outputs.get(&self.names.output);
        let output =
            output.ok_or(InferError::WrongCount { found: 0, wanted: self.output_count })?;
        let (shape, numbers) = output.try_extract_tensor::<f32>().map_err(infer_error)?;
        Ok((shape.clone(), numbers.to_vec()))
    }

    /// How many numbers come of one image, found by a first run: graphs do not always say.
    fn count_outputs(&mut self, input: &InputSpec) -> Result<usize, LoadError> {
        let shape = shape_of(input);
        let length = shape.iter().product();
        let data = match input.dtype {
            Dtype::F32 => TensorData::F32(vec![0.0; length]),
            Dtype::U8 => TensorData::U8(vec![0; length]),
        };
        let wanted = self.session.outputs().iter().find(|o| o.name() == self.names.output);
        let is_floats = wanted.and_then(element_of) == Some(TensorElementType::Float32);
        let (type_name, axes) = wanted.map_or_else(Default::default, type_of);
        let mismatch = graph::output_mismatch(&self.names.output, &type_name, axes.as_deref());
        if !is_floats {
            return Err(mismatch);
        }
        let (shape, numbers) = self.run_tensor(shape, &data).map_err(LoadError::FirstRun)?;
        if shape.is_empty() || numbers.is_empty() {
            return Err(mismatch);
        }
        Ok(numbers.len())
    }
}

/// Checks what the graph takes against what the manifest makes, and says whether the number of
/// images is free.
fn check_input(taken: &Outlet, input: &InputSpec) -> Result<bool, LoadError> {
    let (type_name, axes) = type_of(taken);
    graph::check_input(taken.name(), &type_name, axes.as_deref(), input)?;
    Ok(axes.is_some_and(|axes| axes.first() == Some(&None)))
}

/// The type of a tensor as ONNX calls it, and its shape, where it is one.
fn type_of(outlet: &Outlet) -> (String, Option<Vec<Option<usize>>>) {
    let ValueType::Tensor { ty, shape, .. } = outlet.dtype() else {
        return (outlet.dtype().to_string(), None);
    };
    let axes = shape.iter().map(|axis| usize::try_from(*axis).ok()).collect();
    let type_name = match ty {
        TensorElementType::Float32 => "float",
        TensorElementType::Float16 => "float16",
        TensorElementType::Float64 => "double",
        TensorElementType::Uint8 => "uint8",
        TensorElementType::Int32 => "int32",
        TensorElementType::Int64 => "int64",
        other => return (other.to_string(), Some(axes)),
    };
    (type_name.to_owned(), Some(axes))
}

fn element_of(outlet: &Outlet) -> Option<TensorElementType> {
    match outlet.dtype() {
        ValueType::Tensor { ty, .. } => Some(*ty),
        _ => None,
    }
}

fn names(outlets: &[Outlet]) -> Vec<String> {
    outlets.iter().map(|outlet| outlet.name().to_owned()).collect()
}

fn load_error(error: ort::Error) -> LoadError {
    match error.code() {
        ErrorCode::InvalidProtobuf | ErrorCode::InvalidArgument => {
            LoadError::NotOnnx(error.to_string())
        }
        _ => LoadError::Engine(error.to_string()),
    }
}

fn infer_error(error: ort::Error) -> InferError {
    InferError::Engine { source: error.to_string().into() }
}
