use flota_core::{
    DeadLetterSelection, Evaluation, Replay, ReplayId, ReplayPlan, ReplayProgress, ReplayState,
    StopReason, ports::ReplayStart,
};
use uuid::Uuid;

use crate::{
    fresh::{Factory, Fresh},
    samples::{MINUTE, SECOND},
};

pub async fn every_promise(fresh: Factory) {
    a_replay_is_kept_whole(fresh()).await;
    one_runs_at_a_time_for_each_model(fresh()).await;
    one_server_at_a_time_goes_on_with_it(fresh()).await;
    one_write_of_each_revision_is_taken(fresh()).await;
    lists_begin_with_the_newest(fresh()).await;
}

fn replay(id: u128, model: &str, fresh: &Fresh) -> Replay {
    let now = fresh.now();
    let selection = DeadLetterSelection {
        model: Some(model.parse().unwrap()),
        until: Some(now),
        text: Some("Größe".to_owned()),
        ..DeadLetterSelection::default()
    };
    Replay {
        id: ReplayId(Uuid::from_u128(id)),
        model: model.parse().unwrap(),
        plan: ReplayPlan {
            selection,
            limit: Some(7),
            rate_per_second: None,
            to_version: None,
            canary_count: 10,
            max_failed_percent: 20,
        },
        by: "ann".to_owned(),
        created_at: now,
        state: ReplayState::Running,
        progress: ReplayProgress::default(),
        claimed_until: now,
        revision: 0,
    }
}

async fn kept(fresh: &Fresh, replay: &Replay) -> Replay {
    fresh.store.replays.get(replay.id).await.unwrap().unwrap()
}

async fn a_replay_is_kept_whole(fresh: Fresh) {
    let replays = &fresh.store.replays;
    let mut replay = replay(1, "cat", &fresh);
    assert_eq!(replays.get(replay.id).await.unwrap(), None);
    assert_eq!(replays.start(&replay).await.unwrap(), ReplayStart::Started);
    assert_eq!(kept(&fresh, &replay).await, replay);

    let letters = (0..100).map(|n| format!("dead_019aa5a5d3c27e3a9d1f6f0b8c7d6e5f-{n}-1"));
    replay.take(letters, fresh.now());
    replay.evaluate("dead_019aa5a5d3c27e3a9d1f6f0b8c7d6e5f-7-1", Evaluation::Failed);
    replay.progress.after = Some("dead_019aa5a5d3c27e3a9d1f6f0b8c7d6e5f-99-1".to_owned());
    assert!(replays.update(&replay).await.unwrap());
    assert_eq!(kept(&fresh, &replay).await, Replay { revision: 1, ..replay });
}

async fn one_runs_at_a_time_for_each_model(fresh: Fresh) {
    let replays = &fresh.store.replays;
    let racing: Vec<_> = (1..=8)
        .map(|id| {
            let (replays, replay) = (replays.clone(), replay(id, "cat", &fresh));
            tokio::spawn(async move { (replays.start(&replay).await.unwrap(), replay) })
        })
        .collect();
    let (mut started, mut in_the_way) = (Vec::new(), Vec::new());
    for start in racing {
        match start.await.unwrap() {
            (ReplayStart::Started, replay) => started.push(replay),
            (ReplayStart::Running(id), _) => in_the_way.push(id),
        }
    }
    assert_eq!(started.len(), 1);
    let mut first = started.remove(0);
    assert_eq!(in_the_way, [first.id; 7]);
    assert_eq!(replays.start(&replay(11, "dog", &fresh)).await.unwrap(), ReplayStart::Started);

    let (at, why) = (fresh.now(), StopReason::ByHand);
    first.state = ReplayState::Stopped { at, why, by: Some("bob".to_owned()) };
    assert!(replays.update(&first).await.unwrap());
    let next = replay(12, "cat", &fresh);
    assert_eq!(replays.start(&next).await.unwrap(), ReplayStart::Started);
    assert_eq!(kept(&fresh, &first).await.state, first.state);
    let again = replay(13, "cat", &fresh);
    assert_eq!(replays.start(&again).await.unwrap(), ReplayStart::Running(next.id));
}

async fn one_server_at_a_time_goes_on_with_it(fresh: Fresh) {
    let replays = &fresh.store.replays;
    let ids = [1, 2, 3];
    for (id, model) in ids.into_iter().zip(["cat", "dog", "cow"]) {
        replays.start(&replay(id, model, &fresh)).await.unwrap();
    }
    let claim = || {
        let (replays, now) = (replays.clone(), fresh.now());
        tokio::spawn(async move { replays.claim(now, now + MINUTE, 2).await.unwrap() })
    };
    let racing = [claim(), claim(), claim(), claim()];
    let mut claimed = Vec::new();
    for claim in racing {
        let some = claim.await.unwrap();
        assert!(some.len() <= 2);
        claimed.extend(some);
    }
    claimed.extend(claim().await.unwrap());
    claimed.sort_by_key(|replay| replay.id);
    let claimed_ids: Vec<_> = claimed.iter().map(|replay| replay.id.0.as_u128()).collect();
    assert_eq!(claimed_ids, ids);
    assert!(claimed.iter().all(|replay| replay.claimed_until == fresh.now() + MINUTE));
    assert!(claim().await.unwrap().is_empty());

    // One goes on, one ends, and the third one's server has died.
    let mut goes_on = claimed[0].clone();
    goes_on.claimed_until = fresh.now() + 2 * MINUTE;
    assert!(replays.update(&goes_on).await.unwrap());
    let mut ends = claimed[1].clone();
    ends.state = ReplayState::Completed { at: fresh.now() };
    assert!(replays.update(&ends).await.unwrap());
    fresh.advance(MINUTE);
    let again = claim().await.unwrap();
    assert_eq!(again.iter().map(|replay| replay.id).collect::<Vec<_>>(), [claimed[2].id]);
    assert!(!replays.update(&claimed[2]).await.unwrap(), "the dead one comes too late");
    assert!(replays.update(&again[0]).await.unwrap());
}

async fn one_write_of_each_revision_is_taken(fresh: Fresh) {
    let replays = &fresh.store.replays;
    let mut replay = replay(1, "cat", &fresh);
    assert!(!replays.update(&replay).await.unwrap(), "there is none");
    replays.start(&replay).await.unwrap();
    let racing: Vec<_> = (1..=8)
        .map(|count| {
            let (replays, mut replay) = (replays.clone(), replay.clone());
            replay.progress.succeeded_count = count;
            tokio::spawn(async move { replays.update(&replay).await.unwrap().then_some(count) })
        })
        .collect();
    let mut taken = Vec::new();
    for write in racing {
        taken.extend(write.await.unwrap());
    }
    assert_eq!(taken.len(), 1);
    replay.progress.succeeded_count = taken[0];
    replay.revision = 1;
    assert_eq!(kept(&fresh, &replay).await, replay);

    replay.state = ReplayState::Completed { at: fresh.now() };
    assert!(replays.update(&replay).await.unwrap());
    replay.revision += 1;
    assert!(!replays.update(&replay).await.unwrap(), "what has ended stays as it is");
}

async fn lists_begin_with_the_newest(fresh: Fresh) {
    let replays = &fresh.store.replays;
    for (id, model) in [(1, "cat"), (2, "dog"), (3, "cat")] {
        let mut replay = replay(id, model, &fresh);
        assert_eq!(replays.start(&replay).await.unwrap(), ReplayStart::Started);
        replay.state = ReplayState::Completed { at: fresh.now() };
        assert!(replays.update(&replay).await.unwrap());
        fresh.advance(SECOND);
    }
    let list = async |model: Option<&str>, limit| -> Vec<u128> {
        let model = model.map(|model| model.parse().unwrap());
        let found = replays.list(model.as_ref(), limit).await.unwrap();
        found.iter().map(|replay| replay.id.0.as_u128()).collect()
    };
    assert_eq!(list(None, 10).await, [3, 2, 1]);
    assert_eq!(list(None, 2).await, [3, 2]);
    assert_eq!(list(Some("cat"), 10).await, [3, 1]);
    assert_eq!(list(Some("cat"), 1).await, [3]);
    assert!(list(Some("cow"), 10).await.is_empty());
}
