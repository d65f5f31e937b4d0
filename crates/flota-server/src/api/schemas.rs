//! The domain's types as OpenAPI describes their JSON. The domain knows nothing of OpenAPI, and nothing makes
//! one of these; a generated client and a fuzzer hold them to what is answered (`tests/openapi`).

#![allow(dead_code, reason = "what is described, not what is made")]

use utoipa::ToSchema;

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
pub(crate) enum Output {
    Scores(ScoresOutput),
    Embedding(EmbeddingOutput),
}

/// A score for each listed label.
#[derive(ToSchema)]
pub(crate) struct ScoresOutput {
    kind: ScoresKind,
    /// The listed labels: the highest score first, those of a regression in the order of the labels.
    scores: Vec<LabelScore>,
}

/// `softmax`: probabilities of labels that exclude each other. `sigmoid`: a probability for each label by
/// itself. `scores`: on the model's own scale. `regression`: measured values.
#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
enum ScoresKind {
    Softmax,
    Sigmoid,
    Scores,
    Regression,
}

/// What a model says of one label.
#[derive(ToSchema)]
struct LabelScore {
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

/// A vector for comparing images: `vector`, or `encoding` and `data`.
#[derive(ToSchema)]
pub(crate) struct EmbeddingOutput {
    kind: EmbeddingKind,
    #[schema(nullable = false)]
    vector: Option<Vec<f32>>,
    #[schema(nullable = false)]
    encoding: Option<EmbeddingEncoding>,
    /// Base64 of little-endian floating-point numbers.
    #[schema(nullable = false)]
    data: Option<String>,
}

#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
enum EmbeddingKind {
    Embedding,
}

/// Of how many bits the numbers in `data` are.
#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
enum EmbeddingEncoding {
    Base64F32,
    Base64F16,
}

/// What was seen of an image.
#[derive(ToSchema)]
pub(crate) struct ImageFacts {
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
pub(crate) struct Timings {
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

/// An attempt to deliver a callback.
#[derive(ToSchema)]
pub(crate) struct CallbackAttempt {
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
pub(crate) struct Fault {
    #[schema(value_type = String, format = DateTime)]
    at: (),
    /// A stable code, such as `FETCH_TIMEOUT`.
    code: String,
    message: String,
}

/// About how many messages a queue holds.
#[derive(ToSchema)]
pub(crate) struct Depth {
    /// Waiting to be received.
    ready: u64,
    /// Received and not acknowledged yet.
    in_flight: u64,
    delayed: u64,
}
