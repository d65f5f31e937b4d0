use std::collections::BTreeMap;

use super::{TASKS, provisioned};
use crate::{
    harness::{Cloud, ImageServer, Receiver, until},
    journeys::kills::check_finished,
};

/// What SQS gives up becomes a dead letter, and its tasks are sent again.
#[tokio::test]
async fn dlqs_are_emptied_into_the_dead_letters() {
    let (cloud, receiver, images) =
        (provisioned().await, Receiver::start().await, ImageServer::start().await);
    let cloud = cloud.with("FLOTA__SWEEPER__RESEND_MS", "2000");
    // A queue of the fleet gives a message up much later.
    cloud.give_up_after(TASKS, 5).await;
    receiver.trust(&Cloud::secret());
    let _server = cloud.home.serve().await;
    let api = cloud.home.api();
    let request = api.submit(&[images.url("/image/1")], &receiver.url()).await;
    // As workers would that end before they can ack it.
    until("the queue to give the message up", || async {
        cloud.receive(TASKS, 0).await;
        let page = api.get("/v1/dead-letters?reason=CRASHED").await.1;
        page["dead_letters"].as_array().is_some_and(|letters| !letters.is_empty()).then_some(())
    })
    .await;
    cloud.send(&format!("{TASKS}-dead"), &["no message of ours".to_owned()]).await;
    until("the other message to be found", || async {
        let page = api.get("/v1/dead-letters?reason=UNREADABLE").await.1;
        page["dead_letters"].as_array().is_some_and(|letters| letters.len() == 1).then_some(())
    })
    .await;

    // What was found there is acknowledged a moment after it is told.
    until("the dead-letter queue to be empty", || async {
        (cloud.message_count(&format!("{TASKS}-dead")).await == 0).then_some(())
    })
    .await;
    let _worker = cloud.start("worker").await;
    check_finished(&request, 1, &BTreeMap::new(), &api, &receiver).await;
    cloud.drained().await;
}
