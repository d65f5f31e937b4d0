//! Several models that look at the same images: each in a worker of its own, and all in one, in turns.

use anyhow::Result;
use tokio::runtime::Runtime;

use crate::{
    Options,
    efficiency::end_to_end,
    engine::read_all,
    fleet::Fleet,
    images,
    measure::{Figure, resident_mb},
    models,
};

pub fn measure(runtime: &Runtime, options: &Options) -> Result<Vec<Figure>> {
    let chosen = models::several(options)?;
    let names: Vec<&str> = chosen.iter().map(|model| model.name.as_str()).collect();
    let each: Vec<_> = chosen.iter().map(std::slice::from_ref).collect();
    let library = options.library.as_deref();
    let alone = runtime.block_on(Fleet::start(&each, library))?;
    let together = runtime.block_on(Fleet::start(&[&chosen], library))?;
    let (mut costs, mut rates) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for round in 0..=options.rounds {
        let images = match &options.image_dir {
            Some(dir) => images::distinct(&read_all(dir)?, options.images, round as u64),
            None => images::draw(options.images, u32::try_from(round)?)?,
        };
        for (side, fleet) in [&alone, &together].into_iter().enumerate() {
            let run = runtime.block_on(end_to_end(fleet, images.clone(), &names))?;
            // The first round warms caches and allocators.
            if round > 0 {
                let cpu_s = run.server_s + run.worker_s;
                costs[side].push(cpu_s * 1_000.0 / options.images as f64);
                rates[side].push(options.images as f64 / run.wall_s);
            }
        }
    }
    let ratio: Vec<f64> =
        costs[0].iter().zip(&costs[1]).map(|(alone, both)| alone / both).collect();
    let what = names.join(" + ");
    let mut figures = Vec::new();
    for (side, (how, fleet)) in [("alone", &alone), ("together", &together)].iter().enumerate() {
        let memory: f64 =
            fleet.workers.iter().map(|worker| resident_mb(worker.id())).sum::<Result<_>>()?;
        let name = |of: &str| format!("{what}, {how}{of}");
        figures.push(Figure::new(name(""), "CPU ms/image", "", &costs[side]));
        figures.push(Figure::new(name(""), "images/s", "", &rates[side]));
        figures.push(Figure::new(name(": memory of the workers"), "MB", "", &[memory]));
    }
    figures.push(Figure::new(format!("{what}: alone / together"), "CPU", "", &ratio));
    Ok(figures)
}
