use flota_core::{DeadLetter, DeadLetterState, Reason, ports::DeadLetterFilter};

use crate::{
    fresh::{Factory, Fresh},
    samples::{MINUTE, SECOND, dead_task},
};

pub async fn every_promise(fresh: Factory) {
    a_dead_letter_is_kept_once(fresh()).await;
    one_decision_is_taken(fresh()).await;
    lists_are_filtered(fresh()).await;
    lists_are_read_page_by_page(fresh()).await;
}

fn all() -> DeadLetterFilter {
    DeadLetterFilter { decided: true, limit: 100, ..DeadLetterFilter::default() }
}

async fn list(fresh: &Fresh, filter: &DeadLetterFilter) -> Vec<String> {
    let letters = fresh.store.dead_letters.list(filter).await.unwrap();
    letters.into_iter().map(|letter| letter.id).collect()
}

async fn a_dead_letter_is_kept_once(fresh: Fresh) {
    let (letters, now) = (&fresh.store.dead_letters, fresh.now());
    let first = dead_task(1, Reason::WorkerCrashed, now);
    let late = DeadLetter { message: "late".to_owned(), ..first.clone() };
    letters.put(&first).await.unwrap();
    letters.put(&late).await.unwrap();
    let unreadable = DeadLetter::unreadable("tasks", "{", "not JSON".to_owned(), now);
    letters.put(&unreadable).await.unwrap();
    assert_eq!(letters.get(&first.id).await.unwrap().as_ref(), Some(&first));
    assert_eq!(letters.get(&unreadable.id).await.unwrap().as_ref(), Some(&unreadable));
    assert_eq!(letters.get("dead_nothing").await.unwrap(), None);
}

async fn one_decision_is_taken(fresh: Fresh) {
    let (letters, now) = (&fresh.store.dead_letters, fresh.now());
    let letter = dead_task(1, Reason::WorkerCrashed, now);
    letters.put(&letter).await.unwrap();
    let discarded = DeadLetterState::Discarded { at: now };
    assert!(!letters.decide("dead_nothing", discarded).await.unwrap());

    let racing: Vec<_> = (1..=8)
        .map(|round| {
            let (letters, id) = (letters.clone(), letter.id.clone());
            let state = DeadLetterState::Replayed { round, at: now };
            tokio::spawn(async move { (letters.decide(&id, state).await.unwrap(), state) })
        })
        .collect();
    let mut taken = Vec::new();
    for decision in racing {
        let (is_taken, state) = decision.await.unwrap();
        taken.extend(is_taken.then_some(state));
    }
    assert_eq!(taken.len(), 1);
    assert!(!letters.decide(&letter.id, discarded).await.unwrap());
    let read = letters.get(&letter.id).await.unwrap().unwrap();
    assert_eq!(read, DeadLetter { state: taken[0], ..letter.clone() });
    letters.put(&letter).await.unwrap();
    assert_eq!(letters.get(&letter.id).await.unwrap().unwrap().state, taken[0]);
}

async fn lists_are_filtered(fresh: Fresh) {
    let (letters, now) = (&fresh.store.dead_letters, fresh.now());
    let cat = dead_task(2, Reason::WorkerCrashed, now + 3 * SECOND);
    let dog = dead_task(1, Reason::AttemptsExhausted, now + 2 * SECOND);
    let body = DeadLetter::unreadable("tasks", "{", "not JSON".to_owned(), now + SECOND);
    let gone = dead_task(4, Reason::WorkerCrashed, now);
    for letter in [&cat, &dog, &body, &gone] {
        letters.put(letter).await.unwrap();
    }
    letters.decide(&gone.id, DeadLetterState::Discarded { at: now }).await.unwrap();

    let ids = |letters: &[&DeadLetter]| -> Vec<String> {
        letters.iter().map(|letter| letter.id.clone()).collect()
    };
    let open = DeadLetterFilter { decided: false, ..all() };
    assert_eq!(list(&fresh, &all()).await, ids(&[&gone, &body, &dog, &cat]));
    assert_eq!(list(&fresh, &open).await, ids(&[&body, &dog, &cat]));
    let cats = DeadLetterFilter { model: Some("cat".parse().unwrap()), ..all() };
    assert_eq!(list(&fresh, &cats).await, ids(&[&gone, &cat]));
    let crashed = DeadLetterFilter { reason: Some(Reason::WorkerCrashed), ..open.clone() };
    assert_eq!(list(&fresh, &crashed).await, ids(&[&cat]));
    let unreadable = DeadLetterFilter { reason: Some(Reason::Unreadable), ..open };
    assert_eq!(list(&fresh, &unreadable).await, ids(&[&body]));
}

async fn lists_are_read_page_by_page(fresh: Fresh) {
    let (letters, now) = (&fresh.store.dead_letters, fresh.now());
    for n in 0..7 {
        // Three at a time were put away in the same moment.
        let letter = dead_task(n, Reason::WorkerCrashed, now - MINUTE * (n / 3));
        letters.put(&letter).await.unwrap();
    }
    let whole = list(&fresh, &all()).await;
    let mut pages = Vec::new();
    let mut filter = DeadLetterFilter { limit: 2, ..all() };
    loop {
        let page = list(&fresh, &filter).await;
        assert!(page.len() <= 2);
        let Some(last) = page.last() else { break };
        filter.after = Some(last.clone());
        pages.extend(page);
    }
    assert_eq!((whole.len(), &pages), (7, &whole));
    let unknown = DeadLetterFilter { after: Some("dead_nothing".to_owned()), ..all() };
    assert!(list(&fresh, &unknown).await.is_empty());
}
