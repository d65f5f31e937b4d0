//! The library of ONNX Runtime, and what it runs networks on.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use flota_core::Sha256;
use ort::{
    environment::Environment,
    ep::{CUDA, ExecutionProviderDispatch, TensorRT},
    logging::LogLevel,
    session::{
        Session,
        builder::{GraphOptimizationLevel, SessionBuilder},
    },
};
use thiserror::Error;

use super::{
    external_data::Resolved,
    graph_cache::{GRAPH_FILE, KeptGraphs, WEIGHTS_FILE},
    telemetry::disable_telemetry,
};

/// Which script fetches the library, for `python3`, with the folder to put it in as its argument.
pub const ONNX_RUNTIME_INSTALLER: &str = include_str!("../../onnxruntime/install.py");
/// The name of the library in that folder.
pub const ONNX_RUNTIME_LIBRARY: &str =
    if cfg!(target_os = "macos") { "libonnxruntime.dylib" } else { "libonnxruntime.so" };

/// The library of ONNX Runtime, loaded, and what it is to run networks on.
#[derive(Clone)]
pub struct OnnxRuntime {
    library: Arc<Library>,
    provider: Provider,
    kept: Option<KeptGraphs>,
}

/// A graph from which sessions are made.
pub(super) enum Graph {
    /// The ONNX file, of which each session makes what it needs.
    Onnx(Resolved),
    /// Optimised already, in a file whose weights sessions share.
    Optimised(PathBuf),
}

struct Library {
    path: PathBuf,
    environment: Environment,
}

/// What ONNX Runtime runs a network on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// The processor.
    Cpu,
    /// An NVIDIA GPU.
    Cuda,
    /// An NVIDIA GPU, by TensorRT where it knows the operators, else by CUDA.
    TensorRt,
}

/// A library that cannot be used.
#[derive(Debug, Error)]
pub enum LibraryError {
    /// It is not there, or not ONNX Runtime, or too old.
    #[error("the library of ONNX Runtime cannot be used: {0}")]
    Unusable(String),
    /// A process loads one library.
    #[error("the library {loaded} of ONNX Runtime is loaded already")]
    Other {
        /// The one that is loaded.
        loaded: PathBuf,
    },
}

/// There is one environment a process, and no other library after the first.
static LIBRARY: OnceLock<Arc<Library>> = OnceLock::new();
static LOADING: Mutex<()> = Mutex::new(());

impl OnnxRuntime {
    /// Loads the library at `path`, once for the process, to run networks on `provider`.
    ///
    /// # Errors
    /// If it is not there, is not ONNX Runtime, is too old, or another one is loaded.
    pub fn open(path: &Path, provider: Provider) -> Result<Self, LibraryError> {
        let _loading = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
        let library = match LIBRARY.get() {
            Some(library) if library.path == path => Arc::clone(library),
            Some(library) => return Err(LibraryError::Other { loaded: library.path.clone() }),
            None => {
                disable_telemetry();
                let unusable = |error: &dyn fmt::Display| LibraryError::Unusable(error.to_string());
                let environment = ort::init_from(path)
                    .map_err(|error| unusable(&error))?
                    .with_telemetry(false)
                    .build()
                    .map_err(|error| unusable(&error))?;
                // It would tell of each step of each run, and spend time on it.
                environment.set_log_level(LogLevel::Warning);
                let library = Arc::new(Library { path: path.to_owned(), environment });
                Arc::clone(LIBRARY.get_or_init(|| library))
            }
        };
        Ok(Self { library, provider, kept: None })
    }

    /// Keeps optimised graphs in `dir`, whose files are for machines like this one alone: sessions of
    /// a processor then share their weights and are there sooner. Where `dir` cannot be written they
    /// do not.
    #[must_use]
    pub fn caching_graphs(self, dir: PathBuf) -> Self {
        // Those of a GPU are compiled for it by the provider, and cannot be kept.
        let kept = (!self.is_on_gpu()).then(|| KeptGraphs::new(dir));
        Self { kept, ..self }
    }

    pub(super) fn is_on_gpu(&self) -> bool {
        self.provider != Provider::Cpu
    }

    /// The graph of an ONNX file whose bytes, with all external data, hash to `sha256`, and a session of
    /// it. Where an optimized-graph cache cannot be had or run, the file itself is taken.
    pub(super) fn graph(&self, onnx: Resolved, sha256: Sha256) -> ort::Result<(Graph, Session)> {
        if let Some(kept) = &self.kept {
            match self.graph_cache(kept, &onnx, sha256) {
                Ok(loaded) => return Ok(loaded),
                Err(error) => {
                    tracing::warn!(%error, "no optimised graph is kept, each session has its weights");
                }
            }
        }
        let graph = Graph::Onnx(onnx);
        let session = self.session(&graph, 1)?;
        Ok((graph, session))
    }

    fn graph_cache(
        &self,
        kept: &KeptGraphs,
        onnx: &Resolved,
        sha256: Sha256,
    ) -> io::Result<(Graph, Session)> {
        let optimise = |folder: &Path| self.optimise(onnx, folder).map_err(io::Error::other);
        let folder = kept.graph(sha256, ort::info(), optimise)?;
        let graph = Graph::Optimised(folder.join(GRAPH_FILE));
        let session = self.session(&graph, 1).map_err(io::Error::other)?;
        Ok((graph, session))
    }

    /// A session that runs in so many threads.
    pub(super) fn session(&self, graph: &Graph, threads: usize) -> ort::Result<Session> {
        match graph {
            Graph::Onnx(onnx) => {
                let builder = self.builder(GraphOptimizationLevel::All, threads)?;
                let builder = builder.with_execution_providers(self.provider.dispatches())?;
                commit(builder, onnx)
            }
            Graph::Optimised(file) => {
                self.builder(GraphOptimizationLevel::Disable, threads)?.commit_from_file(file)
            }
        }
    }

    /// Writes the optimised graph of an ONNX file into `folder`.
    fn optimise(&self, onnx: &Resolved, folder: &Path) -> ort::Result<()> {
        const WEIGHTS: &str = "session.optimized_model_external_initializers_file_name";
        let builder = self
            .builder(GraphOptimizationLevel::All, 1)?
            .with_optimized_model_path(folder.join(GRAPH_FILE))?
            .with_config_entry(WEIGHTS, WEIGHTS_FILE)?
            // It warns that the graph is for this machine alone.
            .with_log_level(LogLevel::Error)?;
        commit(builder, onnx).map(drop)
    }

    fn builder(
        &self,
        level: GraphOptimizationLevel,
        threads: usize,
    ) -> ort::Result<SessionBuilder> {
        let builder =
            Session::builder(&self.library.environment)?.with_optimization_level(level)?;
        // A thread that spins while it waits takes its core from decoding.
        let builder = builder.with_intra_threads(threads)?.with_intra_op_spinning(false)?;
        Ok(builder.with_inter_threads(1)?)
    }
}

/// The external data that is beside the ONNX file goes along in memory: the library copies it, and opens
/// no file.
fn commit(mut builder: SessionBuilder, onnx: &Resolved) -> ort::Result<Session> {
    for (name, bytes) in &onnx.beside {
        builder = builder.with_external_initializer_file_in_memory(name, Arc::clone(bytes))?;
    }
    builder.commit_from_memory(&onnx.onnx)
}

impl Provider {
    /// A provider that cannot be had is an error: nobody who wants a GPU wants to wait for a CPU.
    fn dispatches(self) -> Vec<ExecutionProviderDispatch> {
        let cuda = || CUDA::default().build().error_on_failure();
        match self {
            Self::Cpu => Vec::new(),
            Self::Cuda => vec![cuda()],
            Self::TensorRt => vec![TensorRT::default().build().error_on_failure(), cuda()],
        }
    }
}

impl fmt::Display for OnnxRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.provider {
            Provider::Cpu => f.write_str("ONNX Runtime"),
            Provider::Cuda => f.write_str("ONNX Runtime on CUDA"),
            Provider::TensorRt => f.write_str("ONNX Runtime on TensorRT"),
        }
    }
}

impl fmt::Debug for OnnxRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OnnxRuntime({}, {:?})", self.library.path.display(), self.provider)
    }
}
