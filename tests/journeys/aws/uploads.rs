use super::provisioned;
use crate::{
    harness::{Cloud, Receiver, image, until},
    journeys::requests::check_callback,
};

#[tokio::test]
async fn a_request_ends_in_a_verified_callback() {
    let (cloud, receiver) = (provisioned().await, Receiver::start().await);
    let mut fleet = cloud.start_fleet(&receiver).await;
    check_callback(&cloud.home.api(), &receiver).await;
    cloud.drained().await;
    assert!(fleet.is_running());
}

#[tokio::test]
async fn what_is_uploaded_is_looked_at_without_anybody_asking() {
    let (cloud, receiver) = (Cloud::new().await, Receiver::start().await);
    cloud.provision(Some(&receiver)).await;
    let mut fleet = cloud.start_fleet(&receiver).await;
    let api = cloud.home.api();
    let keys = [
        "uploads/plain.png",
        "uploads/a b+c.png",
        "uploads/100%.png",
        "uploads/%2B/größe-日本.png",
        "told/one.png",
    ];
    let images: Vec<_> = (0..keys.len() as u32).map(image).collect();
    cloud.upload("elsewhere/unasked.png", image(100)).await;
    for (key, bytes) in keys.iter().zip(&images) {
        cloud.upload(key, bytes.clone()).await;
    }
    api.predicted(&images).await;

    let request = until("the callback of the upload that is told", || async {
        receiver.requests().into_iter().next()
    })
    .await;
    assert_eq!(api.finished(&request).await["status"], "succeeded");
    // Known content under another name, and a deletion.
    cloud.upload("uploads/again.png", images[0].clone()).await;
    cloud.delete(keys[0]).await;
    cloud.drained().await;
    assert_eq!(api.prediction(&image(100)).await, None);
    assert_eq!(receiver.requests().len(), 1);
    assert_eq!(api.get("/v1/dead-letters").await.1["dead_letters"], serde_json::json!([]));
    assert!(fleet.is_running());
}
