//! HTTP connections, with limits on their number, in total and per peer, and on the time without
//! progress. Clients beyond a limit get an answer, and health checks always work.

use std::{collections::VecDeque, pin::Pin, sync::Arc, time::Duration};

use axum::{Router, http::Request};
use flota_platform::settings::ServerSettings;
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto::Builder, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use rustix::net::sockopt;
use tokio::{
    net::{TcpListener, TcpStream},
    task::AbortHandle,
    time,
};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tracing::{debug, warn};

use crate::{
    metrics,
    shares::{Peer, Shares},
};

/// Default limit of connections. Each costs a file and some ten kilobytes.
const MAX_CONNECTIONS: usize = 40_000;
/// Files for other uses: uploads (as many as can arrive at once within their memory), the store,
/// and calls to other servers.
const OTHER_FILES: usize = 2048 + 256;
/// Longest time until the head of a call has arrived, and longest idle time between calls.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// A connection is closed if nothing can be written for this long, because the client does not
/// read.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Most bytes of an answer that the system buffers per connection. Its default is megabytes.
const SEND_BUFFER_BYTES: usize = 128 * 1024;
/// Connections beyond the limit, for health checks and for telling clients that the server is busy.
/// If all are taken, the oldest is closed.
const RESERVE: usize = 64;
/// Longest time of such a connection.
const RESERVE_TIMEOUT: Duration = Duration::from_secs(5);
/// Wait after accepting a connection failed, for example because too many files are open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Longest time for calls in progress after the stop.
const DRAIN: Duration = Duration::from_secs(10);

/// The routers of a server.
pub(crate) struct Served {
    /// For clients within the limit: all calls.
    pub(crate) all: Router,
    /// For clients beyond the limit: health, and a rejection of all other calls.
    pub(crate) reserve: Router,
}

/// Serves on `listener` until `stop`. Then calls in progress may end, within a bound.
pub(crate) async fn serve(
    listener: TcpListener,
    served: Served,
    settings: &ServerSettings,
    stop: CancellationToken,
) {
    let places = places(settings);
    let graceful = GracefulShutdown::new();
    let mut reserve = Reserve::default();
    // Detecting HTTP/2 would wait for the first byte without a bound.
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    let mut brief = builder.clone();
    brief.http1().keep_alive(false);
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(%error, "a connection could not be accepted");
                time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let peer = Peer::of(peer.ip());
        let place = places.one(peer);
        let (builder, router) = match &place {
            Some(_) => (&builder, &served.all),
            None => (&brief, &served.reserve),
        };
        let service = router.clone().map_request(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            request
        });
        let service = TowerToHyperService::new(service);
        let connection = builder.serve_connection(io(stream), service).into_owned();
        let connection = graceful.watch(connection);
        if let Some(place) = place {
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    debug!(%error, "a connection broke");
                }
                drop(place);
            });
        } else {
            metrics::connection_refused();
            let task = tokio::spawn(time::timeout(RESERVE_TIMEOUT, connection));
            reserve.add(task.abort_handle());
        }
    }
    drop(listener);
    if time::timeout(DRAIN, graceful.shutdown()).await.is_err() {
        warn!("calls in progress took too long and are given up");
    }
}

/// Limits the send buffer of a connection, and closes it if its client does not read.
fn io(stream: TcpStream) -> TokioIo<Pin<Box<TimeoutStream<TcpStream>>>> {
    if let Err(error) = sockopt::set_socket_send_buffer_size(&stream, SEND_BUFFER_BYTES) {
        debug!(%error, "a connection takes the system's buffers");
    }
    #[cfg(target_os = "linux")]
    if let Err(error) = sockopt::set_tcp_user_timeout(
        &stream,
        u32::try_from(WRITE_TIMEOUT.as_millis()).unwrap_or(u32::MAX),
    ) {
        debug!(%error, "a connection takes the system's time-out");
    }
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_TIMEOUT));
    TokioIo::new(Box::pin(stream))
}

/// The limits of connections, in total and per peer.
fn places(settings: &ServerSettings) -> Arc<Shares> {
    let total = settings.max_connections.map_or_else(room_for_connections, usize::from);
    let per_peer = settings.max_connections_per_peer.map(|count| count.get() as u64);
    Shares::new(total as u64, per_peer)
}

/// Connections beyond the limit, oldest first.
#[derive(Default)]
struct Reserve(VecDeque<AbortHandle>);

impl Reserve {
    fn add(&mut self, connection: AbortHandle) {
        self.0.retain(|connection| !connection.is_finished());
        self.0.push_back(connection);
        if self.0.len() > RESERVE
            && let Some(first) = self.0.pop_front()
        {
            first.abort();
        }
    }
}

/// The number of connections for which the limit of open files has room, after raising that limit
/// as far as the system allows.
fn room_for_connections() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let wanted = (MAX_CONNECTIONS + OTHER_FILES) as u64;
    let limits = getrlimit(Resource::Nofile);
    let allowed = limits.maximum.map_or(wanted, |maximum| maximum.min(wanted));
    let mut files = limits.current.unwrap_or(wanted);
    if files < allowed
        && setrlimit(Resource::Nofile, Rlimit { current: Some(allowed), ..limits }).is_ok()
    {
        files = allowed;
    }
    let files = usize::try_from(files).unwrap_or(usize::MAX);
    // If few files may be open, half of them are for other uses.
    (files - OTHER_FILES.min(files / 2)).clamp(1, MAX_CONNECTIONS)
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use bytes::Bytes;
    use flota_platform::settings::Settings;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    struct Server {
        address: std::net::SocketAddr,
        stop: CancellationToken,
        task: tokio::task::JoinHandle<()>,
    }

    impl Server {
        async fn start(set: &[(&str, &str)]) -> Self {
            let set: Vec<_> =
                set.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            let settings = Settings::from_sources(None, [], &set).unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            // All answers share one buffer, because many are held at once.
            let large = Bytes::from(vec![b'x'; 64 << 20]);
            let large = get(async move || large.clone());
            let all = Router::new().route("/", get(|| async { "here" })).route("/large", large);
            let reserve = Router::new().route("/", get(|| async { "in the reserve" }));
            let stop = CancellationToken::new();
            let stopped = stop.clone();
            let task = tokio::spawn(async move {
                serve(listener, Served { all, reserve }, &settings.server, stopped).await;
            });
            Self { address, stop, task }
        }

        async fn open(&self, sent: &[u8]) -> TcpStream {
            let mut connection = TcpStream::connect(self.address).await.unwrap();
            connection.write_all(sent).await.unwrap();
            connection
        }

        async fn get(&self) -> String {
            let call = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
            let mut answer = String::new();
            self.open(call).await.read_to_string(&mut answer).await.unwrap();
            answer
        }

        async fn end(self) {
            self.stop.cancel();
            self.task.await.unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_drips_is_not_waited_for() {
        let server = Server::start(&[]).await;
        assert!(server.get().await.ends_with("here"));
        for begun in [b"GET / HT".as_slice(), b""] {
            let mut dripping = server.open(begun).await;
            // The connection ends with or without an answer: the server closes it if it makes no
            // progress.
            let _ = dripping.read_to_end(&mut Vec::new()).await;
        }
        server.end().await;
    }

    #[tokio::test(start_paused = true)]
    async fn clients_beyond_the_limit_are_served_by_the_reserve() {
        for limit in ["server.max_connections", "server.max_connections_per_peer"] {
            let server = Server::start(&[(limit, "2")]).await;
            let held = [server.open(b"GET / HT").await, server.open(b"").await];
            // A connection counts once the server has accepted it.
            while !server.get().await.ends_with("in the reserve") {}
            let silent: Vec<_> =
                futures::future::join_all((0..2 * RESERVE).map(|_| server.open(b""))).await;
            assert!(
                server.get().await.ends_with("in the reserve"),
                "while others hold the reserve"
            );
            drop((held, silent));
            while !server.get().await.ends_with("here") {}
            server.end().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn clients_that_do_not_read_are_given_up_and_stop_nobody_until_then() {
        const COUNT: usize = 64;
        let count = COUNT.to_string();
        let all =
            [("server.max_connections", &*count), ("server.max_connections_per_peer", &count)];
        let server = Server::start(&all).await;
        let call = b"GET /large HTTP/1.1\r\nhost: a\r\n\r\n";
        let not_reading = (0..COUNT).map(|_| server.open(call));
        let not_reading = futures::future::join_all(not_reading).await;
        while !server.get().await.ends_with("in the reserve") {}
        while server.get().await.ends_with("in the reserve") {
            // Paused time does not advance by itself while calls are in progress.
            time::advance(Duration::from_secs(1)).await;
        }
        drop(not_reading);
        server.end().await;
    }
}
