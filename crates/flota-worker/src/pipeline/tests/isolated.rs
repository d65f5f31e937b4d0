use flota_core::{Code, Ending, Fault, Outcome, PackKey, Reason, TaskOutcome, Timings};

use super::fleet::{Fleet, endings, pack, wanted};

const COLORS: [[u8; 3]; 4] = [[1, 1, 1], [2, 2, 2], [3, 3, 3], [4, 4, 4]];

#[tokio::test]
async fn redelivered_tasks_run_isolated_least_begun_first_and_are_counted_before() {
    let fleet = Fleet::new("1", 4);
    let mut addresses = Vec::new();
    for color in COLORS {
        addresses.push(fleet.upload(color).await);
    }
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let mut message = pack(1, &addresses);
    let fault = Fault::new(fleet.platform.clock.now(), Code::FetchTimeout, "no answer");
    message.tasks[2].faults = vec![fault.clone()];
    fleet.send(&message).await;
    // A worker that died had it.
    assert_eq!(fleet.receive_once().await.len(), 1);
    let requests = &fleet.platform.requests;
    let task = |n| message.source.task(n);
    for (n, times) in [(0, 2), (2, 3)] {
        for _ in 0..times {
            requests.count_attempt(task(n), 1).await.unwrap();
        }
    }
    let recorded = TaskOutcome {
        n: 3,
        outcome: Outcome {
            ending: Ending::Canceled,
            attempts: 1,
            timings: Timings::default(),
            ended_at: fleet.platform.clock.now(),
        },
    };
    let key = PackKey { round: message.round().unwrap(), pack: message.pack };
    requests.record(key, &[recorded]).await.unwrap();

    let worker = fleet.start();
    let outcomes = fleet.outcomes(3).await;
    fleet.stop.cancel();
    worker.await.unwrap();

    assert_eq!(fleet.batches(), [[COLORS[1]], [COLORS[0]]]);
    let ends = [(0, "succeeded"), (1, "succeeded"), (2, "WORKER_CRASHED")];
    assert_eq!(endings(&outcomes), wanted(&ends));
    assert!(outcomes.iter().all(|message| message.outcomes.len() == 1));
    for (n, counted) in [(0, 3), (1, 1), (2, 3), (3, 0)] {
        assert_eq!(requests.attempts(task(n), 1).await.unwrap(), counted, "task {n}");
    }
    let letters: Vec<_> = outcomes.iter().flat_map(|message| &message.dead_letters).collect();
    let [letter] = letters.as_slice() else { panic!("one dead letter, not {}", letters.len()) };
    assert_eq!((letter.reason, letter.attempts), (Reason::WorkerCrashed, 3));
    assert_eq!(letter.history, [fault]);
    assert!(fleet.receive_once().await.is_empty());
}

#[tokio::test]
async fn a_first_receipt_counts_nothing() {
    let fleet = Fleet::new("1", 1);
    let address = fleet.upload(COLORS[0]).await;
    let message = pack(1, &[&address]);
    fleet.send(&message).await;
    fleet.start();
    fleet.outcomes(1).await;
    let task = message.source.task(0);
    assert_eq!(fleet.platform.requests.attempts(task, 1).await.unwrap(), 0);
}

/// Runs a pack of four that was received before; the batches that came of it.
async fn batches_of(counted: &[u32], attempts: usize) -> Vec<usize> {
    let mut fleet = Fleet::new("1", 4);
    fleet.settings.worker.attempts = std::num::NonZeroUsize::new(attempts);
    let mut addresses = Vec::new();
    for color in COLORS {
        addresses.push(fleet.upload(color).await);
    }
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let message = pack(1, &addresses);
    fleet.send(&message).await;
    assert_eq!(fleet.receive_once().await.len(), 1);
    let requests = &fleet.platform.requests;
    for n in counted {
        requests.count_attempt(message.source.task(*n), 1).await.unwrap();
    }
    let worker = fleet.start();
    let outcomes = fleet.outcomes(4).await;
    fleet.stop.cancel();
    worker.await.unwrap();
    assert!(endings(&outcomes).iter().all(|(_, ending)| ending == "succeeded"));
    for n in 0..4 {
        let before = u32::from(counted.contains(&n));
        let now = requests.attempts(message.source.task(n), 1).await.unwrap();
        assert_eq!(now, before + 1, "each is counted, once");
    }
    fleet.batches().iter().map(Vec::len).collect()
}

#[tokio::test]
async fn a_pack_is_halved_before_its_tasks_run_one_by_one() {
    assert_eq!(batches_of(&[], 3).await, [2, 2]);
    // What was in a half that ended its process runs alone, after the others.
    assert_eq!(batches_of(&[0], 3).await, [2, 1, 1]);
    // Who may be begun once only may not be blamed for another.
    assert_eq!(batches_of(&[], 1).await, [1, 1, 1, 1]);
}
