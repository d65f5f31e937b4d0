use flota_core::{
    Code, DeadLetter, DeadLetterSelection, DeadLetterState, EventsId, Priority, QueueNames, Reason,
    Subject, TaskSource,
    ports::{DeadLetterFilter, Delivery, ReceiptHandle},
};

use crate::{
    fresh::{Factory, Fresh},
    samples::{MINUTE, SECOND, dead_task},
};

pub async fn every_promise(fresh: Factory) {
    a_dead_letter_is_kept_once(fresh()).await;
    one_decision_is_taken(fresh()).await;
    every_subject_is_kept_whole(fresh()).await;
    lists_are_filtered(fresh()).await;
    lists_are_filtered_by_time_code_and_text(fresh()).await;
    lists_are_read_page_by_page(fresh()).await;
    the_end_of_an_upload_s_replay_is_noted_once(fresh()).await;
}

fn all() -> DeadLetterFilter {
    DeadLetterFilter { include_resolved: true, limit: 100, ..DeadLetterFilter::default() }
}

fn of(selection: DeadLetterSelection) -> DeadLetterFilter {
    DeadLetterFilter { selection, ..all() }
}

/// All that `filter` lists, page by page.
async fn list(fresh: &Fresh, filter: &DeadLetterFilter) -> Vec<String> {
    let mut filter = filter.clone();
    let mut ids = Vec::new();
    loop {
        let page = fresh.store.dead_letters.list(&filter).await.unwrap();
        assert!(page.letters.len() <= filter.limit);
        ids.extend(page.letters.into_iter().map(|letter| letter.id));
        if page.next_after.is_none() {
            return ids;
        }
        assert_ne!(page.next_after, filter.after, "the list does not go on");
        filter.after = page.next_after;
    }
}

fn ids(letters: &[&DeadLetter]) -> Vec<String> {
    letters.iter().map(|letter| letter.id.clone()).collect()
}

fn discarded(at: jiff::Timestamp) -> DeadLetterState {
    DeadLetterState::Discarded { at, by: "ann".to_owned() }
}

fn replayed(round: u32, at: jiff::Timestamp) -> DeadLetterState {
    DeadLetterState::Replayed { round, at, by: "ann".to_owned(), succeeded: None }
}

/// The dead letter of a message that the queue of the cats gave up.
fn crashed(body: &str, now: jiff::Timestamp) -> DeadLetter {
    let queue = QueueNames::new("flota").tasks(&"cat".parse().unwrap(), Priority::Normal);
    let receipt = ReceiptHandle("1".to_owned());
    let delivery = Delivery { receipt, body: body.to_owned(), receive_count: 21, sent_at: now };
    DeadLetter::crashed(&queue, Some("cat".parse().unwrap()), &delivery, now)
}

/// The dead letter of a task of an upload event.
fn upload(n: u32, now: jiff::Timestamp) -> DeadLetter {
    let letter = dead_task(n, Reason::Failed, now);
    let Subject::Task { model, image, client, priority, .. } = letter.subject else {
        unreachable!()
    };
    let task = TaskSource::Upload(EventsId(uuid::Uuid::from_u128(1))).task(n);
    let subject = Subject::Task { task, round: 1, model, image, client, priority };
    DeadLetter { subject, ..letter }
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
    assert!(!letters.decide("dead_nothing", &discarded(now)).await.unwrap());
    assert_eq!(letters.open_count().await.unwrap(), 1);

    let racing: Vec<_> = (1..=8)
        .map(|round| {
            let (letters, id) = (letters.clone(), letter.id.clone());
            let state = replayed(round, now);
            tokio::spawn(async move { (letters.decide(&id, &state).await.unwrap(), state) })
        })
        .collect();
    let mut taken = Vec::new();
    for decision in racing {
        let (is_taken, state) = decision.await.unwrap();
        taken.extend(is_taken.then_some(state));
    }
    assert_eq!(taken.len(), 1);
    assert_eq!(letters.open_count().await.unwrap(), 0);
    assert!(!letters.decide(&letter.id, &discarded(now)).await.unwrap());
    let read = letters.get(&letter.id).await.unwrap().unwrap();
    assert_eq!(read, DeadLetter { state: taken[0].clone(), ..letter.clone() });
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
    letters.decide(&gone.id, &discarded(now)).await.unwrap();

    let open = DeadLetterFilter { include_resolved: false, ..all() };
    assert_eq!(list(&fresh, &all()).await, ids(&[&gone, &body, &dog, &cat]));
    assert_eq!(list(&fresh, &open).await, ids(&[&body, &dog, &cat]));
    let cats = DeadLetterSelection { model: Some("cat".parse().unwrap()), ..Default::default() };
    assert_eq!(list(&fresh, &of(cats)).await, ids(&[&gone, &cat]));
    for (reason, wanted) in [(Reason::WorkerCrashed, &cat), (Reason::Unreadable, &body)] {
        let selection = DeadLetterSelection { reason: Some(reason), ..Default::default() };
        let filter = DeadLetterFilter { selection, ..open.clone() };
        assert_eq!(list(&fresh, &filter).await, ids(&[wanted]));
    }
}

async fn lists_are_filtered_by_time_code_and_text(fresh: Fresh) {
    let (letters, now) = (&fresh.store.dead_letters, fresh.now());
    let first = dead_task(2, Reason::WorkerCrashed, now);
    let second = DeadLetter {
        message: "the Größe is wrong".to_owned(),
        history: Vec::new(),
        ..dead_task(1, Reason::AttemptsExhausted, now + SECOND)
    };
    let third = crashed("a body", now + 2 * SECOND);
    for letter in [&first, &second, &third] {
        letters.put(letter).await.unwrap();
    }
    let some = DeadLetterSelection::default;
    let time =
        DeadLetterSelection { since: Some(now + SECOND), until: Some(now + 2 * SECOND), ..some() };
    let cases = [
        (time, &second),
        (DeadLetterSelection { since: Some(now + 2 * SECOND), ..some() }, &third),
        (DeadLetterSelection { until: Some(now + SECOND), ..some() }, &first),
        (DeadLetterSelection { code: Some(Code::FetchTimeout), ..some() }, &first),
        (DeadLetterSelection { code: Some(Code::AttemptsExhausted), ..some() }, &second),
        (DeadLetterSelection { text: Some("the größe".to_owned()), ..some() }, &second),
        (DeadLetterSelection { text: Some("a BODY".to_owned()), ..some() }, &third),
    ];
    for (selection, wanted) in cases {
        let filter = DeadLetterFilter { limit: 1, ..of(selection) };
        assert_eq!(list(&fresh, &filter).await, ids(&[wanted]), "{filter:?}");
    }
}

async fn lists_are_read_page_by_page(fresh: Fresh) {
    let (letters, now) = (&fresh.store.dead_letters, fresh.now());
    for n in 0..7 {
        // Three at a time were dead-lettered in the same moment.
        let letter = dead_task(n, Reason::WorkerCrashed, now - MINUTE * (n / 3));
        letters.put(&letter).await.unwrap();
    }
    let whole = list(&fresh, &all()).await;
    let by_two = list(&fresh, &DeadLetterFilter { limit: 2, ..all() }).await;
    assert_eq!((whole.len(), &by_two), (7, &whole));
    let unknown = DeadLetterFilter { after: Some("dead_nothing".to_owned()), ..all() };
    assert!(list(&fresh, &unknown).await.is_empty());
}

async fn every_subject_is_kept_whole(fresh: Fresh) {
    let (letters, now) = (&fresh.store.dead_letters, fresh.now());
    let large = "ü".repeat(30 * 1024);
    for letter in [dead_task(1, Reason::WorkerCrashed, now), upload(2, now), crashed(&large, now)] {
        letters.put(&letter).await.unwrap();
        assert_eq!(letters.get(&letter.id).await.unwrap().as_ref(), Some(&letter));
    }
}

async fn the_end_of_an_upload_s_replay_is_noted_once(fresh: Fresh) {
    let (letters, now) = (&fresh.store.dead_letters, fresh.now());
    let letter = upload(2, now);
    letters.put(&letter).await.unwrap();
    let state = async || letters.get(&letter.id).await.unwrap().unwrap().state;
    letters.replay_ended(&letter.id, 2, true).await.unwrap();
    letters.replay_ended("dead_nothing", 2, true).await.unwrap();
    assert_eq!(state().await, DeadLetterState::Open);

    assert!(letters.decide(&letter.id, &replayed(2, now)).await.unwrap());
    letters.replay_ended(&letter.id, 1, true).await.unwrap();
    assert_eq!(state().await, replayed(2, now));
    for succeeded in [false, true] {
        letters.replay_ended(&letter.id, 2, succeeded).await.unwrap();
        let DeadLetterState::Replayed { succeeded, .. } = state().await else { unreachable!() };
        assert_eq!(succeeded, Some(false), "what is noted first stays");
    }
}
