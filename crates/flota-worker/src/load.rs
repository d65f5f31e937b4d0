//! From model folders to models that are ready to run.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result, bail};
use flota_core::{WorkerName, ports::Registration};
use flota_engine::ModelCodes;
use flota_platform::settings::Settings;
use jiff::Timestamp;
use tokio::task;
use tokio_util::sync::CancellationToken;

use crate::{
    Engines, ModelFolder,
    autotune::{Autotuning, Measuring, Trusted},
    golden, machine,
    pipeline::{BatchSession, LoadedModel, thread_count},
};

/// A model that is ready to run, and what makes it known.
pub(crate) struct Ready {
    pub(crate) registration: Registration,
    pub(crate) loaded: LoadedModel,
}

/// Opens `folders`, of which there is one at least, and no two with the same model.
pub(crate) async fn open(folders: &[PathBuf], weights_dir: &Path) -> Result<Vec<ModelFolder>> {
    let mut opened: Vec<ModelFolder> = Vec::new();
    for folder in folders {
        let model = ModelFolder::open(folder, weights_dir).await?;
        let name = &model.manifest().name;
        if opened.iter().any(|other| other.manifest().name == *name) {
            bail!("`{name}` is given twice, the second time in {}", folder.display());
        }
        opened.push(model);
    }
    Ok(opened)
}

/// For whom models are loaded, and with what.
pub(crate) struct Loading<'a> {
    pub(crate) worker: &'a WorkerName,
    pub(crate) settings: &'a Settings,
    /// The code that the models may need.
    pub(crate) codes: ModelCodes,
    pub(crate) now: Timestamp,
}

/// Loads `folders`, with sessions of each as it is best run. It ends early on `stop`, which
/// must not be sooner than this: the process would end under an engine that still runs.
pub(crate) async fn load(
    folders: Vec<ModelFolder>,
    Loading { worker, settings, codes, now }: Loading<'_>,
    stop: CancellationToken,
) -> Result<Vec<Ready>> {
    let mut engines = Engines::open(&settings.engine)?.with_code(codes);
    let weights_dir = settings.weights_dir();
    if settings.engine.cache_graphs {
        let machine = machine::instructions().to_string();
        engines = engines.caching_graphs(&weights_dir.join("graphs").join(machine));
    }
    let (time, check_golden) = (settings.engine.autotune, settings.engine.check_golden);
    let autotuning = weights_dir.join("autotuning");
    let cores = thread_count(settings.worker.infer_threads);
    let worker = worker.clone();
    let loading = task::spawn_blocking(move || {
        let load = |folder: ModelFolder| {
            let registration = folder.registration(worker.clone(), now);
            let dir = folder.dir().to_owned();
            let model = folder.load(&engines)?;
            if check_golden {
                golden::verify(&model, &dir, &engines)?;
            }
            let digest = registration.digest;
            let measuring = Measuring {
                dir: &autotuning,
                time,
                trusted: Trusted::USUAL,
                stop: &stop,
                engines: &engines,
            };
            let found = Autotuning::of(&model, cores, digest, &measuring)?;
            let Autotuning { layout, batch_size, .. } = found;
            let session = |_| {
                let session = engines.session(&model, layout.threads);
                let session = session.context("setting up the engine")?.into_inner();
                anyhow::Ok(Box::new(session) as Box<dyn BatchSession>)
            };
            let sessions = (0..layout.sessions).map(session).collect::<Result<_>>()?;
            let model = Arc::new(model);
            let loaded = LoadedModel { model, batch_size, threads: layout.threads, sessions };
            anyhow::Ok(Ready { registration, loaded })
        };
        folders.into_iter().take_while(|_| !stop.is_cancelled()).map(load).collect()
    });
    loading.await.context("loading a model")?
}
