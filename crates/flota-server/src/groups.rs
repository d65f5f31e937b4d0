//! Counts dead letters by model and reason.

use std::collections::BTreeMap;

use flota_core::{
    DeadLetter, DeadLetterSelection, ModelName, PortResult, Reason,
    ports::{DeadLetterFilter, DeadLetters},
};
use jiff::Timestamp;

/// Most dead letters that are counted.
const MAX_COUNTED: u64 = 100_000;
/// Dead letters per read.
const PAGE: usize = 500;

/// Numbers of dead letters.
#[derive(Debug)]
pub(crate) struct Groups {
    /// The groups, largest first.
    pub(crate) groups: Vec<Group>,
    /// Whether all dead letters were counted.
    pub(crate) is_complete: bool,
}

/// Dead letters of one model and reason.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) model: Option<ModelName>,
    pub(crate) reason: Reason,
    pub(crate) count: u64,
    pub(crate) oldest_at: Timestamp,
    pub(crate) newest_at: Timestamp,
    /// The last error of its newest dead letter.
    pub(crate) message: String,
}

impl Groups {
    /// Counts the dead letters of `selection`, up to [`MAX_COUNTED`].
    pub(crate) async fn count(
        dead_letters: &dyn DeadLetters,
        selection: &DeadLetterSelection,
        include_resolved: bool,
    ) -> PortResult<Self> {
        let selection = selection.clone();
        let mut filter = DeadLetterFilter { selection, include_resolved, after: None, limit: PAGE };
        let mut groups = BTreeMap::new();
        let mut counted = 0;
        loop {
            let page = dead_letters.list(&filter).await?;
            counted += page.letters.len() as u64;
            page.letters.into_iter().for_each(|letter| add(&mut groups, letter));
            filter.after = page.next_after;
            if filter.after.is_none() || counted >= MAX_COUNTED {
                break;
            }
        }
        let mut groups: Vec<Group> = groups.into_values().collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.count));
        Ok(Self { groups, is_complete: filter.after.is_none() })
    }

    /// The number of dead letters in all groups.
    pub(crate) fn count_all(&self) -> u64 {
        self.groups.iter().map(|group| group.count).sum()
    }
}

/// Adds a dead letter. They must come oldest first.
fn add(groups: &mut BTreeMap<(Option<ModelName>, Reason), Group>, letter: DeadLetter) {
    let key = (letter.model().cloned(), letter.reason);
    let DeadLetter { reason, message, created_at, .. } = letter;
    let new = |model| Group {
        model,
        reason,
        count: 0,
        oldest_at: created_at,
        newest_at: created_at,
        message: String::new(),
    };
    let model = key.0.clone();
    let group = groups.entry(key).or_insert_with(|| new(model));
    group.count += 1;
    group.newest_at = created_at;
    group.message = message;
}
