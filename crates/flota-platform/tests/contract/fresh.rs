use std::{sync::Arc, time::Duration};

use flota_core::ports::{Clock, Store};
use flota_memory::ManualClock;
use flota_platform::embedded;
use jiff::Timestamp;
use tempfile::TempDir;
use tokio::{runtime::Handle, task::block_in_place};

use crate::{account::Account, emulator::Emulator};

/// Empty adapters on a clock that the suite moves.
pub struct Fresh {
    pub store: Store,
    pub clock: Arc<ManualClock>,
    folder: Option<TempDir>,
    account: Option<String>,
}

/// Makes fresh adapters, as often as a suite wants them.
pub type Factory = fn() -> Fresh;

impl Fresh {
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
        self.set_emulator();
    }

    /// The queues of AWS have a clock of their own.
    fn set_emulator(&self) {
        if let Some(account) = &self.account {
            Emulator::shared().set_clock(account, self.now().as_millisecond());
        }
    }

    /// Forgets what is in memory and opens what is in the folder.
    pub fn reopen(self) -> Self {
        let Self { store, clock, folder, account } = self;
        drop(store);
        let path = folder.as_ref().expect("the adapter keeps its data in a folder").path();
        let store = embedded::open(path, clock.clone()).unwrap();
        Self { store, clock, folder, account }
    }

    pub fn folder(&self) -> &std::path::Path {
        self.folder.as_ref().expect("the adapter keeps its data in a folder").path()
    }
}

pub fn in_memory() -> Fresh {
    let clock = Arc::new(ManualClock::new(1));
    Fresh { store: flota_memory::open(clock.clone()), clock, folder: None, account: None }
}

pub fn embedded() -> Fresh {
    let clock = Arc::new(ManualClock::new(1));
    let folder = TempDir::new().unwrap();
    let store = embedded::open(folder.path(), clock.clone()).unwrap();
    Fresh { store, clock, folder: Some(folder), account: None }
}

/// Each has an account of its own in the emulator, which needs a runtime of several threads.
pub fn aws() -> Fresh {
    let opened = async {
        let account = Account::new(&[("aws.create_missing", "true")]).await;
        (account.open().await, account.id)
    };
    let (store, account) = block_in_place(|| Handle::current().block_on(opened));
    let clock = Arc::new(ManualClock::new(1));
    let fresh = Fresh { store, clock, folder: None, account: Some(account) };
    fresh.set_emulator();
    fresh
}
