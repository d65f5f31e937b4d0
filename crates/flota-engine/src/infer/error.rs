//! What goes wrong with a network.

use std::error::Error;

use flota_core::{Code, OutputTooLarge};
use thiserror::Error;

use crate::Cause;

/// A model that is not served: its files do not fit its manifest. A restart heals none of these.
#[derive(Debug, Error)]
pub enum LoadError {
    /// Not an ONNX file.
    #[error("the weights are not an ONNX file: {0}")]
    NotOnnx(String),
    /// The graph was exported as it was trained: it drops numbers at random, or mixes the images of a batch.
    #[error(
        "the graph was exported in training mode (`{0}`), so that its answers are random or depend on other \
        images: export it after `model.eval()`"
    )]
    TrainingMode(&'static str),
    /// The ONNX file refers to files that are not among the weights.
    #[error(
        "the ONNX file keeps weights in {}: add `data: [{}]` to `weights`, beside `file`",
        quoted(.0), .0.join(", ")
    )]
    DataNotListed(Vec<String>),
    /// The ONNX file does not refer to files that are among the weights.
    #[error(
        "`data` lists {}, to which the ONNX file does not refer: take it off the list",
        quoted(.0)
    )]
    DataUnused(Vec<String>),
    /// The ONNX file refers to a place that may be outside of its folder.
    #[error(
        "the ONNX file keeps weights in `{0}`, outside of its folder: save it again with its \
        external data beside it"
    )]
    DataOutside(String),
    /// The ONNX file does not say where a tensor is.
    #[error("the ONNX file says that tensor `{tensor}` is in a file, and not in which")]
    DataWithoutPlace {
        /// Its name.
        tensor: String,
    },
    /// A file is not what the ONNX file says.
    #[error(
        "`{location}` has {size_bytes} bytes, and tensor `{tensor}` lies beyond them: it is of another \
        export, or not whole"
    )]
    DataTooShort {
        /// The file.
        location: String,
        /// What is not in it.
        tensor: String,
        /// Its size.
        size_bytes: usize,
    },
    /// A tensor has another size than its shape and type say.
    #[error(
        "the ONNX file says that tensor `{tensor}` has {length_bytes} bytes in `{location}`, and its shape \
        needs {needed_bytes}: the two files are of different exports"
    )]
    DataLength {
        /// The file.
        location: String,
        /// The tensor.
        tensor: String,
        /// By the place that is given.
        length_bytes: usize,
        /// By shape and type.
        needed_bytes: usize,
    },
    /// More external data than the format can take belongs to other places than the main graph.
    #[error(
        "the ONNX file keeps more than {limit_bytes} bytes of constants and of weights of subgraphs in \
        other files: save it with these as initializers of its main graph"
    )]
    TooMuchInside {
        /// The limit.
        limit_bytes: usize,
    },
    /// The graph runs what a compiler has put into a file of its own.
    #[error(
        "the graph has a node `EPContext`, which was compiled for one device: take the original"
    )]
    CompiledElsewhere,
    /// The graph has no input or output of that name.
    #[error("the graph has no {role} `{name}`; it has {known}")]
    NoSuchName {
        /// `input` or `output`.
        role: &'static str,
        /// The name in the manifest.
        name: String,
        /// The names in the graph.
        known: String,
    },
    /// The graph has no input or no output.
    #[error("the graph has no {role}: it is not the graph of a trained model")]
    None {
        /// `input` or `output`.
        role: &'static str,
    },
    /// The graph has several inputs or outputs and the manifest names none.
    #[error("the graph has more than one {role}: name one of {known} as `{role}.name`")]
    Ambiguous {
        /// `input` or `output`.
        role: &'static str,
        /// The names in the graph.
        known: String,
    },
    /// The graph takes more than an image.
    #[error(
        "the graph takes {count} inputs ({known}), and only graphs with one, the image, are served: export it \
        with the others fixed"
    )]
    ManyInputs {
        /// How many.
        count: usize,
        /// Their names.
        known: String,
    },
    /// The manifest's tensor is not what the graph takes.
    #[error("the manifest makes a tensor of {made}, but input `{name}` takes {taken}: {cure}")]
    InputMismatch {
        /// The input's name.
        name: String,
        /// Type and shape by the manifest.
        made: String,
        /// Type and shape by the graph.
        taken: String,
        /// What to write, or how to export.
        cure: String,
    },
    /// The output is not one vector of 32-bit floats for each image.
    #[error("output `{name}` is {found}, not a vector of 32-bit floats for each image: {cure}")]
    OutputMismatch {
        /// The output's name.
        name: String,
        /// Its type and shape.
        found: String,
        /// How to export.
        cure: &'static str,
    },
    /// The labels do not fit the output.
    #[error("there are {label_count} labels for {output_count} outputs")]
    LabelCount {
        /// How many labels there are.
        label_count: usize,
        /// How many numbers the network answers.
        output_count: usize,
    },
    /// A threshold is given for a label that there is not.
    #[error("`output.thresholds` names `{0}`, which is not among the labels")]
    NoSuchLabel(String),
    /// The model needs code that this program does not have.
    #[error(
        "the model needs revision {revision} of code of its own, and {}: start `{binary} --model-dir DIR`, \
        which `cargo build --release -p {binary}` builds",
        in_program(*.found)
    )]
    NeedsCode {
        /// By its manifest.
        revision: u32,
        /// What this program has of it.
        found: Option<u32>,
        /// The program that has the code.
        binary: String,
    },
    /// The model's own code does not take what the manifest says.
    #[error("`parameters` do not fit the model's code: {0}")]
    CodeParameters(String),
    /// A prediction would not fit.
    #[error("a prediction may grow too large: {0}")]
    TooLarge(OutputTooLarge),
    /// An embedding would not fit a prediction.
    #[error("an embedding of {length} numbers, at most {limit} fit a prediction {cure}")]
    EmbeddingTooLong {
        /// How long it is.
        length: usize,
        /// How long it may be.
        limit: usize,
        /// As it is written, and what would be shorter.
        cure: &'static str,
    },
    /// The engine cannot run the graph, with all that it says of the causes.
    #[error("the engine cannot run this graph: {0}")]
    Engine(String),
    /// tract lacks what the graph needs, or gets it wrong.
    #[error("{0}; this model needs ONNX Runtime: run `flota engine install`")]
    NeedsOnnxRuntime(String),
    /// The graph was loaded and then failed on a black image.
    #[error("the graph fails on a first image: {}", in_full(.0))]
    FirstRun(InferError),
}

/// A network that failed on an image. The sentence is safe for the client, with nothing in it of
/// what the engine says; that is the source, for the log.
#[derive(Debug, Error)]
pub enum InferError {
    /// The engine reported an error.
    #[error("the model failed on this image")]
    Engine {
        /// All that the engine says of the causes.
        source: Cause,
    },
    /// The engine gave up in a way that it should not.
    #[error("the model gave up on this image")]
    Panicked,
    /// The network answered something that is no number.
    #[error("the network answered {value} at index {index}")]
    NotFinite {
        /// `NaN` or an infinity.
        value: f32,
        /// Where in the answer.
        index: usize,
    },
    /// The embedding does not fit the encoding that the manifest asks for.
    #[error("the network answered {value} at index {index}, beyond 65504, the largest of 16 bits")]
    BeyondF16 {
        /// The number.
        value: f32,
        /// Where in the answer.
        index: usize,
    },
    /// The network was not fed all that it takes.
    #[error("the model was not given its input `{name}`")]
    MissingInput {
        /// What it takes.
        name: String,
    },
    /// The model's own code refused the image.
    #[error("the model's code failed on this image")]
    Code {
        /// What the code says.
        source: Cause,
    },
    /// The network answered more or less than it promised.
    #[error("the network answered {found} numbers in place of {wanted}")]
    WrongCount {
        /// How many were answered.
        found: usize,
        /// How many were promised.
        wanted: usize,
    },
}

impl InferError {
    /// The stable code of the failure.
    pub fn code(&self) -> Code {
        Code::InferFailed
    }
}

/// Which revision of a model's code this program has.
fn in_program(found: Option<u32>) -> String {
    match found {
        Some(found) => format!("this program has revision {found}"),
        None => "this program does not have it".to_owned(),
    }
}

/// The sentence and the cause after it, for the author of the manifest.
fn in_full(error: &InferError) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// Names as a sentence lists them.
pub(super) fn quoted(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}
