use std::collections::BTreeMap;

use crate::{
    harness::{Cloud, Emulator, ImageServer, Proxy, Receiver, until},
    journeys::kills::{callback_id, check_finished},
};

/// More calls than accepting a request takes.
const MANY: usize = 20;
/// Fewer than it takes: the look for its key, its document, its round, and its message.
const FEW: usize = 4;

/// The API is killed before each call that it makes to accept a request, and the client comes again
/// with its key: one request is accepted, and it ends.
#[tokio::test]
async fn accepting_cannot_lose_whenever_the_server_is_killed() {
    let proxy = Proxy::start(Emulator::shared().endpoint()).await;
    let (receiver, images) = (Receiver::start().await, ImageServer::start().await);
    receiver.trust(&Cloud::secret());
    let cloud = Cloud::new().await;
    cloud.provision(None).await;
    let _others = [
        cloud.home.serve_roles("recorder,sweeper,notifier,ingest").await,
        cloud.start("worker").await,
    ];
    // Only the API goes through the proxy.
    let cloud = cloud.with("FLOTA__AWS__ENDPOINT", &proxy.endpoint());
    let mut server = cloud.start("api").await;
    cloud.home.model_known().await;
    let api = cloud.home.api();
    let mut steps = 0;
    for step in 0..MANY {
        let (addresses, url) = ([images.url(&format!("/image/{}", step))], receiver.url());
        let key = format!("step-{step}");
        proxy.hold_after(step);
        let submit = api.submit_with_key(&addresses, &url, &key);
        let held = until("a call to be held", || async { proxy.is_holding().then_some(()) });
        let accepted = tokio::select! {
            accepted = submit => Some(accepted),
            () = held => None,
        };
        let is_over = accepted.is_some();
        server.kill();
        proxy.heal();
        server = cloud.start("api").await;
        let request = api.submit_with_key(&addresses, &url, &key).await;
        assert!(accepted.is_none_or(|accepted| accepted == request));
        check_finished(&request, 1, &BTreeMap::new(), &api, &receiver).await;
        assert_eq!(
            receiver.ids_of(&request).into_iter().collect::<Vec<_>>(),
            [callback_id(&request)]
        );
        steps = step;
        if is_over {
            break;
        }
    }
    assert!((FEW..MANY - 1).contains(&steps), "{steps}");
    assert!(server.is_running());
    cloud.drained().await;
}
