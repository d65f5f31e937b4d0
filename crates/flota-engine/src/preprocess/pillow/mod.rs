//! Antialiased resizing with the arithmetic of Pillow 13, byte for byte: weights of 22 bits, and two passes
//! with bytes between them.
//!
//! Of the two passes, what a crop cuts off is left out where it decides nothing, and what is made is what would
//! have been cut out of the whole.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod portable;
mod resize;
mod rows;
#[cfg(test)]
mod tests;
mod weights;

pub(super) use self::{resize::resize, weights::Axis};
