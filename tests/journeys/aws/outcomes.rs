use std::collections::BTreeMap;

use super::{OUTCOMES, TASKS, provisioned};
use crate::{
    harness::{Cloud, ImageServer, Receiver, until},
    journeys::kills::{callback_id, check_finished},
};

const REQUESTS: u32 = 10;
const IMAGES: u32 = 20;

/// Two recorders at once are told of every outcome twice and in no order. Each is recorded once.
#[tokio::test]
async fn two_recorders_record_repeated_and_reordered_outcomes_once() {
    let (cloud, receiver, images) =
        (provisioned().await, Receiver::start().await, ImageServer::start().await);
    receiver.trust(&Cloud::secret());
    let _api = cloud.start("api").await;
    let _worker = cloud.start("worker").await;
    cloud.home.model_known().await;
    let api = cloud.home.api();
    let mut requests = Vec::new();
    for request in 0..REQUESTS {
        let seeds = (request * IMAGES)..((request + 1) * IMAGES);
        let addresses: Vec<_> = seeds.map(|seed| images.url(&format!("/image/{seed}"))).collect();
        requests.push(api.submit(&addresses, &receiver.url()).await);
    }
    until("all tasks to be done", || async {
        (cloud.message_count(TASKS).await == 0).then_some(())
    })
    .await;
    repeat_in_reverse(&cloud, OUTCOMES).await;

    let _recorders = [cloud.start("recorder").await, cloud.start("recorder").await];
    let _others = [cloud.start("notifier").await, cloud.start("ingest").await];
    for request in &requests {
        check_finished(request, IMAGES, &BTreeMap::new(), &api, &receiver).await;
    }
    cloud.drained().await;
    for request in &requests {
        assert_eq!(api.request(request).await["counts"]["succeeded"], IMAGES);
        let ids: Vec<_> = receiver.ids_of(request).into_iter().collect();
        assert_eq!(ids, [callback_id(request)]);
    }
}

/// Takes all messages off a queue and sends each of them twice, the last first.
async fn repeat_in_reverse(cloud: &Cloud, queue: &str) {
    let mut bodies = Vec::new();
    while cloud.message_count(queue).await > 0 {
        for message in cloud.receive(queue, 60).await {
            cloud.ack(queue, &message).await;
            bodies.push(message.body.expect("a message has a body"));
        }
    }
    assert!(bodies.len() >= REQUESTS as usize, "{}", bodies.len());
    bodies.reverse();
    for _ in 0..2 {
        cloud.send(queue, &bodies).await;
    }
}
