//! Equal computations that are in flight at the same time run once.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, MutexGuard},
};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};

/// A computation that several callers may await. It goes on while one of them holds it and awaits it.
pub(crate) type Flight<V> = Shared<BoxFuture<'static, V>>;

/// The computations in flight, by their keys: those that somebody still holds.
pub(crate) struct SingleFlight<K, V> {
    in_flight: Mutex<HashMap<K, WeakShared<BoxFuture<'static, V>>>>,
}

/// A computation that was joined.
pub(crate) struct Joined<V> {
    pub(crate) flight: Flight<V>,
    /// Whether it began with this caller.
    pub(crate) is_first: bool,
}

impl<K, V> Default for SingleFlight<K, V> {
    fn default() -> Self {
        Self { in_flight: Mutex::default() }
    }
}

impl<K: Eq + Hash + Clone, V: Clone> SingleFlight<K, V> {
    /// The computation of `key`, if it is in flight.
    pub(crate) fn find(&self, key: &K) -> Option<Flight<V>> {
        self.lock().get(key)?.upgrade()
    }

    /// Joins the computations of `keys`, in their order. `begin` is given the indices of the keys of which
    /// none is in flight, each key once, and answers a computation for each.
    pub(crate) fn join(
        &self,
        keys: &[K],
        begin: impl FnOnce(&[usize]) -> Vec<BoxFuture<'static, V>>,
    ) -> Vec<Joined<V>> {
        let mut in_flight = self.lock();
        let find = |key: &K| in_flight.get(key).and_then(WeakShared::upgrade);
        let running: Vec<Option<Flight<V>>> = keys.iter().map(find).collect();
        let mut new: Vec<usize> = Vec::new();
        for (n, key) in keys.iter().enumerate() {
            if running[n].is_none() && !new.iter().any(|m| keys[*m] == *key) {
                new.push(n);
            }
        }
        // What nobody holds any more goes before the map grows, so that it stays within twice of the most
        // that was ever in flight at once.
        if in_flight.len() + new.len() > in_flight.capacity() {
            in_flight.retain(|_, one| one.upgrade().is_some());
        }
        let begun = if new.is_empty() { Vec::new() } else { begin(&new) };
        assert_eq!(begun.len(), new.len(), "a computation for each new key");
        let mut begun = new.into_iter().zip(begun.into_iter().map(FutureExt::shared)).peekable();
        let mut joined: Vec<Joined<V>> = Vec::with_capacity(keys.len());
        for (n, running) in running.into_iter().enumerate() {
            let (flight, is_first) = match running {
                Some(flight) => (flight, false),
                None => match begun.next_if(|(m, _)| *m == n) {
                    Some((_, flight)) => (flight, true),
                    None => {
                        let earlier = keys.iter().position(|key| *key == keys[n]);
                        let earlier = earlier.expect("the key stands earlier, or it were new");
                        (joined[earlier].flight.clone(), false)
                    }
                },
            };
            if let Some(weak) = flight.downgrade().filter(|_| is_first) {
                in_flight.insert(keys[n].clone(), weak);
            }
            joined.push(Joined { flight, is_first });
        }
        joined
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, WeakShared<BoxFuture<'static, V>>>> {
        self.in_flight.lock().expect("nothing panics under this lock")
    }
}

#[cfg(test)]
mod tests {
    use futures::future::{join_all, ready};

    use super::*;

    fn tenfold(keys: &[u32]) -> impl FnOnce(&[usize]) -> Vec<BoxFuture<'static, u32>> {
        |new| new.iter().map(|n| ready(keys[*n] * 10).boxed()).collect()
    }

    #[tokio::test]
    async fn equal_keys_share_a_computation_while_somebody_holds_it() {
        let in_flight = SingleFlight::default();
        let is_first =
            |joined: &[Joined<u32>]| joined.iter().map(|one| one.is_first).collect::<Vec<_>>();
        let one = in_flight.join(&[1, 2, 1], tenfold(&[1, 2, 1]));
        assert_eq!(is_first(&one), [true, true, false]);
        let other = in_flight.join(&[2, 3], tenfold(&[2, 3]));
        assert_eq!(is_first(&other), [false, true]);
        assert!(in_flight.find(&3).is_some());
        let flights = one.into_iter().chain(other).map(|one| one.flight);
        assert_eq!(join_all(flights).await, [10, 20, 10, 20, 30]);
        assert!(in_flight.find(&3).is_none(), "nobody holds it");
        assert_eq!(is_first(&in_flight.join(&[3], tenfold(&[3]))), [true]);
    }
}
