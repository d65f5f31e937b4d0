use reqwest::StatusCode;
use serde_json::json;

use super::provisioned;
use crate::harness::{ImageServer, MODEL, Receiver, until};

const REQUESTS: u32 = 10;
const IMAGES: u32 = 20;
/// How fast the replay is to be, so that it can be interrupted.
const RATE_PER_SECOND: u32 = 40;

/// 200 tasks fail for want of their images, which are there later. The server that replays them is killed
/// half-way.
#[tokio::test]
async fn a_replay_that_is_interrupted_is_finished() {
    let (cloud, receiver, images) =
        (provisioned().await, Receiver::start().await, ImageServer::start().await);
    let cloud = cloud.with("FLOTA__FETCH__RETRY_FOR_MS", "0");
    let cloud = cloud.with("FLOTA__FETCH__BREAKER_FAILURES", "100000");
    let mut fleet = cloud.start_fleet(&receiver).await;
    let api = cloud.home.api();
    let mut requests = Vec::new();
    for request in 0..REQUESTS {
        let seeds = (request * IMAGES)..((request + 1) * IMAGES);
        let addresses: Vec<_> =
            seeds.map(|seed| images.url(&format!("/recovers/{seed}"))).collect();
        requests.push(api.submit(&addresses, &receiver.url()).await);
    }
    for request in &requests {
        assert_eq!(api.finished(request).await["counts"]["failed"], IMAGES);
    }
    let groups = api.get("/v1/dead-letters/groups").await.1;
    assert_eq!(groups["count"], REQUESTS * IMAGES, "{groups}");

    let wanted = json!({ "model": MODEL, "rate_per_second": RATE_PER_SECOND, "by": "journey" });
    let (status, replay) = api.post("/v1/dead-letters/replay", &wanted).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{replay}");
    let replay = format!("/v1/replays/{}", replay["id"].as_str().expect("a replay has an id"));
    until("the replay to be half-way", || async {
        let now = api.get(&replay).await.1;
        (now["counts"]["succeeded"].as_u64()? >= 60).then_some(())
    })
    .await;
    fleet.restart("sweeper", &cloud).await;
    let interrupted = api.get(&replay).await.1;
    assert_eq!(interrupted["state"], "running", "it was over before: {interrupted}");
    let ended = until("the replay to end", || async {
        let now = api.get(&replay).await.1;
        (now["state"] != "running").then_some(now)
    })
    .await;

    assert_eq!(ended["state"], "completed", "{ended}");
    assert_eq!(ended["by"], "journey");
    assert_eq!(ended["counts"]["succeeded"], REQUESTS * IMAGES, "{ended}");
    for counted in ["failed", "skipped", "resent", "running"] {
        assert_eq!(ended["counts"][counted], 0, "{ended}");
    }
    for request in &requests {
        assert_eq!(api.finished(request).await["status"], "succeeded");
        assert_eq!(api.outcomes(request).await.len(), IMAGES as usize);
    }
    assert_eq!(api.get("/v1/dead-letters/groups").await.1["count"], 0);
    cloud.drained().await;
    assert!(fleet.is_running());
}
