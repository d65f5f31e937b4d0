//! What runs the models.

use std::{path::PathBuf, str::FromStr, time::Duration};

use serde::Deserialize;

use super::parse;

/// What runs the models.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineSettings {
    /// Which engine.
    #[serde(deserialize_with = "parse::from_text")]
    pub kind: EngineKind,
    /// The library of ONNX Runtime; `None`: where `flota engine install` puts it.
    #[serde(deserialize_with = "parse::optional_path")]
    pub library: Option<PathBuf>,
    /// What ONNX Runtime runs models on.
    #[serde(deserialize_with = "parse::from_text")]
    pub provider: EngineProvider,
    /// How long a worker tries ways to run its model at its first start; zero: it does not.
    #[serde(rename = "autotune_ms", deserialize_with = "parse::millis")]
    pub autotune: Duration,
    /// Longest time that loading a model and running it for the first time may take.
    #[serde(rename = "load_timeout_ms", deserialize_with = "parse::millis")]
    pub load_timeout: Duration,
    /// Whether a worker compares a model with its golden examples before it serves it.
    pub check_golden: bool,
    /// Whether ONNX Runtime's optimised graphs are kept beside the weights.
    pub cache_graphs: bool,
}

/// Which engine runs the models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineKind {
    /// ONNX Runtime where its library is found and takes the model, else tract.
    Auto,
    /// ONNX Runtime or nothing.
    OnnxRuntime,
    /// tract, which is compiled in.
    Tract,
}

/// What ONNX Runtime runs models on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineProvider {
    /// The processor.
    Cpu,
    /// An NVIDIA GPU.
    Cuda,
    /// An NVIDIA GPU, by TensorRT where it knows the operators.
    TensorRt,
}

impl FromStr for EngineKind {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "onnxruntime" => Ok(Self::OnnxRuntime),
            "tract" => Ok(Self::Tract),
            _ => Err("\"auto\", \"onnxruntime\" or \"tract\""),
        }
    }
}

impl FromStr for EngineProvider {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda),
            "tensorrt" => Ok(Self::TensorRt),
            _ => Err("\"cpu\", \"cuda\" or \"tensorrt\""),
        }
    }
}
