//! How a model's sessions share the cores.

use std::iter;

use flota_engine::Runtime;
use serde::{Deserialize, Serialize};

/// Each session has its weights in the GPU's memory. How many keep one busy was never measured.
const MAX_GPU_SESSIONS: usize = 4;

/// So many sessions that run at the same time, each in so many threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InstanceGroup {
    pub(crate) sessions: usize,
    /// Of each session.
    pub(crate) threads: usize,
}

impl InstanceGroup {
    /// Those that use `cores` cores, or the GPU, on `runtime`. The first is the one to take where
    /// nothing is known.
    pub(super) fn all(runtime: &Runtime, cores: usize) -> Vec<Self> {
        if runtime.is_on_gpu() {
            on_gpu(cores)
        } else if runtime.spreads_images() {
            on_cores(cores)
        } else {
            vec![Self { sessions: cores, threads: 1 }]
        }
    }
}

/// From a session a core to one session on all of them.
fn on_cores(cores: usize) -> Vec<InstanceGroup> {
    let fewer = |sessions: &usize| (*sessions > 1).then_some(sessions / 2);
    let counts = iter::successors(Some(cores), fewer);
    counts.map(|sessions| InstanceGroup { sessions, threads: cores / sessions }).collect()
}

fn on_gpu(cores: usize) -> Vec<InstanceGroup> {
    let counts = iter::successors(Some(1), |sessions| Some(sessions * 2));
    let counts = counts.take_while(|sessions| *sessions <= cores.min(MAX_GPU_SESSIONS));
    counts.map(|sessions| InstanceGroup { sessions, threads: 1 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(layouts: &[InstanceGroup]) -> Vec<(usize, usize)> {
        layouts.iter().map(|layout| (layout.sessions, layout.threads)).collect()
    }

    #[test]
    fn no_layout_has_more_threads_than_there_are_cores() {
        assert_eq!(pairs(&on_cores(1)), [(1, 1)]);
        assert_eq!(pairs(&on_cores(6)), [(6, 1), (3, 2), (1, 6)]);
        assert_eq!(pairs(&on_cores(5)), [(5, 1), (2, 2), (1, 5)]);
        assert_eq!(pairs(&on_gpu(16)), [(1, 1), (2, 1), (4, 1)]);
        assert_eq!(pairs(&on_gpu(1)), [(1, 1)]);
        assert_eq!(pairs(&InstanceGroup::all(&Runtime::Tract, 4)), [(4, 1)]);
    }
}
