//! Who may run beside whom.

use std::sync::Arc;

use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

/// The gate of the process: ordinary tasks pass it together, a suspect passes it alone, so that a
/// crash while it runs is its own.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<RwLock<()>>);

/// The right to decode and infer, held from before the decoding until after the inference. It
/// travels with the work, for a thread goes on when whoever waits for it has left.
#[derive(Clone)]
pub(crate) struct Pass {
    _held: Arc<Held>,
}

enum Held {
    Together { _guard: OwnedRwLockReadGuard<()> },
    Alone { _guard: OwnedRwLockWriteGuard<()> },
}

impl Gate {
    /// Passes beside others, once no suspect runs or waits.
    pub(crate) async fn together(&self) -> Pass {
        let guard = Arc::clone(&self.0).read_owned().await;
        Pass { _held: Arc::new(Held::Together { _guard: guard }) }
    }

    /// Passes alone, once nobody else is past the gate.
    pub(crate) async fn alone(&self) -> Pass {
        let guard = Arc::clone(&self.0).write_owned().await;
        Pass { _held: Arc::new(Held::Alone { _guard: guard }) }
    }
}
