//! Which model the figures are of.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::Options;

const SQUEEZENET: &str = "models/squeezenet1.1-fp32.onnx";
const SQUEEZENET_MANIFEST: &str = "\
format: 2
name: squeezenet
version: 1.1.0
weights: { file: squeezenet1.1-fp32.onnx }
labels: { file: labels.txt }
input:
  layout: nchw
  width: 224
  height: 224
  resize: { shortest_edge: 256 }
  mean: [0.485, 0.456, 0.406]
  std: [0.229, 0.224, 0.225]
output: { kind: softmax, apply: true }
batch: { max_size: 1, max_wait_ms: 0 }
";

/// A model folder; a temporary one lives as long as this.
pub struct BenchModel {
    pub dir: PathBuf,
    pub name: String,
    _temporary: Option<TempDir>,
}

/// The model that `options` name, or the heaviest that is at hand.
pub fn choose(options: &Options) -> Result<BenchModel> {
    if let Some(dir) = &options.model_dir {
        return at(dir.clone(), None);
    }
    match golden_data().filter(|data| data.join(SQUEEZENET).is_file()) {
        Some(data) => squeezenet(&data),
        None => {
            eprintln!("no golden data: measuring workers/image-quality in place of SqueezeNet");
            at(project_dir().join("workers/image-quality"), None)
        }
    }
}

pub fn project_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn golden_data() -> Option<PathBuf> {
    let named = env::var_os("FLOTA_GOLDEN_DATA").map(PathBuf::from);
    Some(named.unwrap_or_else(|| project_dir().join("../shared/data"))).filter(|dir| dir.is_dir())
}

fn squeezenet(data: &Path) -> Result<BenchModel> {
    let temporary = tempfile::tempdir()?;
    let dir = temporary.path().to_owned();
    fs::copy(data.join(SQUEEZENET), dir.join("squeezenet1.1-fp32.onnx"))
        .context("copying SqueezeNet")?;
    fs::copy(data.join("models/imagenet_synset.txt"), dir.join("labels.txt"))
        .context("copying the labels")?;
    fs::write(dir.join("model.yaml"), SQUEEZENET_MANIFEST)?;
    at(dir, Some(temporary))
}

/// The models that `options` name for the part `together`: by default our own two.
pub fn several(options: &Options) -> Result<Vec<BenchModel>> {
    let own =
        || ["image-quality", "embedded-text"].map(|name| project_dir().join("workers").join(name));
    let dirs = if options.together.is_empty() { own().to_vec() } else { options.together.clone() };
    dirs.into_iter().map(|dir| at(dir, None)).collect()
}

fn at(dir: PathBuf, temporary: Option<TempDir>) -> Result<BenchModel> {
    let path = dir.join("model.yaml");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let name = flota_core::Manifest::parse("model.yaml", &text)?.name.to_string();
    Ok(BenchModel { dir, name, _temporary: temporary })
}
