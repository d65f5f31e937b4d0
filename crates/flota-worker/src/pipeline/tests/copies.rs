use flota_core::{Ending, Outcome, PackKey, Resend, TaskOutcome, TasksMessage, Timings};

use super::fleet::{Fleet, endings, pack, wanted};

async fn fleet_and_pack() -> (Fleet, TasksMessage) {
    let fleet = Fleet::new("1", 1);
    let addresses = [fleet.upload([1, 1, 1]).await, fleet.upload([2, 2, 2]).await];
    let message = pack(1, &[addresses[0].as_str(), addresses[1].as_str()]);
    (fleet, message)
}

/// Notes `copy` as the last one that was sent, and an outcome for task 0.
async fn note(fleet: &Fleet, message: &TasksMessage, copy: u32) {
    let (requests, now) = (&fleet.platform.requests, fleet.platform.clock.now());
    let key = message.pack_key().unwrap();
    let (ending, timings) = (Ending::Canceled, Timings::default());
    let outcome = Outcome { ending, attempts: 1, timings, ended_at: now };
    requests.record(key, &[TaskOutcome { n: 0, outcome }]).await.unwrap();
    requests.set_resent(key, Resend { copy, sent_at: now }).await.unwrap();
}

#[tokio::test]
async fn an_older_copy_is_dropped_and_the_last_runs_what_is_open() {
    let (fleet, message) = fleet_and_pack().await;
    note(&fleet, &message, 2).await;
    fleet.send(&TasksMessage { copy: 1, ..message.clone() }).await;
    fleet.send(&TasksMessage { copy: 2, ..message.clone() }).await;
    let worker = fleet.start();
    let outcomes = fleet.outcomes(1).await;
    fleet.stop.cancel();
    worker.await.unwrap();
    assert_eq!(endings(&outcomes), wanted(&[(1, "succeeded")]));
    assert_eq!(fleet.batches(), [[[2, 2, 2]]]);
    assert!(fleet.receive_once().await.is_empty());
}

#[tokio::test]
async fn what_waited_so_long_that_it_may_be_copied_is_looked_up() {
    let (mut fleet, message) = fleet_and_pack().await;
    note(&fleet, &message, 1).await;
    fleet.settings.sweeper.resend = std::time::Duration::ZERO;
    fleet.send(&message).await;
    let other = PackKey { pack: 1, ..message.pack_key().unwrap() };
    fleet.send(&TasksMessage { pack: other.pack, ..message.clone() }).await;
    let worker = fleet.start();
    let outcomes = fleet.outcomes(2).await;
    fleet.stop.cancel();
    worker.await.unwrap();
    assert!(outcomes.iter().all(|message| message.pack == other.pack));
    assert!(fleet.receive_once().await.is_empty());
}
