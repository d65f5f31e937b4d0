//! A cache of callback bodies for the next attempt.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard},
};

use flota_core::CallbackId;

/// Most bytes of cached bodies: a hundred thousand callbacks about one image each, or some hundred
/// of the largest.
const MAX_BYTES: usize = 32 * 1024 * 1024;

/// Bodies of callbacks that were not delivered, so that the next attempt need not read the outcomes
/// again. If the cache is full, the oldest body is dropped.
#[derive(Default)]
pub(crate) struct Bodies {
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    /// Each with its key in `by_age`.
    bodies: HashMap<CallbackId, (u64, String)>,
    by_age: BTreeMap<u64, CallbackId>,
    last_place: u64,
    size_bytes: usize,
}

impl Bodies {
    /// The cached body of a callback.
    pub(super) fn get(&self, id: CallbackId) -> Option<String> {
        self.held().bodies.get(&id).map(|(_, body)| body.clone())
    }

    /// Caches a body for the next attempt.
    pub(super) fn put(&self, id: CallbackId, body: String) {
        let mut held = self.held();
        held.remove(id);
        held.size_bytes += body.len();
        held.last_place += 1;
        let place = held.last_place;
        held.by_age.insert(place, id);
        held.bodies.insert(id, (place, body));
        while held.size_bytes > MAX_BYTES
            && let Some((_, oldest)) = held.by_age.first_key_value()
        {
            let oldest = *oldest;
            held.remove(oldest);
        }
    }

    /// Removes the body of a callback that gets no more attempts.
    pub(super) fn remove(&self, id: CallbackId) {
        self.held().remove(id);
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().expect("nothing panics under this lock")
    }
}

impl Held {
    fn remove(&mut self, id: CallbackId) {
        if let Some((place, body)) = self.bodies.remove(&id) {
            self.by_age.remove(&place);
            self.size_bytes -= body.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use flota_core::RequestId;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn the_oldest_makes_room() {
        let id = |n| CallbackId { request: RequestId(Uuid::from_u128(n)), round: 1 };
        let bodies = Bodies::default();
        let third = "x".repeat(MAX_BYTES / 3);
        for n in 1..=4 {
            bodies.put(id(n), third.clone());
        }
        bodies.put(id(2), third.clone());
        let is_held = [1, 2, 3, 4].map(|n| bodies.get(id(n)).is_some());
        assert_eq!(is_held, [false, true, true, true]);
        bodies.put(id(5), third.clone());
        assert!(bodies.get(id(3)).is_none() && bodies.get(id(2)).is_some());
        bodies.put(id(6), "x".repeat(MAX_BYTES + 1));
        assert!([2, 4, 5, 6].iter().all(|n| bodies.get(id(*n)).is_none()));
        assert_eq!(bodies.held().size_bytes, 0);
        bodies.put(id(7), "y".to_owned());
        bodies.remove(id(7));
        assert!(bodies.get(id(7)).is_none() && bodies.held().by_age.is_empty());
    }
}
