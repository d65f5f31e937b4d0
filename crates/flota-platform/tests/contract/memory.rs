use crate::{
    aliases, callbacks, dead_letters, fresh::in_memory, images, leases, models, predictions, queue,
    replays, requests, retention, rounds,
};

#[tokio::test]
async fn the_queue_keeps_its_promises() {
    queue::every_promise(in_memory).await;
}

#[tokio::test]
async fn leases_keep_their_promises() {
    leases::every_promise(in_memory).await;
    leases::every_promise_about_our_clock(in_memory).await;
}

#[tokio::test]
async fn requests_keep_their_promises() {
    requests::every_promise(in_memory).await;
}

#[tokio::test]
async fn rounds_keep_their_promises() {
    rounds::every_promise(in_memory).await;
    rounds::every_promise_about_our_clock(in_memory).await;
}

#[tokio::test]
async fn aliases_keep_their_promises() {
    aliases::every_promise(in_memory).await;
}

#[tokio::test]
async fn callbacks_keep_their_promises() {
    callbacks::every_promise(in_memory).await;
}

#[tokio::test]
async fn predictions_keep_their_promises() {
    predictions::every_promise(in_memory).await;
}

#[tokio::test]
async fn dead_letters_keep_their_promises() {
    dead_letters::every_promise(in_memory).await;
}

#[tokio::test]
async fn replays_keep_their_promises() {
    replays::every_promise(in_memory).await;
}

#[tokio::test]
async fn models_keep_their_promises() {
    models::every_promise(in_memory).await;
}

#[tokio::test]
async fn images_keep_their_promises() {
    images::every_promise(in_memory).await;
}

#[tokio::test]
async fn retention_keeps_its_promises() {
    retention::every_promise(in_memory).await;
}
