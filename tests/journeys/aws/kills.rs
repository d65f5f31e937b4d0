use std::{collections::BTreeMap, env};

use super::provisioned;
use crate::{
    harness::{ImageServer, PARTS, Receiver, image, until},
    journeys::kills::{callback_id, check_finished},
};

/// How often each process is killed, unless `FLOTA_KILL_ROUNDS` says otherwise.
const ROUNDS: u32 = 2;
/// Tasks of requests in the middle of which that happens, unless `FLOTA_KILL_TASKS` does.
const TASKS: u32 = 120;
/// Images of a request.
const REQUEST_IMAGES: u32 = 40;
/// Uploads between two kills.
const UPLOADS: u32 = 4;
/// What uploads show differs from what is in requests.
const UPLOAD_SEEDS: u32 = 1_000_000;

/// Kills each process in turn in the middle of requests and uploads, round after round. Nothing may
/// be lost, ended twice, changed, or left without a callback.
#[tokio::test]
async fn nothing_is_lost_whichever_process_is_killed() {
    let (rounds, tasks) = (number("FLOTA_KILL_ROUNDS", ROUNDS), number("FLOTA_KILL_TASKS", TASKS));
    let (cloud, receiver, images) =
        (provisioned().await, Receiver::start().await, ImageServer::start().await);
    let mut fleet = cloud.start_fleet(&receiver).await;
    let api = cloud.home.api();
    let (mut submitted, mut uploaded) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let mut requests = Vec::new();
        for first in (0..tasks).step_by(REQUEST_IMAGES as usize) {
            let numbers = first..tasks.min(first + REQUEST_IMAGES);
            let seeds = numbers.map(|n| round * tasks + n);
            let addresses: Vec<_> =
                seeds.map(|seed| images.url(&format!("/gated/{seed}"))).collect();
            let request = api.submit(&addresses, &receiver.url()).await;
            requests.push((request, addresses.len() as u32));
        }
        let share = tasks as usize / (PARTS.len() + 1);
        for part in PARTS {
            let before = images.gated_count();
            images.open_for(share);
            until("images to go through", || async {
                (images.gated_count() >= before + share).then_some(())
            })
            .await;
            for _ in 0..UPLOADS {
                let bytes = image(UPLOAD_SEEDS + uploaded.len() as u32);
                cloud.upload(&format!("uploads/{}.png", uploaded.len()), bytes.clone()).await;
                uploaded.push(bytes);
            }
            fleet.restart(part, &cloud).await;
        }
        let mut before = BTreeMap::new();
        for (request, _) in &requests {
            before.insert(request.clone(), api.outcomes(request).await);
        }
        images.open();
        for (request, count) in &requests {
            check_finished(request, *count, &before[request], &api, &receiver).await;
        }
        images.shut();
        submitted.extend(requests);
    }
    api.predicted(&uploaded).await;
    cloud.drained().await;
    for (request, _) in &submitted {
        let ids: Vec<_> = receiver.ids_of(request).into_iter().collect();
        assert_eq!(ids, [callback_id(request)]);
    }
    assert!(fleet.is_running());
}

fn number(variable: &str, default: u32) -> u32 {
    env::var(variable).map_or(default, |text| text.parse().expect("it is a number"))
}
