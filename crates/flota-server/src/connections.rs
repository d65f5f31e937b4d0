//! HTTP connections, bounded in number, altogether and for each peer, and in the time that they may stand
//! still. A client for whom there is no place is told so, and health is asked for in any case.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    net::{IpAddr, Ipv6Addr},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::Router;
use flota_platform::settings::ServerSettings;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto::Builder, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use metrics::counter;
use tokio::{
    net::{TcpListener, TcpStream},
    task::AbortHandle,
    time,
};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// Most connections where the settings say nothing: each costs a file and some ten kilobytes.
const MAX_CONNECTIONS: usize = 40_000;
/// Files that the store, uploads and calls to other servers may need, beside those of connections.
const OTHER_FILES: usize = 256;
/// Longest time for the head of a call, and for a connection on which no call begins.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// A connection on which nothing can be written for so long is given up: its client does not read.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Places for clients beyond the limit, who are told so, and for whoever asks for the health. The client
/// that came first gives up its place to the next.
const RESERVE: usize = 64;
/// How long one of them may take.
const RESERVE_TIMEOUT: Duration = Duration::from_secs(5);
/// Wait after a connection could not be accepted, as when no more files may be opened.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long calls in progress may take after the stop.
const DRAIN: Duration = Duration::from_secs(10);

/// What is served to whom.
pub(crate) struct Served {
    /// Every call.
    pub(crate) all: Router,
    /// What is left for clients beyond the limit: health, and a refusal of all else.
    pub(crate) reserve: Router,
}

/// Serves on `listener` until `stop`, then lets calls in progress end, within a bound.
pub(crate) async fn serve(
    listener: TcpListener,
    served: Served,
    settings: &ServerSettings,
    stop: CancellationToken,
) {
    let places = Arc::new(Places::of(settings));
    let graceful = GracefulShutdown::new();
    let mut reserve = Reserve::default();
    // Telling HTTP/2 from HTTP/1 would mean to wait, without a bound, for a first byte.
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
        let place = places.take(peer.ip());
        let (builder, router) = match &place {
            Some(_) => (&builder, &served.all),
            None => (&brief, &served.reserve),
        };
        let service = TowerToHyperService::new(router.clone());
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
            counter!("flota_http_connections_refused_total").increment(1);
            let task = tokio::spawn(time::timeout(RESERVE_TIMEOUT, connection));
            reserve.add(task.abort_handle());
        }
    }
    drop(listener);
    if time::timeout(DRAIN, graceful.shutdown()).await.is_err() {
        warn!("calls in progress took too long and are given up");
    }
}

/// A connection that is given up where its client does not read.
fn io(stream: TcpStream) -> TokioIo<Pin<Box<TimeoutStream<TcpStream>>>> {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::net::sockopt::set_tcp_user_timeout(
        &stream,
        u32::try_from(WRITE_TIMEOUT.as_millis()).unwrap_or(u32::MAX),
    ) {
        debug!(%error, "a connection takes the system's time-out");
    }
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_TIMEOUT));
    TokioIo::new(Box::pin(stream))
}

/// How many connections may be open.
struct Places {
    total: usize,
    per_peer: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    total: usize,
    by_peer: HashMap<IpAddr, usize>,
}

/// The place of a connection, until it is dropped.
struct Place {
    places: Arc<Places>,
    peer: IpAddr,
}

impl Places {
    fn of(settings: &ServerSettings) -> Self {
        let total = settings.max_connections.map_or_else(room_for_connections, usize::from);
        let per_peer =
            settings.max_connections_per_peer.map_or_else(|| (total / 4 * 3).max(1), usize::from);
        Self { total, per_peer, taken: Mutex::default() }
    }

    /// A place for a connection of `peer`, if there is one.
    fn take(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let peer = network_of(peer);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let of_peer = taken.by_peer.get(&peer).copied().unwrap_or_default();
        if taken.total >= self.total || of_peer >= self.per_peer {
            return None;
        }
        taken.total += 1;
        taken.by_peer.insert(peer, of_peer + 1);
        Some(Place { places: Arc::clone(self), peer })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.total -= 1;
        if let Entry::Occupied(mut of_peer) = taken.by_peer.entry(self.peer) {
            *of_peer.get_mut() -= 1;
            if *of_peer.get() == 0 {
                of_peer.remove();
            }
        }
    }
}

/// Connections beyond the limit, the first to come first.
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

/// One client may have all addresses of an IPv6 network of 64 bits.
fn network_of(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// As many connections as the limit of open files, raised as far as the system allows, leaves room for.
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
    // Where few files may be open, half of them are for the rest.
    (files - OTHER_FILES.min(files / 2)).clamp(1, MAX_CONNECTIONS)
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
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
            let large = get(|| async { vec![b'x'; 64 << 20] });
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
            // Ends, with an answer or without: the server closes what does not go on.
            let _ = dripping.read_to_end(&mut Vec::new()).await;
        }
        server.end().await;
    }

    #[tokio::test(start_paused = true)]
    async fn clients_beyond_the_limit_are_served_by_the_reserve() {
        for limit in ["server.max_connections", "server.max_connections_per_peer"] {
            let server = Server::start(&[(limit, "2")]).await;
            let held = [server.open(b"GET / HT").await, server.open(b"").await];
            // A connection is counted when the server has accepted it.
            while !server.get().await.ends_with("in the reserve") {}
            let silent: Vec<_> =
                futures::future::join_all((0..2 * RESERVE).map(|_| server.open(b""))).await;
            assert!(server.get().await.ends_with("in the reserve"), "whoever holds the reserve");
            drop((held, silent));
            while !server.get().await.ends_with("here") {}
            server.end().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_is_given_up() {
        let server = Server::start(&[("server.max_connections", "1")]).await;
        let not_reading = server.open(b"GET /large HTTP/1.1\r\nhost: a\r\n\r\n").await;
        while server.get().await.ends_with("in the reserve") {}
        drop(not_reading);
        server.end().await;
    }

    #[test]
    fn an_ipv6_network_is_one_peer() {
        let network = |text: &str| network_of(text.parse().unwrap());
        assert_eq!(network("2001:db8::1:2:3:4"), network("2001:db8::5:6:7:8"));
        assert_ne!(network("2001:db8:0:1::1"), network("2001:db8:0:2::1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
    }
}
