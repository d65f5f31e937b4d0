//! What an orchestrator asks a worker: whether it lives, whether it polls, what it counts.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};
use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
    routing::get,
};
use flota_core::consume::PollHealth;
use flota_platform::telemetry::Metrics;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// The oldest last poll of a worker that is ready. A worker whose slots are all taken does not
/// poll, and a full load of a slow model takes minutes.
const MAX_POLL_AGE: Duration = Duration::from_secs(300);
/// Workers of one host that share a setting listen on so many ports, one after the other, so that a
/// scrape of these ports finds them all.
const PORTS: u16 = 32;
/// The text format that Prometheus scrapes.
const METRICS_TYPE: &str = "text/plain; version=0.0.4";

/// What is told.
#[derive(Clone)]
pub(crate) struct Health {
    pub(crate) polls: Arc<PollHealth>,
    pub(crate) metrics: Metrics,
    pub(crate) stop: CancellationToken,
}

impl Health {
    /// Serves `/healthz`, `/readyz` and `/metrics` for the rest of the runtime's life and returns
    /// the address: `listen`, or a port after it where other workers of this host have taken that.
    pub(crate) async fn serve(self, listen: SocketAddr) -> Result<SocketAddr> {
        let refused =
            || format!("cannot listen on {listen}: set `worker.listen` to a free address");
        let listener = bind(listen).await.with_context(refused)?;
        let address = listener.local_addr().with_context(refused)?;
        tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, self.router()).await {
                tracing::error!(%error, "health and metrics are no longer served");
            }
        });
        Ok(address)
    }

    fn router(self) -> Router {
        Router::new()
            .route("/healthz", get(|| async { "ok" }))
            .route("/readyz", get(ready))
            .route("/metrics", get(metrics))
            .with_state(self)
    }
}

async fn bind(listen: SocketAddr) -> io::Result<TcpListener> {
    let ports = (0..PORTS).filter_map(|after| listen.port().checked_add(after));
    for port in ports {
        match TcpListener::bind((listen.ip(), port)).await {
            Err(error) if error.kind() == ErrorKind::AddrInUse => {}
            bound => return bound,
        }
    }
    tracing::warn!(%listen, "{PORTS} ports are taken, metrics are served on a port of the system's choice");
    TcpListener::bind((listen.ip(), 0)).await
}

/// Ready is who has heard from its queue lately and is not stopping.
async fn ready(State(health): State<Health>) -> impl IntoResponse {
    let age = health.polls.last_poll_age();
    let is_ready = age.is_some_and(|age| age <= MAX_POLL_AGE) && !health.stop.is_cancelled();
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let last_poll_age_ms = age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
    (status, Json(json!({ "ready": is_ready, "last_poll_age_ms": last_poll_age_ms })))
}

async fn metrics(State(health): State<Health>) -> impl IntoResponse {
    ([(CONTENT_TYPE, METRICS_TYPE)], health.metrics.render())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_second_worker_of_a_host_listens_on_the_next_free_port() {
        let first = bind("127.0.0.1:0".parse().unwrap()).await.unwrap().local_addr().unwrap();
        let held = bind(first).await.unwrap();
        let second = bind(first).await.unwrap().local_addr().unwrap();
        assert!(second.port() > held.local_addr().unwrap().port(), "{second}");
    }

    #[tokio::test]
    async fn a_worker_that_has_not_polled_lives_and_is_not_ready() {
        let health = Health {
            polls: Arc::new(PollHealth::new(1)),
            metrics: Metrics::install().unwrap(),
            stop: CancellationToken::new(),
        };
        crate::metrics::cached();
        let address = health.serve("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let get = async |path| {
            let response = reqwest::get(format!("http://{address}{path}")).await.unwrap();
            (response.status().as_u16(), response.text().await.unwrap())
        };
        assert_eq!(get("/healthz").await, (200, "ok".to_owned()));
        let unready = r#"{"last_poll_age_ms":null,"ready":false}"#.to_owned();
        assert_eq!(get("/readyz").await, (503, unready));
        let (status, text) = get("/metrics").await;
        assert_eq!(status, 200);
        assert!(text.contains("flota_worker_cached_total"), "{text}");
    }
}
