//! Which engine runs the models of a process, and where ONNX Runtime's library is.

use std::{
    env, fmt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use flota_core::Manifest;
use flota_engine::{
    InferError, LoadError, Model, ModelCodes, ONNX_RUNTIME_INSTALLER, ONNX_RUNTIME_LIBRARY,
    OnnxRuntime, Provider, Runtime, Weights,
};
use flota_platform::settings::{EngineKind, EngineProvider, EngineSettings};

use crate::{WatchedSession, watchdog::Watchdog};

/// What people who use ONNX Runtime set to say where it is.
const USUAL_VARIABLE: &str = "ORT_DYLIB_PATH";
/// Where no settings say otherwise.
const USUAL_LOAD_TIMEOUT: Duration = Duration::from_secs(300);
const HINT: &str = "`flota engine install` fetches ONNX Runtime, which runs models up to five times \
    as fast";

/// The engine that models are loaded into, and the one for those that it refuses.
#[derive(Debug, Clone)]
pub struct Engines {
    first: Runtime,
    second: Option<Runtime>,
    /// Why it is the first.
    reason: String,
    /// Longest time that loading a model may take.
    load_timeout: Duration,
    /// The code that models may need.
    codes: ModelCodes,
}

impl Engines {
    /// The engines that `settings` ask for.
    ///
    /// # Errors
    /// If ONNX Runtime is asked for and cannot be used.
    pub fn open(settings: &EngineSettings) -> Result<Self> {
        let load_timeout = settings.load_timeout;
        let codes = ModelCodes::default();
        let alone = |first, reason: String| {
            Ok(Self { first, second: None, reason, load_timeout, codes: ModelCodes::default() })
        };
        let library = match &settings.library {
            Some(named) => Some(named.clone()),
            None => found_library(),
        };
        match (settings.kind, library) {
            (EngineKind::Tract, _) => alone(Runtime::Tract, "`engine.kind` says so".to_owned()),
            (EngineKind::OnnxRuntime, Some(library)) => {
                let reason = format!("`engine.kind` says so; it is {}", library.display());
                alone(open(&library, settings.provider)?, reason)
            }
            (EngineKind::OnnxRuntime, None) => bail!(
                "ONNX Runtime is not found: run `flota engine install`, or name its library as \
                 `engine.library`"
            ),
            (EngineKind::Auto, None) if settings.provider != EngineProvider::Cpu => bail!(
                "`engine.provider` is a GPU, and ONNX Runtime is not found: name the library of \
                 its GPU package as `engine.library`"
            ),
            (EngineKind::Auto, None) => {
                tracing::info!("tract runs the models. {HINT}");
                alone(Runtime::Tract, HINT.to_owned())
            }
            (EngineKind::Auto, Some(library)) => match open(&library, settings.provider) {
                Ok(first) => {
                    tracing::info!(library = %library.display(), "{first} runs the models");
                    // Nobody who wants a GPU wants to wait for a processor.
                    let is_cpu = settings.provider == EngineProvider::Cpu;
                    let second = is_cpu.then_some(Runtime::Tract);
                    let reason = format!("it is {}", library.display());
                    Ok(Self { first, second, reason, load_timeout, codes })
                }
                Err(error) if settings.provider == EngineProvider::Cpu => {
                    tracing::warn!("tract runs the models: {error:#}");
                    alone(Runtime::Tract, format!("{error:#}"))
                }
                Err(error) => Err(error),
            },
        }
    }

    /// tract alone.
    #[must_use]
    pub fn tract() -> Self {
        let load_timeout = USUAL_LOAD_TIMEOUT;
        let (reason, codes) = (String::new(), ModelCodes::default());
        Self { first: Runtime::Tract, second: None, reason, load_timeout, codes }
    }

    /// Loads models that need code with that of `codes`.
    #[must_use]
    pub fn with_code(self, codes: ModelCodes) -> Self {
        Self { codes, ..self }
    }

    /// Has ONNX Runtime keep the graphs that it optimises in `dir`, which is for machines that run the
    /// same instructions.
    #[must_use]
    pub(crate) fn caching_graphs(self, dir: &Path) -> Self {
        let first = match self.first {
            Runtime::OnnxRuntime(library) => {
                Runtime::OnnxRuntime(library.caching_graphs(dir.to_owned()))
            }
            Runtime::Tract => Runtime::Tract,
        };
        Self { first, ..self }
    }

    /// Why models are loaded into the engine that they are.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// A session of `model`, for checking it: its runs are watched, and so is setting it up, which may take
    /// as long as loading.
    ///
    /// # Errors
    /// If the engine cannot set one up.
    pub fn session<'a>(
        &self,
        model: &'a Model,
        threads: usize,
    ) -> Result<WatchedSession<'a>, InferError> {
        WatchedSession::set_up(model, threads, self.load_timeout)
    }

    /// Loads a model into the first engine that can run its graph.
    pub(crate) fn load(
        &self,
        manifest: Manifest,
        weights: &Weights,
        labels: Vec<String>,
    ) -> Result<Model, LoadError> {
        let watchdog = Watchdog::of_process();
        let _watched = watchdog.watch_model("loading", &manifest.name, self.load_timeout);
        let Some(second) = &self.second else {
            return Model::load_with_code(&self.first, manifest, weights, labels, &self.codes);
        };
        let name = manifest.name.clone();
        let load = |runtime, manifest, labels| {
            Model::load_with_code(runtime, manifest, weights, labels, &self.codes)
        };
        match load(&self.first, manifest.clone(), labels.clone()) {
            Err(LoadError::Engine(reason)) => {
                match load(second, manifest, labels) {
                    // To want the first engine would be no cure.
                    Err(LoadError::NeedsOnnxRuntime(_)) => Err(LoadError::Engine(reason)),
                    loaded => {
                        tracing::warn!(model = %name, reason, "{} refuses the model, {second} runs it",
                            self.first);
                        loaded
                    }
                }
            }
            loaded => loaded,
        }
    }
}

impl fmt::Display for Engines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.second {
            None => self.first.fmt(f),
            Some(second) => write!(f, "{}, and {second} for what it refuses", self.first),
        }
    }
}

fn open(library: &Path, provider: EngineProvider) -> Result<Runtime> {
    let provider = match provider {
        EngineProvider::Cpu => Provider::Cpu,
        EngineProvider::Cuda => Provider::Cuda,
        EngineProvider::TensorRt => Provider::TensorRt,
    };
    Ok(Runtime::OnnxRuntime(OnnxRuntime::open(library, provider)?))
}

fn found_library() -> Option<PathBuf> {
    if let Some(named) = env::var_os(USUAL_VARIABLE).filter(|named| !named.is_empty()) {
        return Some(named.into());
    }
    let installed = install_dir()?.join(ONNX_RUNTIME_LIBRARY);
    installed.is_file().then_some(installed)
}

/// Where ONNX Runtime is put, and found, where nothing else is said.
pub fn install_dir() -> Option<PathBuf> {
    Some(dirs::cache_dir()?.join("flota/onnxruntime"))
}

/// Fetches the pinned ONNX Runtime into `dir`, and returns its library. It blocks.
///
/// # Errors
/// If there is no Python with pip or venv, or pip cannot fetch it.
pub fn install(dir: &Path) -> Result<PathBuf> {
    let ran = Command::new("python3").args(["-c", ONNX_RUNTIME_INSTALLER]).arg(dir).output();
    let ran = ran.context("Python fetches ONNX Runtime: install python3")?;
    if !ran.status.success() {
        bail!("{}", String::from_utf8_lossy(&ran.stderr).trim());
    }
    let library = dir.join(ONNX_RUNTIME_LIBRARY);
    OnnxRuntime::open(&library, Provider::Cpu).context("it was fetched, and does not load")?;
    Ok(library)
}

#[cfg(test)]
mod tests {
    use flota_platform::settings::Settings;

    use super::*;

    fn settings(kind: EngineKind, provider: EngineProvider) -> EngineSettings {
        let library = Some(PathBuf::from("/nowhere/libonnxruntime.so"));
        EngineSettings { kind, provider, library, ..Settings::default().engine }
    }

    #[test]
    fn a_library_that_is_not_there_leaves_tract_and_the_reason() {
        let engines = Engines::open(&settings(EngineKind::Auto, EngineProvider::Cpu)).unwrap();
        assert_eq!(engines.to_string(), "tract");
        assert!(engines.reason().contains("/nowhere/libonnxruntime.so"), "{}", engines.reason());
    }

    #[test]
    fn who_asks_for_onnx_runtime_or_a_gpu_gets_it_or_an_error() {
        for (kind, provider) in [
            (EngineKind::OnnxRuntime, EngineProvider::Cpu),
            (EngineKind::Auto, EngineProvider::Cuda),
            (EngineKind::Auto, EngineProvider::TensorRt),
        ] {
            let error = Engines::open(&settings(kind, provider)).unwrap_err().to_string();
            assert!(error.contains("cannot be used"), "{error}");
        }
    }
}
