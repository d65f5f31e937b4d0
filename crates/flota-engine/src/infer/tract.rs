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

use flota_core::{Dtype, InputSpec, OutputSpec};
use tract_onnx::{
    Onnx,
    pb::{GraphProto, ModelProto, ValueInfoProto, tensor_shape_proto::dimension, type_proto},
    prelude::{
        DatumType, Framework, InferenceFact, InferenceModel, InferenceModelExt, TValue,
        Tensor as TractTensor, TractError, TractResult, TypedModel, TypedRunnableModel, onnx, tvec,
    },
    tract_core::transform::get_transform,
};

use super::{Engine, InferError, LoadError, Session, graph};
use crate::{Tensor, TensorData, Weights, preprocess::shape_of};

/// tract's name for rewriting convolutions to run channel-last.
const CHANNEL_LAST: &str = "conv_nhwc";

/// A plan, optimised for one image.
pub(super) struct TractEngine {
    plan: Arc<TypedRunnableModel>,
    output_count: usize,
}

impl TractEngine {
    pub(super) fn load(
        weights: &Weights,
        input: &InputSpec,
        output: &OutputSpec,
    ) -> Result<Self, LoadError> {
        let onnx = weights.in_one()?;
        caught(|| Self::optimize(&onnx, input, output)).unwrap_or_else(|| Err(needs_onnx_runtime()))
    }

    fn optimize(bytes: &[u8], input: &InputSpec, output: &OutputSpec) -> Result<Self, LoadError> {
        let onnx = loader();
        let proto = onnx
            .proto_model_for_read(&mut Cursor::new(bytes))
            .map_err(|error| LoadError::NotOnnx(one_line(&error.to_string())))?;
        if let Some(reason) = denied::find(&proto, &|name| has_operator(&onnx, name)) {
            return Err(LoadError::NeedsOnnxRuntime(reason));
        }
        let output_index = check_names(&proto, input, output)?;

        let mut model = onnx.model_for_proto_model(&proto).map_err(load_error)?;
        let outlet = model.output_outlets().map_err(load_error)?[output_index];
        model.select_output_outlets(&[outlet]).map_err(load_error)?;
        let dtype = match input.dtype {
            Dtype::F32 => DatumType::F32,
            Dtype::U8 => DatumType::U8,
        };
        model
            .set_input_fact(0, InferenceFact::dt_shape(dtype, shape_of(input)))
            .map_err(load_error)?;
        let typed = optimized(model).map_err(load_error)?;

        let fact = typed.output_fact(0).map_err(load_error)?;
        let shape = fact.shape.as_concrete().unwrap_or_default().to_vec();
        let output_count = shape.iter().product();
        if fact.datum_type != DatumType::F32 || shape.is_empty() || output_count == 0 {
            let name = output.name.clone().unwrap_or_else(|| output_index.to_string());
            let axes: Vec<_> = shape.iter().copied().map(Some).collect();
            let type_name = match fact.datum_type {
                DatumType::F32 => "float".to_owned(),
                other => format!("{other:?}").to_lowercase(),
            };
            return Err(graph::output_mismatch(&name, &type_name, Some(&axes)));
        }
        let plan = TypedRunnableModel::new(typed).map_err(load_error)?;
        Ok(Self { plan, output_count })
    }
}

impl Engine for TractEngine {
    fn output_count(&self) -> usize {
        self.output_count
    }

    fn session(&self, _threads: usize) -> Result<Box<dyn Session>, InferError> {
        let plan = Arc::clone(&self.plan);
        Ok(Box::new(TractSession { plan, output_count: self.output_count }))
    }
}

struct TractSession {
    plan: Arc<TypedRunnableModel>,
    output_count: usize,
}

impl Session for TractSession {
    fn run(&mut self, batch: &[Tensor]) -> Result<Vec<Vec<f32>>, InferError> {
        batch.iter().map(|tensor| self.run_one(tensor)).collect()
    }
}

impl TractSession {
    fn run_one(&self, tensor: &Tensor) -> Result<Vec<f32>, InferError> {
        let tensor = match &tensor.data {
            TensorData::F32(numbers) => TractTensor::from_shape(&tensor.shape, numbers),
            TensorData::U8(numbers) => TractTensor::from_shape(&tensor.shape, numbers),
        };
        let input: TValue = tensor.map_err(infer_error)?.into();
        let answered = caught(|| self.plan.run(tvec!(input)));
        let outputs = answered.ok_or(InferError::Panicked)?.map_err(infer_error)?;
        let numbers = match outputs.first() {
            Some(output) => output
                .try_as_plain_ram()
                .map_err(infer_error)?
                .as_slice::<f32>()
                .map_err(infer_error)?
                .to_vec(),
            None => Vec::new(),
        };
        if numbers.len() != self.output_count {
            let (found, wanted) = (numbers.len(), self.output_count);
            return Err(InferError::WrongCount { found, wanted });
        }
        Ok(numbers)
    }
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

/// Checks what the file says of its inputs and outputs, and returns the index of the output.
fn check_names(
    proto: &ModelProto,
    input: &InputSpec,
    output: &OutputSpec,
) -> Result<usize, LoadError> {
    let missing = || LoadError::NotOnnx("there is no graph in it".to_owned());
    let onnx_graph = proto.graph.as_ref().ok_or_else(missing)?;
    let inputs = fed_inputs(onnx_graph);
    let names: Vec<String> = inputs.iter().map(|value| value.name.clone()).collect();
    let index = graph::find_input(input.name.as_deref(), &names)?;
    check_input(inputs[index], input)?;
    let names: Vec<String> = onnx_graph.output.iter().map(|value| value.name.clone()).collect();
    let index = graph::find("output", output.name.as_deref(), &names)?;
    match tensor_type(&onnx_graph.output[index]) {
        Some((type_name, shape)) if type_name != "float" => {
            Err(graph::output_mismatch(&names[index], &type_name, shape.as_deref()))
        }
        _ => Ok(index),
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
