//! CPU seconds per image, end to end against the bare decode-and-infer loop, in turns.

use std::{thread, time::Instant};

use anyhow::{Context, Result};
use flota_engine::{Model, Session};
use flota_worker::ModelFolder;
use tokio::runtime::Runtime;

use crate::{
    Options,
    engine::{engines, read_all},
    fleet::Fleet,
    images,
    measure::{Figure, cpu_seconds, resident_mb},
    models,
};

pub fn measure(runtime: &Runtime, options: &Options) -> Result<Vec<Figure>> {
    let chosen = models::choose(options)?;
    let cache = tempfile::tempdir()?;
    let folder = runtime.block_on(ModelFolder::open(&chosen.dir, cache.path()))?;
    let model = folder.load(&engines(options.library.as_deref())?)?;
    let name = chosen.name.clone();
    let library = options.library.as_deref();
    let fleet = runtime.block_on(Fleet::start(&[&[chosen]], library))?;
    let (mut bare, mut whole, mut ratio) = (Vec::new(), Vec::new(), Vec::new());
    let (mut server_share, mut wall) = (Vec::new(), Vec::new());
    for round in 0..=options.rounds {
        let images = match &options.image_dir {
            Some(dir) => images::distinct(&read_all(dir)?, options.images, round as u64),
            None => images::draw(options.images, u32::try_from(round)?)?,
        };
        let bare_s = bare_loop(&model, &images)?;
        let run = runtime.block_on(end_to_end(&fleet, images, &[&name]))?;
        // The first round warms caches and allocators.
        if round > 0 {
            let per_image = 1_000.0 / options.images as f64;
            bare.push(bare_s * per_image);
            whole.push((run.server_s + run.worker_s) * per_image);
            ratio.push(bare_s / (run.server_s + run.worker_s));
            server_share.push(run.server_s * per_image);
            wall.push(options.images as f64 / run.wall_s);
        }
    }
    let worker = fleet.workers.first().context("there is a worker")?;
    let resident = [resident_mb(worker.id())?];
    Ok(vec![
        Figure::new(format!("{name}: bare loop"), "CPU ms/image", "", &bare),
        Figure::new(format!("{name}: end to end"), "CPU ms/image", "", &whole),
        Figure::new(format!("{name}: of that the server"), "CPU ms/image", "", &server_share),
        Figure::new(format!("{name}: efficiency"), "bare / end to end", ">= 0.85", &ratio),
        Figure::new(format!("{name}: end to end"), "images/s", "", &wall),
        Figure::new(format!("{name}: resident memory of the worker"), "MB", "< 150", &resident),
    ])
}

/// What a run took.
pub struct Run {
    pub server_s: f64,
    pub worker_s: f64,
    pub wall_s: f64,
}

/// From submission to the last recorded outcome; the images lie in the store already.
pub async fn end_to_end(fleet: &Fleet, images: Vec<Vec<u8>>, models: &[&str]) -> Result<Run> {
    let addresses = fleet.client.upload(images).await?;
    let (before, began) = (fleet.cpu_seconds()?, Instant::now());
    fleet.client.run(&addresses, models).await?;
    let (after, wall_s) = (fleet.cpu_seconds()?, began.elapsed().as_secs_f64());
    Ok(Run { server_s: after.0 - before.0, worker_s: after.1 - before.1, wall_s })
}

/// Decode, prepare, run and label on a thread per core, as a worker does; CPU seconds.
fn bare_loop(model: &Model, images: &[Vec<u8>]) -> Result<f64> {
    let process = std::process::id();
    let before = cpu_seconds(process)?;
    let core_count = thread::available_parallelism()?.get();
    thread::scope(|scope| {
        let share = images.len().div_ceil(core_count);
        let threads: Vec<_> = images
            .chunks(share)
            .map(|share| {
                let session = model.session(1);
                scope.spawn(move || run_share(model, session?, share))
            })
            .collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("it does not panic"))
    })?;
    Ok(cpu_seconds(process)? - before)
}

fn run_share(model: &Model, mut session: Box<dyn Session>, images: &[Vec<u8>]) -> Result<()> {
    for picture in images {
        let image = model.decode(picture)?;
        let answers = session.run(&[model.prepare(&image)?])?;
        let outputs = answers.first().context("an answer for an image")?;
        model.postprocess(outputs, &Model::facts(&image, picture.len()))?;
    }
    Ok(())
}
