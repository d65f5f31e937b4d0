use flota_core::{InputSpec, OutputSpec};
use flota_worker::Structure;

/// A made image, and what the network answers before any softmax or sigmoid of ours.
pub(super) type Answer = (&'static str, Vec<f32>);

/// All that is known of a network that was run on generated images.
pub(super) struct Evidence<'a> {
    pub input: &'a InputSpec,
    pub output: &'a OutputSpec,
    /// Empty for an embedding.
    pub labels: &'a [String],
    pub structure: &'a Structure,
    /// To images that differ widely.
    pub answers: &'a [Answer],
    /// To tensors far beyond those of images; empty where nobody asked.
    pub beyond: &'a [Vec<f32>],
}

impl Evidence<'_> {
    /// How a message names the number at `index`.
    pub fn name(&self, index: usize) -> String {
        match self.labels.get(index) {
            Some(label) => format!("`{label}`"),
            None => format!("number {index}"),
        }
    }
}
