//! HTTP connections, bounded in number and in the time that the head of a call may take.

use std::{sync::Arc, time::Duration};

use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto::Builder, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, sync::Semaphore, time};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// Most connections at once, well below the usual limit of open files; who comes then waits.
const MAX_CONNECTIONS: usize = 512;
/// Longest time for the head of a call, and for a connection on which no call begins.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Wait after a connection could not be accepted, as when no more files may be opened.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long calls in progress may take after the stop.
const DRAIN: Duration = Duration::from_secs(10);

/// Serves `router` on `listener` until `stop`, then lets calls in progress end, within a bound.
pub(crate) async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    // Telling HTTP/2 from HTTP/1 would mean to wait, without a bound, for a first byte.
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let next = async || {
        let place = Arc::clone(&places).acquire_owned().await;
        (place.expect("the semaphore is never closed"), listener.accept().await)
    };
    while let Some((place, accepted)) = stop.run_until_cancelled(next()).await {
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                warn!(%error, "a connection could not be accepted");
                time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(router.clone());
        let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                debug!(%error, "a connection broke");
            }
            drop(place);
        });
    }
    drop(listener);
    if time::timeout(DRAIN, graceful.shutdown()).await.is_err() {
        warn!("calls in progress took too long and are given up");
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
    };

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_head_that_drips_is_not_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(|| async { "here" }));
        let stop = CancellationToken::new();
        let server = tokio::spawn(serve(listener, router, stop.clone()));

        let mut whole = TcpStream::connect(address).await.unwrap();
        whole.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        whole.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("here"), "{answer}");

        for begun in [b"GET / HT".as_slice(), b""] {
            let mut dripping = TcpStream::connect(address).await.unwrap();
            dripping.write_all(begun).await.unwrap();
            // Ends, with an answer or without: the server closes what does not go on.
            let _ = dripping.read_to_end(&mut Vec::new()).await;
        }

        stop.cancel();
        server.await.unwrap();
    }
}
