use crate::harness::{Home, ImageServer, Receiver, image, until};

#[tokio::test]
async fn a_worker_that_is_asked_to_stop_finishes_what_it_has_begun() {
    let (home, receiver, images) =
        (Home::new(), Receiver::start().await, ImageServer::start().await);
    let (_server, mut worker) = home.start_fleet(&receiver).await;
    let api = home.api();
    let addresses: Vec<_> = (0..40).map(|n| images.url(&format!("/gated/{n}"))).collect();
    let request = api.submit(&addresses, &receiver.url()).await;
    images.open_for(5);
    until("images to go through", || async { (images.gated_count() >= 5).then_some(()) }).await;

    worker.terminate();
    images.open();
    assert!(worker.ended().await.success(), "{}", worker.log());
    let _next = home.work();
    let finished = api.finished(&request).await;
    assert_eq!(finished["counts"]["succeeded"], 40, "{finished}");
    // Giving back is no attempt, and what was begun was not begun again.
    for outcome in api.outcomes(&request).await.values() {
        assert_eq!(outcome["attempts"], 1, "{outcome}");
    }
    receiver.callback_of(&request).await;
}

#[tokio::test]
async fn a_second_signal_stops_at_once() {
    let (home, receiver, images) =
        (Home::new(), Receiver::start().await, ImageServer::start().await);
    let (_server, mut worker) = home.start_fleet(&receiver).await;
    let api = home.api();
    let request = api.submit(&[images.url("/gated/1")], &receiver.url()).await;
    until("the task to be begun", || async { images.is_waiting(1).then_some(()) }).await;
    worker.terminate();
    until("the worker to begin to stop", || async {
        worker.log().contains("signal received").then_some(())
    })
    .await;
    worker.terminate();
    let ended = worker.ended().await;
    assert_eq!(ended.code(), Some(143), "{ended}");
    images.open();
    let _next = home.work();
    assert_eq!(api.finished(&request).await["status"], "succeeded");
}

#[tokio::test]
async fn a_receiver_that_was_down_is_told_when_it_is_up() {
    let (home, mut receiver) = (Home::new(), Receiver::start().await);
    let _fleet = home.start_fleet(&receiver).await;
    let api = home.api();
    receiver.go_down().await;
    let request = api.submit(&[api.upload(image(1)).await], &receiver.url()).await;
    api.finished(&request).await;
    until("two attempts that failed", || async {
        let callback = api.request(&request).await["callbacks"][0].clone();
        let attempts = callback["attempts"].as_array()?;
        (attempts.len() >= 2 && callback["state"] == "pending").then_some(())
    })
    .await;
    assert!(receiver.received(&request).is_empty());

    receiver.come_up().await;
    receiver.callback_of(&request).await;
    until("the attempt to be logged", || async {
        let callback = api.request(&request).await["callbacks"][0].clone();
        (callback["state"] == "delivered").then_some(())
    })
    .await;
    assert_eq!(receiver.ids_of(&request).len(), 1);
}

#[tokio::test]
async fn a_callback_is_delivered_again_by_hand_under_the_same_id() {
    let (home, receiver) = (Home::new(), Receiver::start().await);
    let _fleet = home.start_fleet(&receiver).await;
    let api = home.api();
    let request = api.submit(&[api.upload(image(1)).await], &receiver.url()).await;
    receiver.callback_of(&request).await;
    let path = format!("/v1/requests/{request}/callback");
    let (status, answer) = api.post_text(&path, &[], "").await;
    assert_eq!(status.as_u16(), 202, "{answer}");
    until("the second delivery", || async {
        (receiver.received(&request).len() >= 2).then_some(())
    })
    .await;
    assert_eq!(receiver.ids_of(&request).len(), 1);
}

#[tokio::test]
async fn everything_is_there_after_everything_was_started_again() {
    let (home, receiver) = (Home::new(), Receiver::start().await);
    let (mut server, mut worker) = home.start_fleet(&receiver).await;
    let api = home.api();
    let first = api.submit(&[api.upload(image(1)).await], &receiver.url()).await;
    receiver.callback_of(&first).await;
    let before = api.outcomes(&first).await;
    worker.terminate();
    assert!(worker.ended().await.success(), "{}", worker.log());
    // Accepted while nobody works: its tasks wait.
    let waiting = api.submit(&[api.upload(image(2)).await], &receiver.url()).await;
    server.terminate();
    assert!(server.ended().await.success(), "{}", server.log());

    let _fleet = home.start_fleet(&receiver).await;
    assert_eq!(api.outcomes(&first).await, before);
    assert_eq!(api.finished(&waiting).await["status"], "succeeded");
    receiver.callback_of(&waiting).await;
    assert_eq!(receiver.ids_of(&first).len(), 1);
}
