use std::{collections::BTreeSet, net::SocketAddr, sync::Arc};

use anyhow::Context;
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use flota_client::Webhooks;
use flota_core::RequestId;
use tokio::{
    net::TcpListener,
    sync::watch,
    task::{AbortHandle, JoinSet},
};

/// What of the callbacks has arrived.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Arrived {
    /// The `webhook-id`s of all that came.
    pub delivered: BTreeSet<String>,
    /// The `webhook-id`s of those whose signature is right.
    pub verified: BTreeSet<String>,
    /// The requests that those with a right signature tell of.
    pub requests: BTreeSet<RequestId>,
}

/// A receiver of callbacks on loopback, as a client would have one. It stops when dropped.
pub(crate) struct Receiver {
    address: SocketAddr,
    arrived: watch::Receiver<Arrived>,
    _serving: JoinSet<()>,
}

struct Shelf {
    webhooks: Webhooks,
    arrived: watch::Sender<Arrived>,
}

impl Receiver {
    /// Starts one that verifies signatures by `secret`.
    ///
    /// # Errors
    /// If there is no port, or the secret is none.
    pub async fn start(secret: &str) -> anyhow::Result<Self> {
        let webhooks = Webhooks::new([secret])?;
        let listener = TcpListener::bind("127.0.0.1:0").await.context("no port for callbacks")?;
        let address = listener.local_addr().context("no port for callbacks")?;
        let (sender, arrived) = watch::channel(Arrived::default());
        let shelf = Arc::new(Shelf { webhooks, arrived: sender });
        let routes = Router::new().route("/callbacks", post(take)).with_state(shelf);
        let mut serving = JoinSet::new();
        let _: AbortHandle = serving.spawn(async move {
            // Ends with the demo; should it end before, the wait for callbacks says so.
            let _ = axum::serve(listener, routes).await;
        });
        Ok(Self { address, arrived, _serving: serving })
    }

    /// Where callbacks are to go.
    pub fn url(&self) -> String {
        format!("http://{}/callbacks", self.address)
    }

    /// Waits until the finish of each of `requests` was told with a right signature.
    pub async fn told_of(&mut self, requests: &BTreeSet<RequestId>) {
        let told = self.arrived.wait_for(|arrived| arrived.requests.is_superset(requests)).await;
        // The sender lives as long as the task that serves; without it nothing will come.
        if told.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// What has arrived so far.
    pub fn arrived(&self) -> Arrived {
        self.arrived.borrow().clone()
    }
}

async fn take(State(shelf): State<Arc<Shelf>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let id = headers.get("webhook-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
    let verified = shelf.webhooks.verify(&headers, &body);
    shelf.arrived.send_modify(|arrived| {
        arrived.delivered.insert(id.to_owned());
        if let Ok(callback) = &verified {
            arrived.verified.insert(id.to_owned());
            arrived.requests.insert(callback.data.request);
        }
    });
    if verified.is_ok() { StatusCode::NO_CONTENT } else { StatusCode::BAD_REQUEST }
}
