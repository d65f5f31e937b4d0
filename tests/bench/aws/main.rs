//! `cargo bench -p flota-tests --bench aws`: what a fleet asks of AWS when it has nothing to do, and
//! what a thousand tasks ask of it. The fleet counts itself, as it does in production, against an
//! emulator that says what DynamoDB would bill.

mod busy;
mod cloud;
#[path = "../../../crates/flota-platform/tests/emulator/mod.rs"]
mod emulator;
mod fleet;
mod idle;
#[path = "../images.rs"]
mod images;
mod meters;
mod table;

use anyhow::{Context, Result};
use clap::Parser;
use tokio::runtime::Runtime;

use crate::table::Table;

/// Counts what a fleet asks of AWS.
#[derive(Debug, Parser)]
pub struct Options {
    /// Tasks of each way in which they can come.
    #[arg(long, default_value_t = 1_000, value_name = "COUNT")]
    tasks: usize,
    /// Seconds for which idle fleets are watched.
    #[arg(long, default_value_t = 150, value_name = "SECONDS")]
    idle_seconds: u64,
    /// Only the part with this name: `idle` or `busy`.
    #[arg(long, value_name = "PART")]
    only: Option<String>,
    /// One JSON object on standard output in place of the tables.
    #[arg(long)]
    json: bool,
    /// What `cargo bench` adds to every command line.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let wanted = |part: &str| options.only.as_deref().is_none_or(|only| only == part);
    let runtime = Runtime::new().context("starting the runtime")?;
    let mut tables: Vec<Table> = Vec::new();
    if wanted("idle") {
        tables.push(runtime.block_on(idle::measure(&options))?);
    }
    if wanted("busy") {
        tables.push(runtime.block_on(busy::measure(&options))?);
    }
    table::show(&tables, options.json)
}
