//! Which computations run side by side. Ordinary tasks share the process; an isolated one has it for itself,
//! so that a crash while it runs is its own.

use std::sync::Arc;

use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

/// The permits of a process: many shared ones, or one exclusive one.
#[derive(Clone, Default)]
pub(crate) struct Permits(Arc<RwLock<()>>);

/// The right to decode and infer, held from before the decoding until after the inference. It travels with
/// the work, for a thread goes on when the caller has left.
#[derive(Clone)]
pub(crate) struct Permit {
    _held: Arc<Held>,
}

enum Held {
    Shared { _guard: OwnedRwLockReadGuard<()> },
    Exclusive { _guard: OwnedRwLockWriteGuard<()> },
}

impl Permits {
    /// To run beside others, once no exclusive permit is held or waited for.
    pub(crate) async fn shared(&self) -> Permit {
        let guard = Arc::clone(&self.0).read_owned().await;
        Permit { _held: Arc::new(Held::Shared { _guard: guard }) }
    }

    /// To run beside nothing, once no other permit is held.
    pub(crate) async fn exclusive(&self) -> Permit {
        let guard = Arc::clone(&self.0).write_owned().await;
        Permit { _held: Arc::new(Held::Exclusive { _guard: guard }) }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn an_exclusive_permit_waits_for_shared_ones_and_holds_later_ones_up() {
        let permits = Permits::default();
        let [first, second] = [permits.shared().await, permits.shared().await];
        let mut exclusive = Box::pin(permits.exclusive());
        assert!(exclusive.as_mut().now_or_never().is_none());
        let mut third = Box::pin(permits.shared());
        assert!(third.as_mut().now_or_never().is_none(), "an exclusive one waits");
        // A clone is the same permit.
        let clone = second.clone();
        drop((first, second));
        assert!(exclusive.as_mut().now_or_never().is_none());
        drop(clone);
        drop(exclusive.await);
        third.await;
    }
}
