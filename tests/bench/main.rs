//! `cargo bench -p flota-tests`: what the fleet costs beside the bare loop, how fast the embedded
//! queue is, what idling costs, how much memory a worker takes and how soon it is there.
//!
//! Two things are compared in turns within one run, over several rounds; costs are CPU seconds.
//! It reads `/proc`, so it runs on Linux.

mod api;
mod efficiency;
mod engine;
mod fleet;
mod images;
mod measure;
mod models;
mod queue;
mod resize;
mod standing;
mod table;
mod together;

use std::{net::SocketAddr, path::PathBuf};

use anyhow::{Context, Result};
use clap::Parser;
use tokio::runtime::Runtime;

/// Measures the fleet on this machine.
#[derive(Debug, Parser)]
pub struct Options {
    /// Folder of the model of the efficiency and memory figures. Without it: SqueezeNet 1.1 of the
    /// golden data (`FLOTA_GOLDEN_DATA`, or `../shared/data`), else `workers/image-quality`.
    #[arg(long, value_name = "DIR")]
    model_dir: Option<PathBuf>,
    /// Folders of the models of the part `together`; without them: our own two.
    #[arg(long, value_name = "DIR", num_args = 1..)]
    together: Vec<PathBuf>,
    /// Folder of the images to run, instead of drawn ones.
    #[arg(long, value_name = "DIR")]
    image_dir: Option<PathBuf>,
    /// The library of ONNX Runtime: `efficiency` then measures with it, and `engine` both engines.
    #[arg(long, value_name = "FILE")]
    library: Option<PathBuf>,
    /// Images of each round and side.
    #[arg(long, default_value_t = 400, value_name = "COUNT")]
    images: usize,
    /// Rounds, of which the median counts.
    #[arg(long, default_value_t = 5, value_name = "COUNT")]
    rounds: usize,
    /// Submissions of each round of the part `api`.
    #[arg(long, default_value_t = 4_000, value_name = "COUNT")]
    submits: usize,
    /// Messages of each round of the queue.
    #[arg(long, default_value_t = 20_000, value_name = "COUNT")]
    messages: usize,
    /// Seconds for which the idle fleet is watched.
    #[arg(long, default_value_t = 20, value_name = "SECONDS")]
    idle_seconds: u64,
    /// Only the part with this name: `engine`, `resize`, `efficiency`, `together`, `api`, `queue` or
    /// `standing`.
    #[arg(long, value_name = "PART")]
    only: Option<String>,
    /// One JSON object on standard output in place of the table.
    #[arg(long)]
    json: bool,
    /// Serves the bare handler that the API is measured against, until it is killed.
    #[arg(long, hide = true, value_name = "ADDRESS")]
    bare_api: Option<SocketAddr>,
    /// What `cargo bench` adds to every command line.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let options = Options::parse();
    if let Some(listen) = options.bare_api {
        return api::serve_bare(listen);
    }
    let wanted = |part: &str| options.only.as_deref().is_none_or(|only| only == part);
    let runtime = Runtime::new().context("starting the runtime")?;
    let mut figures = Vec::new();
    if wanted("engine") {
        figures.extend(engine::measure(&runtime, &options)?);
    }
    if wanted("resize") {
        figures.extend(resize::measure(&options)?);
    }
    if wanted("efficiency") {
        figures.extend(efficiency::measure(&runtime, &options)?);
    }
    if wanted("together") {
        figures.extend(together::measure(&runtime, &options)?);
    }
    if wanted("api") {
        figures.extend(api::measure(&runtime, &options)?);
    }
    if wanted("queue") {
        figures.extend(queue::measure(&runtime, &options)?);
    }
    if wanted("standing") {
        figures.extend(standing::measure(&runtime, &options)?);
    }
    table::show(&figures, options.json)
}
