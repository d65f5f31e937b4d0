use flota_core::{
    ModelVersion, Sha256,
    limits::MAX_MESSAGE_AGE,
    ports::{RegistrationOutcome, WorkerHeartbeat},
};
use jiff::Timestamp;

use crate::{
    fresh::{Factory, Fresh},
    samples::{MINUTE, SECOND, registration},
};

pub async fn every_promise(fresh: Factory) {
    the_last_registered_version_is_the_current_one(fresh()).await;
    a_version_never_changes_its_digest(fresh()).await;
    a_dev_version_may_change(fresh()).await;
    a_version_keeps_the_time_of_its_first_registration(fresh()).await;
    who_served_a_model_before_is_remembered(fresh()).await;
    workers_are_counted_while_they_live(fresh()).await;
}

fn line(instance: &str, version: &str, until: Timestamp) -> WorkerHeartbeat {
    let model = "cat".parse().unwrap();
    WorkerHeartbeat {
        instance: instance.to_owned(),
        worker: "cat".parse().unwrap(),
        models: vec![(model, ModelVersion(version.to_owned()))],
        until,
        drained_to: None,
        throughput: Default::default(),
    }
}

async fn the_last_registered_version_is_the_current_one(fresh: Fresh) {
    let (models, now) = (&fresh.store.models, fresh.now());
    let (cat, dog) = ("cat".parse().unwrap(), "dog".parse().unwrap());
    assert_eq!(models.get(&cat, now).await.unwrap(), None);
    assert!(models.list(now).await.unwrap().is_empty());
    for (version, digest) in [("1", "a"), ("2", "b"), ("1", "a")] {
        let registration = registration(version, digest, now);
        let outcome = models.register(&registration).await.unwrap();
        assert_eq!(outcome, RegistrationOutcome::Registered);
        let current = models.get(&cat, now).await.unwrap().unwrap();
        assert_eq!((current.registration, current.workers_alive), (registration, 0));
    }
    let mut other = registration("7", "c", now);
    other.manifest.name = dog;
    other.manifest.batch.max_size = 3;
    models.register(&other).await.unwrap();
    let listed = models.list(now).await.unwrap();
    let listed: Vec<_> = listed.into_iter().map(|model| model.registration).collect();
    assert_eq!(listed, [registration("1", "a", now), other]);
}

async fn a_version_never_changes_its_digest(fresh: Fresh) {
    let (models, now) = (&fresh.store.models, fresh.now());
    models.register(&registration("1", "a", now)).await.unwrap();
    models.register(&registration("2", "b", now)).await.unwrap();
    let outcome = models.register(&registration("1", "other", now)).await.unwrap();
    assert_eq!(outcome, RegistrationOutcome::Conflict(Sha256::of(b"a")));
    let current = models.get(&"cat".parse().unwrap(), now).await.unwrap().unwrap();
    assert_eq!(current.registration, registration("2", "b", now), "a refusal changes nothing");
}

async fn a_dev_version_may_change(fresh: Fresh) {
    let (models, now) = (&fresh.store.models, fresh.now());
    for digest in ["a", "b"] {
        let registration = registration("1-dev", digest, now);
        let outcome = models.register(&registration).await.unwrap();
        assert_eq!(outcome, RegistrationOutcome::Registered);
        let current = models.get(&"cat".parse().unwrap(), now).await.unwrap().unwrap();
        assert_eq!(current.registration, registration);
    }
}

async fn a_version_keeps_the_time_of_its_first_registration(fresh: Fresh) {
    let (models, now) = (&fresh.store.models, fresh.now());
    let cat = "cat".parse().unwrap();
    for (digest, at, since) in
        [("a", now, now), ("a", now + SECOND, now), ("b", now + MINUTE, now + MINUTE)]
    {
        let mut again = registration("1-dev", digest, at);
        again.manifest.batch.max_size = 3;
        models.register(&again).await.unwrap();
        let current = models.get(&cat, now).await.unwrap().unwrap();
        assert_eq!(current.registration.at, since);
        assert_eq!(current.registration.manifest, again.manifest, "the rest is the last one's");
    }
}

async fn who_served_a_model_before_is_remembered(fresh: Fresh) {
    let (models, now) = (&fresh.store.models, fresh.now());
    let move_to = async |worker: &str, version: &str, at| {
        let mut moved = registration(version, version, at);
        moved.worker = worker.parse().unwrap();
        models.register(&moved).await.unwrap();
        let current = models.get(&"cat".parse().unwrap(), at).await.unwrap().unwrap().registration;
        assert_eq!(current.worker, moved.worker);
        let former = current.former_workers.into_iter();
        former.map(|(worker, until)| (worker.to_string(), until)).collect::<Vec<_>>()
    };
    let until = |worker: &str, at: Timestamp| (worker.to_owned(), at);
    assert_eq!(move_to("cat", "1", now).await, []);
    let first = now + MINUTE;
    assert_eq!(move_to("photo", "1", first).await, [until("cat", first)]);
    assert_eq!(move_to("photo", "2", first + MINUTE).await, [until("cat", first)]);
    let second = now + MAX_MESSAGE_AGE;
    assert_eq!(move_to("cat", "2", second).await, [until("photo", second)], "it serves again");
    let third = second + MINUTE;
    let both = [until("cat", third), until("photo", second)];
    assert_eq!(move_to("other", "2", third).await, both);
    let late = second + MAX_MESSAGE_AGE;
    assert_eq!(move_to("other", "2", late).await, [until("cat", third)], "nothing lies there now");
}

async fn workers_are_counted_while_they_live(fresh: Fresh) {
    let (models, now) = (&fresh.store.models, fresh.now());
    models.register(&registration("1", "a", now)).await.unwrap();
    let alive = async |at: Timestamp| {
        let model = models.get(&"cat".parse().unwrap(), at).await.unwrap().unwrap();
        let workers_alive = model.workers_alive;
        assert_eq!(models.list(at).await.unwrap(), [model]);
        workers_alive
    };
    models.alive(&line("one", "1", now + MINUTE)).await.unwrap();
    models.alive(&line("two", "1", now + SECOND)).await.unwrap();
    models.alive(&line("old", "0", now + MINUTE)).await.unwrap();
    let elsewhere =
        WorkerHeartbeat { worker: "photo".parse().unwrap(), ..line("far", "1", now + MINUTE) };
    models.alive(&elsewhere).await.unwrap();
    assert_eq!(alive(now).await, 3, "those of every version that take the tasks, and no others");
    models.gone("far").await.unwrap();
    assert_eq!(alive(now + SECOND).await, 2, "two is taken for dead");
    models.alive(&line("two", "1", now + MINUTE)).await.unwrap();
    assert_eq!(alive(now + SECOND).await, 3, "two was only late");
    models.alive(&line("one", "2", now + MINUTE)).await.unwrap();
    let model = models.get(&"cat".parse().unwrap(), now).await.unwrap().unwrap();
    let by_version: Vec<_> = model
        .alive_by_version
        .iter()
        .map(|(version, count)| (version.0.as_str(), *count))
        .collect();
    assert_eq!(by_version, [("0", 1), ("1", 1), ("2", 1)]);
    assert!(model.is_current_alive());
    let two = WorkerHeartbeat { drained_to: Some(now), ..line("two", "1", now + MINUTE) };
    models.alive(&two).await.unwrap();
    models.alive(&line("late", "1", now)).await.unwrap();
    let mut workers = models.workers(now).await.unwrap();
    workers.sort_by(|a, b| a.instance.cmp(&b.instance));
    let others = [line("old", "0", now + MINUTE), line("one", "2", now + MINUTE)];
    assert_eq!(workers, [&others[..], &[two]].concat());
    models.gone("two").await.unwrap();
    models.gone("nobody").await.unwrap();
    assert_eq!(alive(now).await, 2);
    let model = models.get(&"cat".parse().unwrap(), now).await.unwrap().unwrap();
    assert!(!model.is_current_alive());
    let is_registered = async |version: &str| {
        let version = ModelVersion(version.to_owned());
        models.is_registered(&"cat".parse().unwrap(), &version).await.unwrap()
    };
    assert!(is_registered("1").await && !is_registered("2").await);
}
