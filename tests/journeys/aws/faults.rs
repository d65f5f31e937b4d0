use std::{collections::BTreeMap, time::Duration};

use crate::{
    harness::{Cloud, Emulator, Fault, ImageServer, Proxy, Receiver, image, until},
    journeys::kills::{callback_id, check_finished},
};

/// Images of a request under each fault.
const IMAGES: u32 = 12;
/// Uploads under each fault.
const UPLOADS: u32 = 3;
/// What uploads show differs from what is in requests.
const UPLOAD_SEEDS: u32 = 1_000_000;
/// Each fault, one of how many calls of an operation meets it, and operations that must have.
const FAULTS: [(Fault, usize, &[&str]); 8] = [
    (Fault::Error, OFTEN, EVERY_SERVICE),
    (Fault::Throttled, OFTEN, EVERY_SERVICE),
    (Fault::Delayed(BEYOND_TIMEOUT), OFTEN, EVERY_SERVICE),
    (Fault::AnswerLost, OFTEN, EVERY_SERVICE),
    (Fault::Truncated, OFTEN, EVERY_SERVICE),
    (Fault::Reset, OFTEN, EVERY_SERVICE),
    (Fault::PartlyFailed, 2, &["SendMessageBatch", "DeleteMessageBatch"]),
    (Fault::Unprocessed, 2, &["BatchWriteItem", "BatchGetItem"]),
];
/// The SDK tries again as long as most calls succeed: each failure costs five times what a success
/// brings back.
const OFTEN: usize = 10;
const EVERY_SERVICE: &[&str] =
    &["SendMessageBatch", "ReceiveMessage", "DeleteMessageBatch", "PutItem", "UpdateItem", "GET"];
/// Longer than a call of this journey may take.
const BEYOND_TIMEOUT: Duration = Duration::from_millis(2_200);

/// A fleet goes through one fault of AWS after another. Nothing may be lost, ended twice, or left
/// without a callback.
#[tokio::test]
async fn no_fault_of_aws_loses_anything() {
    let (proxy, receiver, images) = (
        Proxy::start(Emulator::shared().endpoint()).await,
        Receiver::start().await,
        ImageServer::start().await,
    );
    let cloud = Cloud::behind(&proxy.endpoint()).await;
    let cloud = cloud.with("FLOTA__AWS__CALL_TIMEOUT_MS", "2000");
    cloud.provision(None).await;
    let (mut server, mut worker) = cloud.start_pair(&receiver).await;
    let api = cloud.home.api();
    for (nth, (fault, every, must_meet)) in (0_u32..).zip(FAULTS) {
        proxy.inject(fault, every);
        let seeds = (nth * IMAGES)..((nth + 1) * IMAGES);
        let addresses: Vec<_> = seeds.map(|seed| images.url(&format!("/image/{seed}"))).collect();
        let key = format!("fault-{nth}");
        let request = api.submit_with_key(&addresses, &receiver.url(), &key).await;
        let uploads: Vec<_> =
            (0..UPLOADS).map(|n| image(UPLOAD_SEEDS + nth * UPLOADS + n)).collect();
        for (n, bytes) in uploads.iter().enumerate() {
            cloud.upload(&format!("uploads/{nth}-{n}.png"), bytes.clone()).await;
        }
        check_finished(&request, IMAGES, &BTreeMap::new(), &api, &receiver).await;
        api.predicted(&uploads).await;
        let met = until(&format!("{must_meet:?} to meet {fault:?}"), || async {
            let met = proxy.met();
            must_meet.iter().all(|operation| met.contains_key(*operation)).then_some(met)
        })
        .await;
        println!("{fault:?} met {met:?}");
        proxy.heal();
        let ids: Vec<_> = receiver.ids_of(&request).into_iter().collect();
        assert_eq!(ids, [callback_id(&request)], "{fault:?}");
        assert!(server.is_running() && worker.is_running(), "{fault:?}");
    }
    cloud.drained().await;
}
