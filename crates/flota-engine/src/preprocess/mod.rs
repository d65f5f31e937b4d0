//! From upright pixels to the tensor that a network was trained on.

mod align_corners;
mod normalize;
mod pillow;
mod placement;
mod resample;
mod tensor;
#[cfg(test)]
mod tests;
mod without_antialias;

#[cfg(feature = "turbojpeg")]
pub(crate) use placement::scaled_size;
pub use tensor::preprocess;
pub(crate) use tensor::shape_of;
