//! The engine that needs nothing but Rust: tract.
//!
//! Batch 1 with a concrete shape and one plan shared by all threads is what it is fastest at on a
//! CPU; a batch is run image by image.

mod denied;
#[cfg(test)]
mod node_tests;

use std::{
    cell::Cell,
    collections::BTreeSet,
    io::Cursor,
    panic::{self, AssertUnwindSafe, PanicHookInfo},
    sync::{Arc, Once},
};

use flota_core::InputSpec;
use tract_onnx::{
    Onnx,
    pb::{GraphProto, ModelProto, ValueInfoProto, tensor_shape_proto::dimension, type_proto},
    prelude::{
        DatumType, Framework, InferenceFact, InferenceModel, InferenceModelExt,
        Tensor as TractTensor, TractError, TractResult, TypedModel, TypedRunnableModel, onnx, tvec,
    },
    tract_core::transform::get_transform,
    tract_hir::internal::DimLike,
};

use super::{InferError, LoadError, Network, OutputRequest, Session, graph};
use crate::{ElementType, NamedTensors, Tensor, TensorData, TensorSpec, Weights};

/// tract's name for rewriting convolutions to run channel-last.
const CHANNEL_LAST: &str = "conv_nhwc";

/// A plan, optimised for one item.
pub(super) struct TractNetwork {
    plan: Arc<TypedRunnableModel>,
    interface: Arc<Interface>,
}

/// What a plan is fed, in the order of the graph, and what it gives, in the order of the requests.
struct Interface {
    inputs: Vec<TensorSpec>,
    outputs: Vec<TensorSpec>,
}

impl TractNetwork {
    pub(super) fn load(
        weights: &Weights,
        inputs: &[InputSpec],
        outputs: &[OutputRequest<'_>],
    ) -> Result<Self, LoadError> {
        let onnx = weights.in_one()?;
        caught(|| Self::optimize(&onnx, inputs, outputs))
            .unwrap_or_else(|| Err(needs_onnx_runtime()))
    }

    fn optimize(
        bytes: &[u8],
        inputs: &[InputSpec],
        outputs: &[OutputRequest<'_>],
    ) -> Result<Self, LoadError> {
        let onnx = loader();
        let proto = onnx
            .proto_model_for_read(&mut Cursor::new(bytes))
            .map_err(|error| LoadError::NotOnnx(one_line(&error.to_string())))?;
        if let Some(reason) = denied::find(&proto, &|name| has_operator(&onnx, name)) {
            return Err(LoadError::NeedsOnnxRuntime(reason));
        }
        let Declared { inputs, outputs } = Declared::of(&proto, inputs, outputs)?;

        let mut model = onnx.model_for_proto_model(&proto).map_err(load_error)?;
        let all = model.output_outlets().map_err(load_error)?.to_vec();
        let outlets: Vec<_> = outputs.iter().map(|output| all[output.index]).collect();
        model.select_output_outlets(&outlets).map_err(load_error)?;
        for (place, input) in inputs.iter().enumerate() {
            let shape: Vec<usize> = input.shape.iter().copied().flatten().collect();
            let fact = InferenceFact::dt_shape(datum_type(input.element), shape);
            model.set_input_fact(place, fact).map_err(load_error)?;
        }
        let typed = optimized(model).map_err(load_error)?;

        let mut given = Vec::new();
        for (place, output) in outputs.into_iter().enumerate() {
            let fact = typed.output_fact(place).map_err(load_error)?;
            let shape: Vec<_> = fact.shape.iter().map(|axis| axis.to_usize().ok()).collect();
            let type_name = match element_of(fact.datum_type) {
                Some(element) => element.onnx_name().to_owned(),
                None => format!("{:?}", fact.datum_type).to_lowercase(),
            };
            let request = OutputRequest { name: Some(&output.name), element: output.asked };
            let element = graph::check_output(&output.name, &type_name, Some(&shape), &request)?;
            given.push(TensorSpec { name: output.name.as_str().into(), element, shape });
        }
        let plan = TypedRunnableModel::new(typed).map_err(load_error)?;
        Ok(Self { plan, interface: Arc::new(Interface { inputs, outputs: given }) })
    }
}

impl Network for TractNetwork {
    fn inputs(&self) -> &[TensorSpec] {
        &self.interface.inputs
    }

    fn outputs(&self) -> &[TensorSpec] {
        &self.interface.outputs
    }

    fn session(&self, _threads: usize) -> Result<Box<dyn Session>, InferError> {
        let (plan, interface) = (Arc::clone(&self.plan), Arc::clone(&self.interface));
        Ok(Box::new(TractSession { plan, interface }))
    }
}

struct TractSession {
    plan: Arc<TypedRunnableModel>,
    interface: Arc<Interface>,
}

impl Session for TractSession {
    fn run(&mut self, batch: &[NamedTensors]) -> Result<Vec<NamedTensors>, InferError> {
        batch.iter().map(|item| self.run_one(item)).collect()
    }
}

impl TractSession {
    fn run_one(&self, item: &NamedTensors) -> Result<NamedTensors, InferError> {
        let mut inputs = tvec!();
        for TensorSpec { name, .. } in &self.interface.inputs {
            let missing = || InferError::MissingInput { name: name.to_string() };
            let tensor = item.get(name).ok_or_else(missing)?;
            inputs.push(to_tract(tensor).map_err(infer_error)?.into());
        }
        let answered = caught(|| self.plan.run(inputs));
        let answered = answered.ok_or(InferError::Panicked)?.map_err(infer_error)?;
        let outputs = &self.interface.outputs;
        if answered.len() != outputs.len() {
            let (found, wanted) = (answered.len(), outputs.len());
            return Err(InferError::WrongCount { found, wanted });
        }
        let named =
            outputs.iter().zip(&answered).map(|(TensorSpec { name, element, .. }, value)| {
                Ok((Arc::clone(name), of_tract(value, *element).map_err(infer_error)?))
            });
        named.collect()
    }
}

fn to_tract(tensor: &Tensor) -> TractResult<TractTensor> {
    let shape = &tensor.shape;
    match &tensor.data {
        TensorData::F32(numbers) => TractTensor::from_shape(shape, numbers),
        TensorData::F64(numbers) => TractTensor::from_shape(shape, numbers),
        TensorData::U8(numbers) => TractTensor::from_shape(shape, numbers),
        TensorData::I32(numbers) => TractTensor::from_shape(shape, numbers),
        TensorData::I64(numbers) => TractTensor::from_shape(shape, numbers),
        TensorData::Bool(numbers) => TractTensor::from_shape(shape, numbers),
    }
}

fn of_tract(value: &TractTensor, element: ElementType) -> TractResult<Tensor> {
    let plain = value.try_as_plain_ram()?;
    let data = match element {
        ElementType::F32 => TensorData::F32(plain.as_slice()?.to_vec()),
        ElementType::F64 => TensorData::F64(plain.as_slice()?.to_vec()),
        ElementType::U8 => TensorData::U8(plain.as_slice()?.to_vec()),
        ElementType::I32 => TensorData::I32(plain.as_slice()?.to_vec()),
        ElementType::I64 => TensorData::I64(plain.as_slice()?.to_vec()),
        ElementType::Bool => TensorData::Bool(plain.as_slice()?.to_vec()),
    };
    Ok(Tensor { shape: value.shape().to_vec(), data })
}

fn datum_type(element: ElementType) -> DatumType {
    match element {
        ElementType::F32 => DatumType::F32,
        ElementType::F64 => DatumType::F64,
        ElementType::U8 => DatumType::U8,
        ElementType::I32 => DatumType::I32,
        ElementType::I64 => DatumType::I64,
        ElementType::Bool => DatumType::Bool,
    }
}

fn element_of(datum_type: DatumType) -> Option<ElementType> {
    Some(match datum_type {
        DatumType::F32 => ElementType::F32,
        DatumType::F64 => ElementType::F64,
        DatumType::U8 => ElementType::U8,
        DatumType::I32 => ElementType::I32,
        DatumType::I64 => ElementType::I64,
        DatumType::Bool => ElementType::Bool,
        _ => return None,
    })
}

fn loader() -> Onnx {
    // Shapes that exporters note for inner values contradict a concrete batch.
    onnx().with_ignore_value_info(true)
}

/// Whether tract has an operator of this name.
fn has_operator(onnx: &Onnx, name: &str) -> bool {
    onnx.op_register.0.contains_key(name)
}

/// Convolutions run channel-last, which is what this engine does fastest: measured, a third less
/// time for depthwise networks and a fifth less for others.
fn optimized(model: InferenceModel) -> TractResult<TypedModel> {
    let mut typed = model.into_typed()?.into_decluttered()?;
    if let Some(transform) = get_transform(CHANNEL_LAST)? {
        typed.transform(&*transform)?;
    }
    let typed = typed.into_decluttered()?;
    check_facts(&typed)?;
    typed.into_optimized()
}

/// tract gets some operators wrong on floats of 16 bits, and on tensors without elements, which are
/// rare: graphs with either are refused.
fn check_facts(typed: &TypedModel) -> TractResult<()> {
    let facts = typed.nodes.iter().flat_map(|node| &node.outputs).map(|outlet| &outlet.fact);
    for fact in facts {
        let is_empty = fact.shape.as_concrete().is_some_and(|shape| shape.contains(&0));
        if fact.datum_type == DatumType::F16 || is_empty {
            return Err(TractError::msg(format!(
                "tensors like {fact:?} are not known to be right"
            )));
        }
    }
    Ok(())
}

/// What the file says of the inputs that are fed, in its order, and of the outputs that are asked for.
struct Declared {
    inputs: Vec<TensorSpec>,
    outputs: Vec<DeclaredOutput>,
}

struct DeclaredOutput {
    /// Its place in the file.
    index: usize,
    name: String,
    /// The type that its numbers must have.
    asked: Option<ElementType>,
}

impl Declared {
    fn of(
        proto: &ModelProto,
        inputs: &[InputSpec],
        outputs: &[OutputRequest<'_>],
    ) -> Result<Self, LoadError> {
        let missing = || LoadError::NotOnnx("there is no graph in it".to_owned());
        let onnx_graph = proto.graph.as_ref().ok_or_else(missing)?;
        let fed = fed_inputs(onnx_graph);
        let names: Vec<String> = fed.iter().map(|value| value.name.clone()).collect();
        let mut by_place = Vec::new();
        for (index, input) in graph::find_inputs(inputs, &names)?.into_iter().zip(inputs) {
            check_input(fed[index], input)?;
            by_place.push((index, graph::fed(&names[index], input)));
        }
        by_place.sort_by_key(|(index, _)| *index);
        let inputs = by_place.into_iter().map(|(_, input)| input).collect();

        let names: Vec<String> = onnx_graph.output.iter().map(|value| value.name.clone()).collect();
        let mut declared = Vec::new();
        for (index, output) in graph::find_outputs(outputs, &names)?.into_iter().zip(outputs) {
            let name = names[index].clone();
            // A file need not say; what the plan gives is checked in any case.
            if let Some((type_name, shape)) = tensor_type(&onnx_graph.output[index]) {
                graph::check_output(&name, &type_name, shape.as_deref(), output)?;
            }
            declared.push(DeclaredOutput { index, name, asked: output.element });
        }
        Ok(Self { inputs, outputs: declared })
    }
}

/// The inputs that are no weights: older files list those among the inputs too.
fn fed_inputs(onnx_graph: &GraphProto) -> Vec<&ValueInfoProto> {
    let weights: BTreeSet<&str> =
        onnx_graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
    onnx_graph.input.iter().filter(|value| !weights.contains(value.name.as_str())).collect()
}

fn check_input(value: &ValueInfoProto, input: &InputSpec) -> Result<(), LoadError> {
    let Some((type_name, shape)) = tensor_type(value) else { return Ok(()) };
    graph::check_input(&value.name, &type_name, shape.as_deref(), input)
}

/// The type and the shape of a tensor, as far as the file says them.
fn tensor_type(value: &ValueInfoProto) -> Option<(String, Option<Vec<Option<usize>>>)> {
    let type_proto::Value::TensorType(tensor) = value.r#type.as_ref()?.value.as_ref()?;
    let shape = tensor.shape.as_ref().map(|shape| {
        let length = |value: &Option<dimension::Value>| match value {
            Some(dimension::Value::DimValue(length)) if *length > 0 => {
                usize::try_from(*length).ok()
            }
            _ => None,
        };
        shape.dim.iter().map(|axis| length(&axis.value)).collect()
    });
    Some((type_name(tensor.elem_type), shape))
}

/// The names that ONNX gives to the types of its tensors (`TensorProto.DataType`).
fn type_name(elem_type: i32) -> String {
    let name = match elem_type {
        1 => "float",
        2 => "uint8",
        3 => "int8",
        6 => "int32",
        7 => "int64",
        9 => "bool",
        10 => "float16",
        11 => "double",
        16 => "bfloat16",
        other => return format!("type {other}"),
    };
    name.to_owned()
}

thread_local! {
    static IS_IN_TRACT: Cell<bool> = const { Cell::new(false) };
}

/// What `run` returns; `None` where it panics, which only a log at level `debug` tells more of.
fn caught<T>(run: impl FnOnce() -> T) -> Option<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |panic: &PanicHookInfo<'_>| {
            if IS_IN_TRACT.get() {
                tracing::debug!(%panic, "tract panicked");
            } else {
                usual(panic);
            }
        }));
    });
    IS_IN_TRACT.set(true);
    let ran = panic::catch_unwind(AssertUnwindSafe(run));
    IS_IN_TRACT.set(false);
    ran.ok()
}

/// tract's errors are dumps of many lines, for its own makers: a user gets a sentence.
fn load_error(error: TractError) -> LoadError {
    tracing::debug!("tract refuses the graph: {error:?}");
    needs_onnx_runtime()
}

fn needs_onnx_runtime() -> LoadError {
    LoadError::NeedsOnnxRuntime("tract cannot run this graph".to_owned())
}

fn infer_error(error: TractError) -> InferError {
    tracing::debug!("tract fails on an image: {error:?}");
    InferError::Engine { source: one_line(&error.to_string()).into() }
}

/// The first line of `text`, cut where it is long.
fn one_line(text: &str) -> String {
    const MAX_CHARS: usize = 200;
    text.lines().next().unwrap_or_default().chars().take(MAX_CHARS).collect()
}
