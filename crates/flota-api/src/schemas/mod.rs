//! The domain's types as OpenAPI describes their JSON. The domain knows nothing of OpenAPI, and nothing makes
//! one of these; a generated client and a fuzzer hold them to what is answered (`tests/openapi`).

#![allow(dead_code, missing_docs, reason = "what is described, not what is made")]

mod manifest;
mod words;

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr,
        schema::{AdditionalProperties, ObjectBuilder, Schema},
    },
};

pub use manifest::Manifest;
pub use words::{
    CallbackEvent, CallbackState, Code, Priority, ProblemCode, Reason, Status, StopReason,
};

/// The labelled output of a model; `kind` says which.
#[derive(ToSchema)]
#[serde(untagged)]
#[schema(discriminator(
    property_name = "kind",
    mapping(
        ("softmax" = "#/components/schemas/ScoresOutput"),
        ("sigmoid" = "#/components/schemas/ScoresOutput"),
        ("scores" = "#/components/schemas/ScoresOutput"),
        ("regression" = "#/components/schemas/ScoresOutput"),
        ("embedding" = "#/components/schemas/EmbeddingOutput"),
    )
))]
pub enum Output {
    Scores(ScoresOutput),
    Embedding(EmbeddingOutput),
}

/// A score for each listed label.
#[derive(ToSchema)]
pub struct ScoresOutput {
    kind: ScoresKind,
    /// The listed labels: the highest score first, those of a regression in the order of the labels.
    scores: Vec<LabelScore>,
}

/// `softmax`: probabilities of labels that exclude each other. `sigmoid`: a probability for each label by
/// itself. `scores`: on the model's own scale. `regression`: measured values.
#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScoresKind {
    Softmax,
    Sigmoid,
    Scores,
    Regression,
}

/// What a model says of one label.
#[derive(ToSchema)]
pub struct LabelScore {
    label: String,
    /// Its place in the model's output, from 0.
    index: u32,
    score: f32,
    /// Whether the score is beyond the label's threshold; absent where it has none.
    #[schema(nullable = false)]
    flagged: Option<bool>,
    /// What the person who took the image can do about a flagged label; absent where the model does not say.
    #[schema(nullable = false)]
    advice: Option<String>,
}

/// A vector for comparing images: `vector`, or `encoding`, `length` and `data`.
#[derive(ToSchema)]
pub struct EmbeddingOutput {
    kind: EmbeddingKind,
    #[schema(nullable = false)]
    vector: Option<Vec<f32>>,
    #[schema(nullable = false)]
    encoding: Option<EmbeddingEncoding>,
    /// How many numbers `data` has.
    #[schema(nullable = false)]
    length: Option<u32>,
    /// Base64 of little-endian floating-point numbers.
    #[schema(nullable = false)]
    data: Option<String>,
}

#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EmbeddingKind {
    Embedding,
}

/// Of how many bits the numbers in `data` are.
#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EmbeddingEncoding {
    Base64F32,
    Base64F16,
}

/// What was seen of an image.
#[derive(ToSchema)]
pub struct ImageFacts {
    /// In pixels, upright.
    #[schema(minimum = 1)]
    width: u32,
    /// In pixels, upright.
    #[schema(minimum = 1)]
    height: u32,
    #[schema(example = "jpeg")]
    format: String,
    /// Of the encoded image.
    size_bytes: u64,
    /// In what way people may see another image than the model did, such as `animated`; absent where in none.
    #[schema(nullable = false)]
    flags: Option<Vec<String>>,
}

/// Where a task's time went. Stages that were not reached are absent.
#[derive(ToSchema)]
pub struct Timings {
    #[schema(nullable = false)]
    queued_ms: Option<f64>,
    #[schema(nullable = false)]
    fetch_ms: Option<f64>,
    #[schema(nullable = false)]
    decode_ms: Option<f64>,
    #[schema(nullable = false)]
    infer_ms: Option<f64>,
    /// How many images were in the batch.
    #[schema(nullable = false)]
    batch_size: Option<u32>,
}

/// How many tasks stand where.
#[derive(ToSchema)]
pub struct Counts {
    /// All.
    total: u32,
    /// Without an outcome.
    open: u32,
    /// With a prediction.
    succeeded: u32,
    /// With a code.
    failed: u32,
    /// Past their deadline.
    expired: u32,
    /// Taken back.
    canceled: u32,
}

/// An attempt to deliver a callback.
#[derive(ToSchema)]
pub struct CallbackAttempt {
    #[schema(value_type = String, format = DateTime)]
    at: (),
    /// The HTTP status of the answer, where there was one.
    #[schema(nullable = false)]
    status: Option<u16>,
    #[schema(nullable = false)]
    error: Option<String>,
    duration_ms: u64,
}

/// A fault of an attempt.
#[derive(ToSchema)]
pub struct Fault {
    #[schema(value_type = String, format = DateTime)]
    at: (),
    code: Code,
    message: String,
}

/// Which dead letters are meant: those that meet every condition.
#[derive(ToSchema)]
pub struct DeadLetterSelection {
    #[schema(nullable = false)]
    model: Option<String>,
    #[schema(nullable = false)]
    reason: Option<Reason>,
    #[schema(nullable = false)]
    code: Option<Code>,
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    since: (),
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    until: (),
    #[schema(nullable = false)]
    text: Option<String>,
}

/// About how many messages a queue holds.
#[derive(ToSchema)]
pub struct Depth {
    /// Waiting to be received.
    ready: u64,
    /// Received and not acknowledged yet.
    in_flight: u64,
    delayed: u64,
}

/// What a client wants back unread.
pub struct Metadata;

impl PartialSchema for Metadata {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .description(Some("A JSON object that comes back as the client wrote it"))
            .additional_properties(Some(AdditionalProperties::FreeForm(true)))
            .into()
    }
}

impl ToSchema for Metadata {}
