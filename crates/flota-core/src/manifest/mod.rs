//! The manifest of a model, `model.yaml`. It is checked as a whole before anything is started.

mod asset;
mod bounds;
mod code;
mod document;
mod error;
mod format;
mod identity;
mod input;
mod interpolation;
mod json_once;
mod label_file;
mod output;
mod place;
mod resize;
#[cfg(test)]
mod tests;
mod weights;

pub use asset::{Asset, LabelLines, LabelMetadata, LabelSource};
pub use bounds::{BatchSpec, Limits};
pub use code::{CodeSpec, Parameter};
pub use document::{DEFAULT_ATTEMPTS, Manifest};
pub use error::ManifestError;
pub use format::Format;
pub use input::{Alpha, ColorManagement, ColorOrder, Dtype, InputSpec, JpegSpec, Layout};
pub use interpolation::Filter;
pub use output::{Normalize, OutputKind, OutputSpec, Threshold};
pub use resize::{Crop, Resize, Resizer, Rounding};
pub use weights::{DataFile, WeightsSource};
