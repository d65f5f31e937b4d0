use futures::future::join_all;
use reqwest::StatusCode;
use serde_json::json;

use crate::harness::{Api, Home, ImageServer, MODEL, Receiver, image};

#[tokio::test]
async fn a_request_ends_in_a_verified_callback() {
    let (home, receiver) = (Home::new(), Receiver::start().await);
    let _fleet = home.start_fleet(&receiver).await;
    check_callback(&home.api(), &receiver).await;
}

/// Submits an image that was uploaded and one that lies elsewhere.
pub(super) async fn check_callback(api: &Api, receiver: &Receiver) {
    let images = ImageServer::start().await;
    let addresses = [api.upload(image(1)).await, images.url("/image/2")];
    let request = api.submit(&addresses, &receiver.url()).await;

    let callback = receiver.callback_of(&request).await;
    assert_eq!(callback.id, format!("msg_{}-1", request.trim_start_matches("req_")));
    assert_eq!(callback.body["type"], "request.finished");
    assert_eq!(callback.body["data"]["status"], "succeeded");
    assert_eq!(api.request(&request).await["terminal"], true);
    for outcome in api.outcomes(&request).await.values() {
        let scores = &outcome["prediction"]["output"]["scores"];
        assert_eq!(scores.as_array().map(Vec::len), Some(3), "{outcome}");
    }
}

#[tokio::test]
async fn equal_content_is_computed_once_whatever_its_address() {
    let (home, receiver, images) =
        (Home::new(), Receiver::start().await, ImageServer::start().await);
    let _fleet = home.start_fleet(&receiver).await;
    let api = home.api();
    let first = api.submit(&[api.upload(image(7)).await], &receiver.url()).await;
    assert_eq!(api.finished(&first).await["counts"]["succeeded"], 1);

    let again = [images.url("/image/7"), images.url("/image/7?again"), images.url("/image/8")];
    let second = api.submit(&again, &receiver.url()).await;
    assert_eq!(api.finished(&second).await["counts"]["succeeded"], 3);
    let outcomes = api.outcomes(&second).await;
    let cached: Vec<_> = outcomes.values().map(|outcome| outcome["cached"] == true).collect();
    assert_eq!(cached, [true, true, false]);
    let before = &api.outcomes(&first).await[&0]["prediction"];
    assert_eq!(outcomes[&0]["prediction"], *before);
}

#[tokio::test]
async fn the_same_key_is_the_same_request_and_another_body_is_refused() {
    let (home, receiver) = (Home::new(), Receiver::start().await);
    let _fleet = home.start_fleet(&receiver).await;
    let api = home.api();
    let uploaded = api.upload(image(3)).await;
    let body = |id: &str| {
        json!({ "images": [{ "url": uploaded, "id": id }], "models": [MODEL] }).to_string()
    };
    let (one, other) = (body("one"), body("other"));
    let headers = [("idempotency-key", "order-17"), ("content-type", "application/json")];
    let post = |body: String| {
        let api = api.clone();
        async move { api.post_text("/v1/requests", &headers, &body).await }
    };

    let answers = join_all((0..8).map(|_| post(one.clone()))).await;
    let ids: Vec<_> = answers.iter().map(|(_, answer)| answer["id"].clone()).collect();
    assert!(answers.iter().all(|(status, _)| *status == StatusCode::ACCEPTED), "{answers:?}");
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let (status, problem) = post(other).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(problem["code"], "IDEMPOTENCY_KEY_REUSED");
}
