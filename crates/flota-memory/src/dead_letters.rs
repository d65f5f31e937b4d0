use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
};

use async_trait::async_trait;
use flota_core::{
    DeadLetter, DeadLetterState, PortResult,
    ports::{DeadLetterFilter, DeadLetterPage, DeadLetters},
};

/// Dead letters by their ids.
#[derive(Default)]
pub(super) struct MemoryDeadLetters {
    letters: Mutex<BTreeMap<String, DeadLetter>>,
}

impl MemoryDeadLetters {
    pub(super) fn letters(&self) -> MutexGuard<'_, BTreeMap<String, DeadLetter>> {
        self.letters.lock().expect("nothing panics under this lock")
    }
}

#[async_trait]
impl DeadLetters for MemoryDeadLetters {
    async fn put(&self, letter: &DeadLetter) -> PortResult<()> {
        self.letters().entry(letter.id.clone()).or_insert_with(|| letter.clone());
        Ok(())
    }

    async fn get(&self, id: &str) -> PortResult<Option<DeadLetter>> {
        Ok(self.letters().get(id).cloned())
    }

    async fn list(&self, filter: &DeadLetterFilter) -> PortResult<DeadLetterPage> {
        let letters = self.letters();
        let after = match &filter.after {
            Some(id) => match letters.get(id) {
                Some(letter) => Some((letter.created_at, id)),
                None => return Ok(DeadLetterPage::default()),
            },
            None => None,
        };
        let mut found: Vec<&DeadLetter> = letters
            .values()
            .filter(|letter| filter.include_resolved || letter.is_open())
            .filter(|letter| filter.selection.contains(letter))
            .filter(|letter| after.is_none_or(|after| (letter.created_at, &letter.id) > after))
            .collect();
        found.sort_by_key(|letter| (letter.created_at, &letter.id));
        let letters: Vec<_> = found.into_iter().take(filter.limit).cloned().collect();
        let last = letters.last().filter(|_| letters.len() == filter.limit);
        Ok(DeadLetterPage { next_after: last.map(|last| last.id.clone()), letters })
    }

    async fn open_count(&self) -> PortResult<u64> {
        Ok(self.letters().values().filter(|letter| letter.is_open()).count() as u64)
    }

    async fn decide(&self, id: &str, state: &DeadLetterState) -> PortResult<bool> {
        match self.letters().get_mut(id) {
            Some(letter) if letter.is_open() => {
                letter.state = state.clone();
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    async fn replay_ended(&self, id: &str, round: u32, succeeded: bool) -> PortResult<()> {
        if let Some(letter) = self.letters().get_mut(id) {
            letter.note_ended(round, succeeded);
        }
        Ok(())
    }
}
