//! A model's manifest, as `GET /v1/models` shows it: complete, with the defaults filled in.

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::ToSchema;

/// What `model.yaml` says of a model; `docs/MODELS.md` explains each key.
#[derive(ToSchema)]
pub struct Manifest {
    /// What keys mean where they are absent; 1 where it is absent itself.
    #[schema(nullable = false, minimum = 1)]
    format: Option<u32>,
    name: String,
    version: String,
    #[schema(nullable = false)]
    description: Option<String>,
    code: CodeUse,
    weights: Weights,
    /// What the outputs are called; absent for an embedding.
    #[schema(nullable = false)]
    labels: Option<Labels>,
    input: InputSpec,
    output: OutputSpec,
    batch: BatchSpec,
    limits: Limits,
    /// How often a task is begun at most.
    #[schema(minimum = 1)]
    attempts: u32,
}

/// The code of its own that the model needs; `false` if it needs none.
#[derive(ToSchema)]
#[serde(untagged)]
enum CodeUse {
    None(bool),
    Needed(ModelCode),
}

/// Code that runs before and after the network; it is compiled into the model's worker.
#[derive(ToSchema)]
struct ModelCode {
    #[schema(minimum = 1)]
    revision: u32,
    /// Values that the code defines, by name.
    #[schema(nullable = false)]
    parameters: Option<BTreeMap<String, Value>>,
}

/// The ONNX file: `file`, or `url` with `sha256`.
#[derive(ToSchema)]
struct Weights {
    #[schema(nullable = false)]
    file: Option<String>,
    #[schema(nullable = false)]
    url: Option<String>,
    #[schema(nullable = false)]
    sha256: Option<String>,
    /// The files with its external data.
    #[schema(nullable = false)]
    data: Option<Vec<ExternalData>>,
}

/// A file of external data: `file`, or `url` with `sha256`.
#[derive(ToSchema)]
struct ExternalData {
    #[schema(nullable = false)]
    file: Option<String>,
    #[schema(nullable = false)]
    url: Option<String>,
    #[schema(nullable = false)]
    sha256: Option<String>,
    /// What the ONNX file calls it.
    #[schema(nullable = false)]
    location: Option<String>,
}

/// A list, a file of lines, or an entry of the ONNX file's metadata.
#[derive(ToSchema)]
#[serde(untagged)]
enum Labels {
    Inline(Vec<String>),
    Lines(LabelLines),
    Metadata(LabelMetadata),
}

/// A file of labels, one a line: `file`, or `url` with `sha256`.
#[derive(ToSchema)]
struct LabelLines {
    #[schema(nullable = false)]
    file: Option<String>,
    #[schema(nullable = false)]
    url: Option<String>,
    #[schema(nullable = false)]
    sha256: Option<String>,
    /// Words at the beginning of each line that are not the label's.
    skip_words: u32,
}

#[derive(ToSchema)]
struct LabelMetadata {
    /// The key of the entry.
    metadata: String,
}

/// From image to tensor.
#[derive(ToSchema)]
struct InputSpec {
    #[schema(nullable = false)]
    name: Option<String>,
    layout: Layout,
    #[schema(minimum = 1)]
    width: u32,
    #[schema(minimum = 1)]
    height: u32,
    resize: Resize,
    interpolation: Option<String>,
    antialias: Option<bool>,
    #[schema(nullable = false)]
    align_corners: Option<bool>,
    color: ColorOrder,
    dtype: Dtype,
    scale: f32,
    #[schema(nullable = false)]
    mean: Option<Vec<f32>>,
    #[schema(nullable = false)]
    std: Option<Vec<f32>>,
    #[schema(nullable = false)]
    jpeg: Option<JpegSpec>,
    #[schema(nullable = false)]
    alpha: Option<Alpha>,
    #[schema(nullable = false)]
    color_profile: Option<ColorManagement>,
}

/// The order of a tensor's axes.
#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
enum Layout {
    Nchw,
    Nhwc,
}

#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
enum ColorOrder {
    Rgb,
    Bgr,
    Grey,
}

#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
enum Dtype {
    F32,
    U8,
}

#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
enum Alpha {
    White,
    Drop,
}

#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
enum ColorManagement {
    Ignore,
    Apply,
}

#[derive(ToSchema)]
struct Resize {
    mode: ResizeMode,
    /// Of the shortest edge, in pixels.
    #[schema(nullable = false, minimum = 1)]
    size: Option<u32>,
    #[schema(nullable = false)]
    crop: Option<Crop>,
    #[schema(nullable = false)]
    rounding: Option<Rounding>,
    /// The colour of a letterbox's bars.
    #[schema(nullable = false)]
    fill: Option<Vec<u32>>,
}

#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
enum ResizeMode {
    ShortestEdge,
    Exact,
    Letterbox,
}

#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
enum Crop {
    Center,
}

#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
enum Rounding {
    Torchvision,
    Transformers,
    #[serde(rename = "format_1")]
    Format1,
}

#[derive(ToSchema)]
struct JpegSpec {
    min_scale: u32,
    fast_upsampling: bool,
}

/// From tensor to prediction.
#[derive(ToSchema)]
struct OutputSpec {
    #[schema(nullable = false)]
    name: Option<String>,
    kind: OutputKind,
    apply: bool,
    #[schema(nullable = false, minimum = 1)]
    top_k: Option<u32>,
    #[schema(nullable = false)]
    normalize: Option<Normalize>,
    #[schema(nullable = false)]
    encoding: Option<VectorEncoding>,
    /// Which scores are flagged, by label.
    #[schema(nullable = false)]
    thresholds: Option<BTreeMap<String, Threshold>>,
}

#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
enum OutputKind {
    Softmax,
    Sigmoid,
    Scores,
    Regression,
    Embedding,
}

#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
enum Normalize {
    L2,
}

#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
enum VectorEncoding {
    Json,
    Base64F32,
    Base64F16,
}

/// A score is flagged from `at_least` on, or `below`.
#[derive(ToSchema)]
struct Threshold {
    #[schema(nullable = false)]
    at_least: Option<f32>,
    #[schema(nullable = false)]
    below: Option<f32>,
}

/// How images are grouped.
#[derive(ToSchema)]
struct BatchSpec {
    #[schema(minimum = 1)]
    max_size: u32,
    max_wait_ms: u64,
    #[schema(nullable = false)]
    max_latency_ms: Option<u64>,
}

/// What an image may cost.
#[derive(ToSchema)]
struct Limits {
    max_bytes: u64,
    max_pixels: u64,
    max_dimension: u32,
    max_memory_bytes: u64,
    max_seconds: u32,
}
