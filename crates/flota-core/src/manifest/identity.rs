//! The digest of what a model computes.

use serde::Serialize;

use super::{
    Alpha, ColorManagement, ColorOrder, Crop, Dtype, Format, InputSpec, JpegSpec, LabelSource,
    Layout, Manifest, Resize, input::is_default,
};
use crate::Sha256;

impl Manifest {
    /// The digest of what the model computes: the hash of its weights, its labels, its pre- and
    /// postprocessing, and the revision and parameters of its code. Batching, limits and the
    /// spelling of the manifest do not change it. `weights` is
    /// [`WeightsSource::hash`](super::WeightsSource::hash) of all weight files; `labels` is the
    /// hash of the label file, if there is one. Inline labels are hashed from the manifest.
    pub fn digest(&self, weights: &Sha256, labels: Option<&Sha256>) -> Sha256 {
        let (inline, skip_words) = match &self.labels {
            None => (None, 0),
            Some(inline @ (LabelSource::Inline(_) | LabelSource::Metadata(_))) => (Some(inline), 0),
            Some(LabelSource::Lines(lines)) => (None, lines.skip_words),
        };
        let input = match self.format {
            Format::One => Input::One(InputOfFormat1::of(&self.input)),
            Format::Two => Input::Two(&self.input),
        };
        let identity = (self.format, weights, labels, inline, skip_words, input, &self.output);
        let canonical = match &self.code {
            None => serde_json::to_vec(&identity),
            Some(code) => serde_json::to_vec(&(identity, code)),
        };
        Sha256::of(&canonical.expect("plain data is always JSON"))
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum Input<'a> {
    One(InputOfFormat1<'a>),
    Two(&'a InputSpec),
}

/// The fields of an [`InputSpec`] in format 1, as they were when digests were introduced. Frozen: a
/// change of a name or of the order would change every digest.
#[derive(Serialize)]
struct InputOfFormat1<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    layout: Layout,
    width: u32,
    height: u32,
    resize: ResizeOfFormat1,
    filter: &'static str,
    color: ColorOrder,
    dtype: Dtype,
    scale: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    mean: Option<&'a [f32]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    std: Option<&'a [f32]>,
    #[serde(skip_serializing_if = "JpegSpec::is_usual")]
    jpeg: JpegSpec,
    #[serde(skip_serializing_if = "is_default")]
    alpha: Alpha,
    #[serde(skip_serializing_if = "is_default")]
    color_profile: ColorManagement,
}

#[derive(Serialize)]
struct ResizeOfFormat1 {
    mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    crop: Option<Crop>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fill: Option<[u8; 3]>,
}

impl<'a> InputOfFormat1<'a> {
    fn of(input: &'a InputSpec) -> Self {
        let plain = |mode| ResizeOfFormat1 { mode, size: None, crop: None, fill: None };
        let resize = match input.resize {
            Resize::ShortestEdge { size, crop, .. } => {
                ResizeOfFormat1 { size: Some(size), crop: Some(crop), ..plain("shorter_side") }
            }
            Resize::Exact => plain("exact"),
            Resize::Letterbox { fill } => {
                ResizeOfFormat1 { fill: Some(fill), ..plain("letterbox") }
            }
        };
        Self {
            name: input.name.as_deref(),
            layout: input.layout,
            width: input.width,
            height: input.height,
            resize,
            // Format 1 has no other filters; such a manifest is rejected earlier.
            filter: input.filter.first_name().unwrap_or_default(),
            color: input.color,
            dtype: input.dtype,
            scale: input.scale,
            mean: input.mean.as_deref(),
            std: input.std.as_deref(),
            jpeg: input.jpeg,
            alpha: input.alpha,
            color_profile: input.color_profile,
        }
    }
}
