use crate::{
    aliases, callbacks, dead_letters, fresh::embedded, images, leases, models, predictions, queue,
    replays, requests, retention, rounds,
};

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_keeps_its_promises() {
    queue::every_promise(embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_keep_their_promises() {
    leases::every_promise(embedded).await;
    leases::every_promise_about_our_clock(embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_keep_their_promises() {
    requests::every_promise(embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rounds_keep_their_promises() {
    rounds::every_promise(embedded).await;
    rounds::every_promise_about_our_clock(embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aliases_keep_their_promises() {
    aliases::every_promise(embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn callbacks_keep_their_promises() {
    callbacks::every_promise(embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn predictions_keep_their_promises() {
    predictions::every_promise(embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_keep_their_promises() {
    dead_letters::every_promise(embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replays_keep_their_promises() {
    replays::every_promise(embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn models_keep_their_promises() {
    models::every_promise(embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn images_keep_their_promises() {
    images::every_promise(embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_keeps_its_promises() {
    retention::every_promise(embedded).await;
}
