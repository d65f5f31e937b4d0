//! What the engine alone costs: one thread, one image after the other, no queue; and how fast all
//! cores are together, in a session each or in one for all.

use std::{
    fs, iter,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
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
/// A session for each core, and one of as many threads as there are cores.
const LAYOUTS: [&str; 2] = ["a session a core", "one session"];

pub fn measure(runtime: &Runtime, options: &Options) -> Result<Vec<Figure>> {
    let chosen = models::choose(options)?;
    let cache = tempfile::tempdir()?;
    let images = match &options.image_dir {
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
    let spreading = loaded.iter().find(|model| model.runtime().spreads_images());
    let mut layouts = spreading.map(Layouts::of).transpose()?;
    let mut sessions: Vec<_> =
        loaded.iter().map(|model| model.session(1)).collect::<Result<_, _>>()?;
    for round in 0..=options.rounds {
        let decoded = per_image_ms(&images, |picture| {
            prepared.prepare(&prepared.decode(picture)?)?;
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
        if let Some(layouts) = &mut layouts {
            layouts.measure(round > 0)?;
        }
    }
    let name = &chosen.name;
    let unit = "CPU ms/image";
    let mut figures = vec![Figure::new(format!("{name}: decode, prepare"), unit, "", &decode)];
    for (model, infer) in loaded.iter().zip(&infer) {
        figures.push(Figure::new(format!("{name}: {}", model.runtime()), unit, "", infer));
    }
    if let Some(layouts) = layouts {
        let named = LAYOUTS.iter().zip(&layouts.rates);
        figures.extend(named.map(|(layout, rates)| {
            Figure::new(format!("{name}: all cores, {layout}"), "images/s", "", rates)
        }));
    }
    Ok(figures)
}

/// The two ways to run a model on all cores, and the images a second of each.
struct Layouts<'a> {
    model: &'a Model,
    sessions: [Vec<Box<dyn Session>>; 2],
    rates: [Vec<f64>; 2],
}

impl<'a> Layouts<'a> {
    fn of(model: &'a Model) -> Result<Self> {
        let cores = thread::available_parallelism()?.get();
        let one_each = (0..cores).map(|_| model.session(1)).collect::<Result<_, _>>()?;
        let sessions = [one_each, vec![model.session(cores)?]];
        Ok(Self { model, sessions, rates: Default::default() })
    }

    fn measure(&mut self, counts: bool) -> Result<()> {
        for (sessions, rates) in self.sessions.iter_mut().zip(&mut self.rates) {
            let rate = images_per_second(sessions, self.model)?;
            if counts {
                rates.push(rate);
            }
        }
        Ok(())
    }
}

/// Of all `sessions` at the same time.
fn images_per_second(sessions: &mut [Box<dyn Session>], model: &Model) -> Result<f64> {
    let (inputs, began) = ([model.black()?], Instant::now());
    let run = |session: &mut Box<dyn Session>| -> Result<u32> {
        let mut count = 0;
        while began.elapsed() < Duration::from_secs_f64(MIN_ROUND_S) {
            session.run(&inputs)?;
            count += 1;
        }
        Ok(count)
    };
    let count = thread::scope(|scope| {
        let runs: Vec<_> = sessions.iter_mut().map(|one| scope.spawn(|| run(one))).collect();
        runs.into_iter().map(|run| run.join().expect("it does not panic")).sum::<Result<u32>>()
    })?;
    Ok(f64::from(count) / began.elapsed().as_secs_f64())
}

/// ONNX Runtime by its `library`, or tract.
pub fn engines(library: Option<&Path>) -> Result<Engines> {
    let mut settings = Settings::default().engine;
    settings.kind = if library.is_some() { EngineKind::OnnxRuntime } else { EngineKind::Tract };
    settings.library = library.map(Path::to_owned);
    Ok(Engines::open(&settings)?.with_code([flota_image_quality::code()].into()))
}

fn infer_ms(session: &mut dyn Session, model: &Model) -> Result<f64> {
    let inputs = [model.black()?];
    per_image_ms(&[Vec::new()], |_| {
        session.run(&inputs)?;
        Ok(())
    })
}

/// CPU milliseconds that `work` takes for an image.
pub fn per_image_ms(images: &[Vec<u8>], mut work: impl FnMut(&[u8]) -> Result<()>) -> Result<f64> {
    let process = std::process::id();
    let (before, mut count) = (cpu_seconds(process)?, 0_u32);
    loop {
        for picture in images {
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
