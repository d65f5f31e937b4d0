//! The engine that is fastest on most CPUs, and runs on GPUs: ONNX Runtime.
//!
//! Its library is loaded when it is asked for; nothing is linked. A session has the weights for itself
//! where no optimised graph is kept. On a CPU, batch 1 is what it is mostly fastest at; on a GPU it is
//! not, so a batch is run whole where the graph leaves its length free.

use std::{borrow::Cow, sync::Arc};

use flota_core::InputSpec;
use ort::{
    ErrorCode,
    session::SessionInputValue,
    value::{
        DynValue, Outlet, PrimitiveTensorElementType, TensorElementType, TensorRef, ValueType,
    },
};

use super::{
    InferError, LoadError, LoadedNetwork, Network, OnnxRuntime, OutputRequest, Session, graph,
    library::Graph,
};
use crate::{ElementType, NamedTensors, Tensor, TensorData, TensorSpec, Weights};

impl OnnxRuntime {
    pub(super) fn load(
        &self,
        weights: &Weights,
        inputs: &[InputSpec],
        outputs: &[OutputRequest<'_>],
    ) -> Result<LoadedNetwork, LoadError> {
        let (graph, session) =
            self.graph(weights.in_memory()?, weights.sha256()).map_err(load_error)?;
        let (taken, given) = (session.inputs(), session.outputs());
        let mut is_batch_free = true;
        let mut fed = Vec::new();
        for (index, input) in graph::find_inputs(inputs, &names(taken))?.into_iter().zip(inputs) {
            is_batch_free &= check_input(&taken[index], input)?;
            fed.push(graph::fed(taken[index].name(), input));
        }
        let mut read = Vec::new();
        for (index, output) in graph::find_outputs(outputs, &names(given))?.into_iter().zip(outputs)
        {
            let ((type_name, axes), name) = (type_of(&given[index]), given[index].name());
            let element = graph::check_output(name, &type_name, axes.as_deref(), output)?;
            // The first run says the shape: graphs do not always.
            read.push(TensorSpec { name: name.into(), element, shape: Vec::new() });
        }
        let interface = Interface { inputs: fed, outputs: read, is_batch_free };
        let mut session =
            OnnxRuntimeSession { session, interface: Arc::new(interface), batch: Vec::new() };
        let first = session.run_one(&session.zeros()).map_err(LoadError::FirstRun)?;
        let interface = Arc::make_mut(&mut session.interface);
        for output in &mut interface.outputs {
            let shape = first.get(&output.name).map(|tensor| tensor.shape.as_slice());
            output.shape = shape.unwrap_or_default().iter().copied().map(Some).collect();
        }
        let interface = Arc::clone(&session.interface);
        let network = OnnxRuntimeNetwork { runtime: self.clone(), graph, interface };
        Ok(LoadedNetwork { network: Box::new(network), session: Box::new(session) })
    }
}

/// A graph of which there is a session, and are made more.
struct OnnxRuntimeNetwork {
    runtime: OnnxRuntime,
    graph: Graph,
    interface: Arc<Interface>,
}

/// What a graph is fed and gives.
#[derive(Clone)]
struct Interface {
    inputs: Vec<TensorSpec>,
    outputs: Vec<TensorSpec>,
    /// Whether several items can be run as one tensor.
    is_batch_free: bool,
}

impl Network for OnnxRuntimeNetwork {
    fn inputs(&self) -> &[TensorSpec] {
        &self.interface.inputs
    }

    fn outputs(&self) -> &[TensorSpec] {
        &self.interface.outputs
    }

    fn session(&self, threads: usize) -> Result<Box<dyn Session>, InferError> {
        Ok(Box::new(OnnxRuntimeSession {
            session: self.runtime.session(&self.graph, threads).map_err(infer_error)?,
            interface: Arc::clone(&self.interface),
            batch: Vec::new(),
        }))
    }
}

struct OnnxRuntimeSession {
    session: ort::session::Session,
    interface: Arc<Interface>,
    /// Each input of a batch, its items one behind the other. Their memory is used again.
    batch: Vec<TensorData>,
}

impl Session for OnnxRuntimeSession {
    fn run(&mut self, batch: &[NamedTensors]) -> Result<Vec<NamedTensors>, InferError> {
        if batch.len() > 1 && self.interface.is_batch_free {
            return self.run_whole(batch);
        }
        batch.iter().map(|item| self.run_one(item)).collect()
    }
}

impl OnnxRuntimeSession {
    fn run_one(&mut self, item: &NamedTensors) -> Result<NamedTensors, InferError> {
        let interface = Arc::clone(&self.interface);
        let mut inputs = Vec::with_capacity(interface.inputs.len());
        for input in &interface.inputs {
            let Tensor { shape, data } = of(item, input)?;
            inputs.push((input, shape.clone(), data));
        }
        let mut items = run(&mut self.session, &interface.outputs, inputs, None)?;
        Ok(items.pop().unwrap_or_default())
    }

    fn run_whole(&mut self, batch: &[NamedTensors]) -> Result<Vec<NamedTensors>, InferError> {
        let (interface, mut all) = (Arc::clone(&self.interface), std::mem::take(&mut self.batch));
        let filled = fill(&mut all, &interface.inputs, batch);
        let ran = filled.and_then(|shapes| {
            let inputs = interface.inputs.iter().zip(shapes).zip(&all);
            let inputs = inputs.map(|((input, shape), data)| (input, shape, data)).collect();
            run(&mut self.session, &interface.outputs, inputs, Some(batch.len()))
        });
        self.batch = all;
        ran
    }

    /// An item of zeros.
    fn zeros(&self) -> NamedTensors {
        let zeros = |TensorSpec { name, element, shape }: &TensorSpec| {
            let shape: Vec<usize> = shape.iter().copied().flatten().collect();
            let data = TensorData::zeros(*element, shape.iter().product());
            (Arc::clone(name), Tensor { shape, data })
        };
        self.interface.inputs.iter().map(zeros).collect()
    }
}

fn of<'a>(item: &'a NamedTensors, input: &TensorSpec) -> Result<&'a Tensor, InferError> {
    let missing = || InferError::MissingInput { name: input.name.to_string() };
    item.get(&input.name).ok_or_else(missing)
}

/// Puts the items of `batch` one behind the other into `all`, input by input, and returns the shapes.
fn fill(
    all: &mut Vec<TensorData>,
    inputs: &[TensorSpec],
    batch: &[NamedTensors],
) -> Result<Vec<Vec<usize>>, InferError> {
    all.resize_with(inputs.len(), || TensorData::F32(Vec::new()));
    let mut shapes = Vec::with_capacity(inputs.len());
    for (input, all) in inputs.iter().zip(all) {
        match all.element() == input.element {
            true => all.clear(),
            false => *all = TensorData::zeros(input.element, 0),
        }
        let first = of(&batch[0], input)?;
        for item in batch {
            let tensor = of(item, input)?;
            // A tensor that a hook made in another shape would be read in that of its neighbour.
            if tensor.shape.get(1..) != first.shape.get(1..) || !all.append(&tensor.data) {
                return Err(InferError::MissingInput { name: input.name.to_string() });
            }
        }
        let mut shape = first.shape.clone();
        if let Some(first) = shape.first_mut() {
            *first = batch.len();
        }
        shapes.push(shape);
    }
    Ok(shapes)
}

/// The outputs of a run: of one item, or of each of `item_count` that were run as one tensor.
fn run(
    session: &mut ort::session::Session,
    outputs: &[TensorSpec],
    inputs: Vec<(&TensorSpec, Vec<usize>, &TensorData)>,
    item_count: Option<usize>,
) -> Result<Vec<NamedTensors>, InferError> {
    let mut fed = Vec::with_capacity(inputs.len());
    for (input, shape, data) in inputs {
        fed.push((Cow::from(&*input.name), view(shape, data).map_err(infer_error)?));
    }
    let answered = session.run(fed).map_err(infer_error)?;
    let mut items = vec![NamedTensors::default(); item_count.unwrap_or(1)];
    for output in outputs {
        let TensorSpec { name, element, .. } = output;
        let value = answered.get(name);
        let items_of = item_count.map(|count| (count, output.length().unwrap_or_default()));
        let value = value.ok_or(InferError::WrongCount { found: 0, wanted: 1 })?;
        let tensors = match element {
            ElementType::F32 => read(value, TensorData::F32, items_of),
            ElementType::F64 => read(value, TensorData::F64, items_of),
            ElementType::U8 => read(value, TensorData::U8, items_of),
            ElementType::I32 => read(value, TensorData::I32, items_of),
            ElementType::I64 => read(value, TensorData::I64, items_of),
            ElementType::Bool => read(value, TensorData::Bool, items_of),
        };
        for (item, tensor) in items.iter_mut().zip(tensors?) {
            item.insert(Arc::clone(name), tensor);
        }
    }
    Ok(items)
}

fn view<'a>(shape: Vec<usize>, data: &'a TensorData) -> ort::Result<SessionInputValue<'a>> {
    Ok(match data {
        TensorData::F32(numbers) => TensorRef::from_array_view((shape, numbers.as_slice()))?.into(),
        TensorData::F64(numbers) => TensorRef::from_array_view((shape, numbers.as_slice()))?.into(),
        TensorData::U8(numbers) => TensorRef::from_array_view((shape, numbers.as_slice()))?.into(),
        TensorData::I32(numbers) => TensorRef::from_array_view((shape, numbers.as_slice()))?.into(),
        TensorData::I64(numbers) => TensorRef::from_array_view((shape, numbers.as_slice()))?.into(),
        TensorData::Bool(numbers) => {
            TensorRef::from_array_view((shape, numbers.as_slice()))?.into()
        }
    })
}

/// The tensor in `value`; or its parts, one for each item, where so many items of so many numbers were run as one.
fn read<T: PrimitiveTensorElementType + Copy>(
    value: &DynValue,
    data: fn(Vec<T>) -> TensorData,
    items: Option<(usize, usize)>,
) -> Result<Vec<Tensor>, InferError> {
    let (shape, numbers) = value.try_extract_tensor::<T>().map_err(infer_error)?;
    let mut shape: Vec<usize> =
        shape.iter().map(|axis| usize::try_from(*axis).unwrap_or_default()).collect();
    let Some((item_count, length)) = items else {
        return Ok(vec![Tensor { shape, data: data(numbers.to_vec()) }]);
    };
    let wanted = item_count * length;
    match shape.first_mut() {
        Some(first) if *first == item_count && numbers.len() == wanted && length > 0 => *first = 1,
        _ => return Err(InferError::WrongCount { found: numbers.len(), wanted }),
    }
    let items = numbers.chunks(length);
    Ok(items.map(|item| Tensor { shape: shape.clone(), data: data(item.to_vec()) }).collect())
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
        TensorElementType::Bool => "bool",
        other => return (other.to_string(), Some(axes)),
    };
    (type_name.to_owned(), Some(axes))
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
