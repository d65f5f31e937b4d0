use std::{collections::BTreeMap, env, time::Duration};

use reqwest::StatusCode;
use serde_json::json;

use crate::{
    harness::{Cloud, Emulator, ImageServer, MODEL, Proxy, Receiver, until},
    journeys::kills::{callback_id, check_finished},
};

/// How long AWS is away, unless `FLOTA_OUTAGE_SECONDS` says otherwise.
const SECONDS: u64 = 5;
const IMAGES: u32 = 60;

#[tokio::test]
async fn a_fleet_outlives_an_outage_of_aws() {
    let seconds = env::var("FLOTA_OUTAGE_SECONDS");
    let seconds = seconds.map_or(SECONDS, |text| text.parse().expect("it is a number"));
    let mut proxy = Proxy::start(Emulator::shared().endpoint()).await;
    let (receiver, images) = (Receiver::start().await, ImageServer::start().await);
    let cloud = Cloud::behind(&proxy.endpoint()).await;
    cloud.provision(None).await;
    let mut fleet = cloud.start_fleet(&receiver).await;
    let api = cloud.home.api();
    let addresses: Vec<_> = (0..IMAGES).map(|n| images.url(&format!("/gated/{n}"))).collect();
    let request = api.submit(&addresses, &receiver.url()).await;
    images.open_for(10);
    until("images to go through", || async { (images.gated_count() >= 10).then_some(()) }).await;

    proxy.go_away().await;
    images.open();
    let body = json!({ "images": [{ "url": addresses[0] }], "models": [MODEL] });
    let (status, problem) = api.post("/v1/requests", &body).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{problem}");
    // The outage itself; nothing is decided by its length.
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    assert!(fleet.is_running());
    proxy.come_back().await;

    check_finished(&request, IMAGES, &BTreeMap::new(), &api, &receiver).await;
    let ids: Vec<_> = receiver.ids_of(&request).into_iter().collect();
    assert_eq!(ids, [callback_id(&request)]);
    cloud.drained().await;
    assert!(fleet.is_running());
}
