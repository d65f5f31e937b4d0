//! From an image to the tensor that a network is fed.

use flota_core::{Dtype, Filter, InputSpec, Layout};

use super::{
    align_corners,
    normalize::{self, Normalizer},
    placement::Placement,
    resample, without_antialias,
};
use crate::{DecodedImage, Tensor, TensorData};

/// The shape of the tensors that `spec` asks for.
pub(crate) fn shape_of(spec: &InputSpec) -> [usize; 4] {
    let (width, height) = (spec.width as usize, spec.height as usize);
    match spec.layout {
        Layout::Nchw => [1, spec.color.channel_count(), height, width],
        Layout::Nhwc => [1, height, width, spec.color.channel_count()],
    }
}

/// Resizes, crops or pads, and normalises `image` as `spec` says. `spec` must have been checked,
/// as every parsed manifest's is.
pub fn preprocess(image: &DecodedImage, spec: &InputSpec) -> Tensor {
    let placement = Placement::of(image.original, spec);
    let data = match (spec.filter, spec.dtype) {
        (Filter::BilinearAlignCorners, Dtype::F32) => {
            let values = align_corners::resample(image, &placement);
            TensorData::F32(Normalizer::of(spec).floats(&values))
        }
        (Filter::BilinearAlignCorners, Dtype::U8) => {
            let values = align_corners::resample(image, &placement);
            let rounded: Vec<u8> = values.iter().map(|value| value.round() as u8).collect();
            TensorData::U8(normalize::bytes(&rounded, spec))
        }
        (_, Dtype::F32) => {
            let pixels = rounded(image, &placement, spec);
            TensorData::F32(Normalizer::of(spec).pixels(&pixels))
        }
        (_, Dtype::U8) => TensorData::U8(normalize::bytes(&rounded(image, &placement, spec), spec)),
    };
    Tensor { shape: shape_of(spec).to_vec(), data }
}

/// The canvas of `placement` with `image` on it, rounded to bytes.
fn rounded(image: &DecodedImage, placement: &Placement, spec: &InputSpec) -> Vec<u8> {
    if spec.filter.is_antialiased() {
        resample::resample(image, placement, spec)
    } else {
        without_antialias::resample(image, placement, spec.filter)
    }
}
