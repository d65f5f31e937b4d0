use std::collections::BTreeMap;

use serde_json::Value;

use crate::harness::{Api, Home, ImageServer, Receiver, until};

/// How often processes are killed.
const ROUNDS: u32 = 20;
/// Tasks in the middle of which that happens.
const TASKS: u32 = 100;

/// Kills a worker, the server or both in the middle of a hundred tasks, again and again, on one data
/// folder. Nothing may be lost, ended twice, changed, or left without a callback.
#[tokio::test]
async fn nothing_is_lost_whoever_is_killed() {
    let (home, receiver, images) =
        (Home::new(), Receiver::start().await, ImageServer::start().await);
    let (mut server, mut worker) = home.start_fleet(&receiver).await;
    let api = home.api();
    let mut requests = Vec::new();
    for round in 0..ROUNDS {
        let addresses = (0..TASKS).map(|n| images.url(&format!("/gated/{}", round * TASKS + n)));
        let request = api.submit(&addresses.collect::<Vec<_>>(), &receiver.url()).await;
        let before = in_the_middle(round, &request, &api, &images).await;
        if round % 3 != 1 {
            worker.kill();
        }
        if round % 3 != 0 {
            server.kill();
        }
        images.open();
        if round % 3 != 0 {
            server = home.serve().await;
        }
        if round % 3 != 1 {
            worker = home.work();
        }
        check_finished(&request, TASKS, &before, &api, &receiver).await;
        images.shut();
        requests.push(request);
    }
    let ids = requests.iter().map(|request| receiver.ids_of(request));
    for (request, ids) in requests.iter().zip(ids) {
        assert_eq!(ids.into_iter().collect::<Vec<_>>(), [callback_id(request)]);
    }
    assert!(worker.is_running() && server.is_running());
}

/// Lets so many images through that the request is begun and not done: none in the first rounds,
/// later up to ninety. What has ended by then.
async fn in_the_middle(
    round: u32,
    request: &str,
    api: &Api,
    images: &ImageServer,
) -> BTreeMap<u64, Value> {
    let through = (round * 90 / ROUNDS) as usize;
    let before = images.gated_count();
    images.open_for(through);
    until("images to go through", || async {
        (images.gated_count() >= before + through).then_some(())
    })
    .await;
    // Some rounds kill while outcomes are on their way, others when some have arrived.
    if round % 2 == 1 {
        until("an outcome", || async {
            api.ended_count(request).await.filter(|count| *count > 0 || through < 20)
        })
        .await;
    }
    let outcomes = api.outcomes(request).await;
    assert!(outcomes.len() < TASKS as usize, "everything ended although the gate is shut");
    outcomes
}

/// Waits for the end of a request of `count` images: each has succeeded once, what was `before` has
/// not changed, and its callback has come.
pub(super) async fn check_finished(
    request: &str,
    count: u32,
    before: &BTreeMap<u64, Value>,
    api: &Api,
    receiver: &Receiver,
) {
    let finished = api.finished(request).await;
    assert_eq!(finished["status"], "succeeded", "{}", finished["counts"]);
    assert_eq!(finished["counts"]["total"], count);
    let outcomes = api.outcomes(request).await;
    let numbers: Vec<_> = outcomes.keys().copied().collect();
    assert_eq!(numbers, (0..u64::from(count)).collect::<Vec<_>>());
    for (n, outcome) in before {
        assert_eq!(outcomes[n], *outcome, "the outcome of task {n} has changed");
    }
    receiver.callback_of(request).await;
}

/// The one id of the callback of a request's first round.
pub(super) fn callback_id(request: &str) -> String {
    format!("msg_{}-1", request.trim_start_matches("req_"))
}
