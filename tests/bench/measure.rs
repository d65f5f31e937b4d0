//! CPU seconds and memory of processes, and medians.

use anyhow::{Context, Result};
use procfs::process::{Process, Stat};
use serde::Serialize;

/// One figure: the median over the rounds, with the lowest and highest.
#[derive(Debug, Serialize)]
pub struct Figure {
    pub name: String,
    pub unit: &'static str,
    pub median: f64,
    pub lowest: f64,
    pub highest: f64,
    pub rounds: usize,
    pub aim: &'static str,
}

impl Figure {
    pub fn new(
        name: impl Into<String>,
        unit: &'static str,
        aim: &'static str,
        values: &[f64],
    ) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let median = match sorted.len() % 2 {
            0 => f64::midpoint(sorted[middle - 1], sorted[middle]),
            _ => sorted[middle],
        };
        Self {
            name: name.into(),
            unit,
            median,
            lowest: sorted[0],
            highest: sorted[sorted.len() - 1],
            rounds: sorted.len(),
            aim,
        }
    }
}

/// CPU seconds, user and system, that the process has used so far.
pub fn cpu_seconds(process: u32) -> Result<f64> {
    let Stat { utime, stime, .. } = process_of(process)?.stat()?;
    Ok((utime + stime) as f64 / procfs::ticks_per_second() as f64)
}

/// Memory of the process in MB (10^6 bytes), in which what is mapped twice counts once.
pub fn resident_mb(process: u32) -> Result<f64> {
    let maps = process_of(process)?.smaps_rollup()?.memory_map_rollup;
    let sizes = maps.iter().filter_map(|map| map.extension.map.get("Pss"));
    Ok(sizes.sum::<u64>() as f64 / 1e6)
}

fn process_of(process: u32) -> Result<Process> {
    let id = i32::try_from(process).context("process ids are small")?;
    Process::new(id).with_context(|| format!("reading /proc/{process}"))
}
