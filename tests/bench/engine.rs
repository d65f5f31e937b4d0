//! What the engine alone costs: one thread, one image after the other, no queue.

use std::{
    fs, iter,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use flota_engine::{Model, Session};
use flota_platform::settings::{EngineKind, Settings};
use flota_worker::{Engines, ModelFolder};
use tokio::runtime::Runtime;

use crate::{
    Options, images,
    measure::{Figure, cpu_seconds},
    models,
};

/// So long a round lasts at least: the system counts CPU time in hundredths of a second.
const MIN_ROUND_S: f64 = 1.0;

pub fn measure(runtime: &Runtime, options: &Options) -> Result<Vec<Figure>> {
    let chosen = models::choose(options)?;
    let cache = tempfile::tempdir()?;
    let pictures = match &options.pictures {
        Some(dir) => read_all(dir)?,
        None => images::draw(options.images, 0)?,
    };
    let mut loaded = Vec::new();
    for library in iter::once(None).chain(options.library.as_deref().map(Some)) {
        let folder = runtime.block_on(ModelFolder::open(&chosen.dir, cache.path()))?;
        loaded.push(folder.load(&engines(library)?)?);
    }
    if options.library.is_none() {
        eprintln!("ONNX Runtime is not measured: name its library with --library");
    }
    let prepared = loaded.first().context("tract is always there")?;
    let mut decode = Vec::new();
    let mut infer: Vec<Vec<f64>> = loaded.iter().map(|_| Vec::new()).collect();
    let mut sessions: Vec<_> = loaded.iter().map(Model::session).collect::<Result<_, _>>()?;
    for round in 0..=options.rounds {
        let decoded = per_image_ms(&pictures, |picture| {
            prepared.prepare(&prepared.decode(picture)?);
            Ok(())
        })?;
        let inferred: Vec<f64> = sessions
            .iter_mut()
            .map(|session| infer_ms(session.as_mut(), prepared))
            .collect::<Result<_>>()?;
        // The first round warms caches and allocators.
        if round > 0 {
            decode.push(decoded);
            infer.iter_mut().zip(inferred).for_each(|(all, one)| all.push(one));
        }
    }
    let name = &chosen.name;
    let unit = "CPU ms/image";
    let mut figures = vec![Figure::new(format!("{name}: decode, prepare"), unit, "", &decode)];
    for (model, infer) in loaded.iter().zip(&infer) {
        figures.push(Figure::new(format!("{name}: {}", model.runtime()), unit, "", infer));
    }
    Ok(figures)
}

/// ONNX Runtime by its `library`, or tract.
pub fn engines(library: Option<&Path>) -> Result<Engines> {
    let mut settings = Settings::default().engine;
    settings.kind = if library.is_some() { EngineKind::OnnxRuntime } else { EngineKind::Tract };
    settings.library = library.map(Path::to_owned);
    Engines::open(&settings)
}

fn infer_ms(session: &mut dyn Session, model: &Model) -> Result<f64> {
    let tensor = [model.black()];
    per_image_ms(&[Vec::new()], |_| {
        session.run(&tensor)?;
        Ok(())
    })
}

/// CPU milliseconds that `work` takes for a picture.
fn per_image_ms(pictures: &[Vec<u8>], mut work: impl FnMut(&[u8]) -> Result<()>) -> Result<f64> {
    let process = std::process::id();
    let (before, mut count) = (cpu_seconds(process)?, 0_u32);
    loop {
        for picture in pictures {
            work(picture)?;
            count += 1;
        }
        let spent = cpu_seconds(process)? - before;
        if spent >= MIN_ROUND_S {
            return Ok(spent * 1_000.0 / f64::from(count));
        }
    }
}

/// The files of a folder, by name.
pub fn read_all(dir: &Path) -> Result<Vec<Vec<u8>>> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.sort();
    ensure!(!files.is_empty(), "{} is empty", dir.display());
    files.iter().map(|file| Ok(fs::read(file)?)).collect()
}
