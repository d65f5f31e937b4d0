//! The manifest of a model, `model.yaml`: checked whole before anything is started.

mod asset;
mod bounds;
mod document;
mod error;
mod input;
mod output;
#[cfg(test)]
mod tests;
mod weights;

pub use asset::{Asset, LabelLines, LabelSource};
pub use bounds::{BatchSpec, Limits};
pub use document::{DEFAULT_ATTEMPTS, Manifest};
pub use error::ManifestError;
pub use input::{
    Alpha, ColorManagement, ColorOrder, Crop, Dtype, Filter, InputSpec, JpegSpec, Layout, Resize,
};
pub use output::{OutputKind, OutputSpec, Threshold};
pub use weights::{DataFile, WeightsSource};
