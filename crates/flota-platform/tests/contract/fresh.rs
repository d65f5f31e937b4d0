use std::{sync::Arc, time::Duration};

use flota_core::ports::Clock;
use flota_platform::{
    Store, embedded,
    memory::{self, ManualClock},
};
use jiff::Timestamp;
use tempfile::TempDir;

/// Empty adapters on a clock that the suite moves.
pub struct Fresh {
    pub store: Store,
    pub clock: Arc<ManualClock>,
    folder: Option<TempDir>,
}

/// Makes fresh adapters, as often as a suite wants them.
pub type Factory = fn() -> Fresh;

impl Fresh {
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// Forgets what is in memory and opens what is in the folder.
    pub fn reopen(self) -> Self {
        let Self { store, clock, folder } = self;
        drop(store);
        let path = folder.as_ref().expect("the adapter keeps its data in a folder").path();
        let store = embedded::open(path, clock.clone()).unwrap();
        Self { store, clock, folder }
    }

    pub fn folder(&self) -> &std::path::Path {
        self.folder.as_ref().expect("the adapter keeps its data in a folder").path()
    }
}

pub fn in_memory() -> Fresh {
    let clock = Arc::new(ManualClock::new(1));
    Fresh { store: memory::open(clock.clone()), clock, folder: None }
}

pub fn embedded() -> Fresh {
    let clock = Arc::new(ManualClock::new(1));
    let folder = TempDir::new().unwrap();
    let store = embedded::open(folder.path(), clock.clone()).unwrap();
    Fresh { store, clock, folder: Some(folder) }
}
