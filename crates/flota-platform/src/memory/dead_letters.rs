use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
};

use async_trait::async_trait;
use flota_core::{
    DeadLetter, DeadLetterState, PortResult, Subject,
    ports::{DeadLetterFilter, DeadLetters},
};

/// Dead letters by their ids.
#[derive(Default)]
pub(super) struct MemoryDeadLetters {
    letters: Mutex<BTreeMap<String, DeadLetter>>,
}

impl MemoryDeadLetters {
    fn letters(&self) -> MutexGuard<'_, BTreeMap<String, DeadLetter>> {
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

    async fn list(&self, filter: &DeadLetterFilter) -> PortResult<Vec<DeadLetter>> {
        let letters = self.letters();
        let after = match &filter.after {
            Some(id) => match letters.get(id) {
                Some(letter) => Some((letter.created_at, id)),
                None => return Ok(Vec::new()),
            },
            None => None,
        };
        let mut found: Vec<&DeadLetter> = letters
            .values()
            .filter(|letter| matches(letter, filter))
            .filter(|letter| after.is_none_or(|after| (letter.created_at, &letter.id) > after))
            .collect();
        found.sort_by_key(|letter| (letter.created_at, &letter.id));
        Ok(found.into_iter().take(filter.limit).cloned().collect())
    }

    async fn decide(&self, id: &str, state: DeadLetterState) -> PortResult<bool> {
        match self.letters().get_mut(id) {
            Some(letter) if letter.state == DeadLetterState::Open => {
                letter.state = state;
                Ok(true)
            }
            _ => Ok(false),
        }
    }
}

fn matches(letter: &DeadLetter, filter: &DeadLetterFilter) -> bool {
    let model = match &letter.subject {
        Subject::Task { model, .. } => Some(model),
        Subject::Message { .. } => None,
    };
    (filter.model.is_none() || filter.model.as_ref() == model)
        && filter.reason.is_none_or(|reason| reason == letter.reason)
        && (filter.decided || letter.state == DeadLetterState::Open)
}
