//! The library of ONNX Runtime, and what it runs networks on.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use ort::{
    environment::Environment,
    ep::{CUDA, ExecutionProviderDispatch, TensorRT},
    session::{Session, builder::GraphOptimizationLevel},
};
use thiserror::Error;

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
                let unusable = |error: &dyn fmt::Display| LibraryError::Unusable(error.to_string());
                let environment = ort::init_from(path)
                    .map_err(|error| unusable(&error))?
                    .with_telemetry(false)
                    .build()
                    .map_err(|error| unusable(&error))?;
                let library = Arc::new(Library { path: path.to_owned(), environment });
                Arc::clone(LIBRARY.get_or_init(|| library))
            }
        };
        Ok(Self { library, provider })
    }

    pub(super) fn is_on_gpu(&self) -> bool {
        self.provider != Provider::Cpu
    }

    /// A graph that is ready to run, in one thread.
    pub(super) fn session(&self, weights: &[u8]) -> ort::Result<Session> {
        let builder = Session::builder(&self.library.environment)?
            .with_optimization_level(GraphOptimizationLevel::All)?
            .with_intra_threads(1)?
            .with_inter_threads(1)?
            .with_execution_providers(self.provider.dispatches())?;
        let mut builder = builder;
        builder.commit_from_memory(weights)
    }
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
