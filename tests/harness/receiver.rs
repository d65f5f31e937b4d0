use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use serde_json::Value;
use standardwebhooks::Webhook;
use tokio::{net::TcpListener, task::JoinHandle};

use super::until;

/// A receiver of callbacks on loopback. It verifies every signature and keeps every POST.
pub struct Receiver {
    address: String,
    state: Arc<Shelf>,
    task: Option<JoinHandle<()>>,
}

struct Shelf {
    secret: Mutex<Option<String>>,
    received: Mutex<Vec<Received>>,
}

/// A callback that arrived.
#[derive(Debug, Clone)]
pub struct Received {
    /// Its `webhook-id`.
    pub id: String,
    /// What it tells.
    pub body: Value,
}

impl Receiver {
    /// Starts one.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let state = Arc::new(Shelf { secret: Mutex::default(), received: Mutex::default() });
        let mut receiver = Self { address, state, task: None };
        receiver.listen(listener);
        receiver
    }

    /// Where callbacks are to go.
    pub fn url(&self) -> String {
        format!("http://{}/callbacks", self.address)
    }

    /// From now on, signatures are verified by `secret`.
    pub fn trust(&self, secret: &str) {
        *self.state.secret.lock().expect("no holder panics") = Some(secret.to_owned());
    }

    /// Stops listening, so that connections are refused.
    pub async fn go_down(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            let _ = task.await;
        }
    }

    /// Listens again at the same address.
    pub async fn come_up(&mut self) {
        let address = self.address.clone();
        let listener =
            until("the receiver's port", || async { TcpListener::bind(&address).await.ok() });
        let listener = listener.await;
        self.listen(listener);
    }

    /// Everything that arrived for a request so far.
    pub fn received(&self, request: &str) -> Vec<Received> {
        let received = self.state.received.lock().expect("no holder panics");
        received.iter().filter(|one| one.body["data"]["request"] == *request).cloned().collect()
    }

    /// The requests that something arrived for so far.
    pub fn requests(&self) -> BTreeSet<String> {
        let received = self.state.received.lock().expect("no holder panics");
        let request = |one: &Received| one.body["data"]["request"].as_str().map(str::to_owned);
        received.iter().filter_map(request).collect()
    }

    /// Waits for the callback of a request.
    pub async fn callback_of(&self, request: &str) -> Received {
        until(&format!("the callback of {request}"), || async {
            self.received(request).into_iter().next()
        })
        .await
    }

    /// The different `webhook-id`s that arrived for a request.
    pub fn ids_of(&self, request: &str) -> BTreeSet<String> {
        self.received(request).into_iter().map(|received| received.id).collect()
    }

    fn listen(&mut self, listener: TcpListener) {
        let routes =
            Router::new().route("/callbacks", post(take)).with_state(Arc::clone(&self.state));
        self.task = Some(tokio::spawn(async move {
            axum::serve(listener, routes).await.expect("serving ends with the test");
        }));
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// A callback whose signature is wrong is refused, so that the journey waits for it in vain.
async fn take(State(state): State<Arc<Shelf>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let secret = state.secret.lock().expect("no holder panics").clone();
    let Some(secret) = secret else { return StatusCode::SERVICE_UNAVAILABLE };
    let webhook = Webhook::new(&secret).expect("the fleet's secret is one");
    let id = headers.get("webhook-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
    if let Err(error) = webhook.verify(&body, &headers) {
        eprintln!("callback {id} has a wrong signature: {error}");
        return StatusCode::BAD_REQUEST;
    }
    let body = serde_json::from_slice(&body).expect("a callback is JSON");
    let received = Received { id: id.to_owned(), body };
    state.received.lock().expect("no holder panics").push(received);
    StatusCode::NO_CONTENT
}
