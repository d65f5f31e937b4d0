//! Runs the server.

use anyhow::Context;
use flota_platform::{
    Platform,
    settings::{Role, Settings},
    telemetry::Metrics,
};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::{
    connections::{self, Served},
    metrics::METRICS,
    notifier::SigningSecrets,
    roles::Roles,
};

/// Serves on `listener` and runs the roles of `settings.server.roles` until `stop`. Then it accepts
/// no more calls, waits for those in progress, records the outcomes in flight, and waits for
/// attempts to deliver callbacks, in this order and each within a bound. Health and metrics are
/// served in every role.
///
/// # Errors
/// If there is no callback secret and none can be created, if metrics cannot be set up, or if a
/// role panics.
pub async fn run(
    listener: TcpListener,
    platform: Platform,
    settings: Settings,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let address = listener.local_addr().context("cannot tell where the server listens")?;
    let server = settings.server.clone();
    let chosen = &server.roles;
    if !address.ip().is_loopback() {
        warn!(%address, "the server listens beyond this machine, and anyone who reaches it may call it: there \
            are no keys yet");
    }
    let has = |role| chosen.contains(&role);
    let secrets = match has(Role::Notifier) {
        true => SigningSecrets::open(&settings.notifier, &settings.data_dir)?,
        // Nothing is signed in this process, so it needs no secret.
        false => SigningSecrets::new(&[])?,
    };
    let metrics = Metrics::install()?.with(METRICS);
    let roles = Roles::new(platform, settings, address, secrets, metrics, stop.clone());

    let (mut working, mut delivering) = (Group::new(stop.clone()), Group::new(stop.clone()));
    if has(Role::Recorder) {
        working.start("recorder", |stop| roles.recorder.run(stop));
    }
    if let Some(ingest) = roles.ingest.filter(|_| has(Role::Ingest)) {
        working.start("ingest", |stop| ingest.run(stop));
    }
    if has(Role::Sweeper) {
        working.start("sweeper", |stop| roles.sweeper.run(stop));
        working.start("replayer", |stop| roles.replayer.run(stop));
        working.start("dead-letter queues", |stop| roles.dlq_drain.run(stop));
        working.start("moving of tasks", |stop| roles.rerouting.run(stop));
        working.start("retention", |stop| roles.retainer.run(stop));
    }
    if has(Role::Notifier) {
        delivering.start("notifier", |stop| roles.notifier.run(stop));
    }
    let names: Vec<_> = chosen.iter().map(Role::to_string).collect();
    info!(%address, roles = names.join(","), "the server listens");

    let served = Served { all: roles.router, reserve: roles.reserve };
    connections::serve(listener, served, &server, stop).await;
    // The recorder creates callbacks until it ends; the notifier may still deliver them.
    let worked = working.end().await;
    delivering.end().await.and(worked)
}

/// Roles that stop together.
struct Group {
    running: Vec<JoinHandle<anyhow::Result<()>>>,
    stop: CancellationToken,
    /// Stops the whole server.
    server: CancellationToken,
}

impl Group {
    fn new(server: CancellationToken) -> Self {
        Self { running: Vec::new(), stop: CancellationToken::new(), server }
    }

    /// Runs a role. If it panics, the server stops, so that its supervisor restarts it: a server
    /// must not seem healthy with a role missing.
    fn start<W>(&mut self, role: &'static str, work: impl FnOnce(CancellationToken) -> W)
    where
        W: Future<Output = ()> + Send + 'static,
    {
        let (work, server) = (work(self.stop.clone()), self.server.clone());
        self.running.push(tokio::spawn(async move {
            let ended = tokio::spawn(work).await;
            if let Err(error) = &ended {
                error!(role, %error, "a role panicked, the server stops");
                server.cancel();
            }
            ended.with_context(|| format!("the {role} panicked"))
        }));
    }

    /// Stops the roles and waits for all of them. Returns the first error.
    async fn end(self) -> anyhow::Result<()> {
        self.stop.cancel();
        let mut ended = Ok(());
        for role in self.running {
            ended = ended.and(role.await?);
        }
        ended
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use flota_platform::SystemClock;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::read_callback_secret;

    #[tokio::test]
    async fn it_serves_until_it_is_told_to_stop() {
        let data_dir = tempfile::tempdir().unwrap();
        let data = data_dir.path().to_str().unwrap().to_owned();
        let settings = Settings::from_sources(None, [], &[("data_dir".to_owned(), data)]).unwrap();
        let store = flota_memory::open(Arc::new(SystemClock));
        let platform = Platform::over(store, &settings, Arc::new(SystemClock)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let server = tokio::spawn(run(listener, platform, settings, stop.clone()));

        let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
        let call = "GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        connection.write_all(call.as_bytes()).await.unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(read_callback_secret(data_dir.path()).unwrap().is_some());

        stop.cancel();
        server.await.unwrap().unwrap();
        assert!(tokio::net::TcpStream::connect(address).await.is_err());
    }

    #[tokio::test]
    async fn a_role_that_panics_stops_the_others() {
        let stop = CancellationToken::new();
        let mut group = Group::new(stop.clone());
        group.start("sweeper", |stop| async move { stop.cancelled().await });
        group.start("recorder", |_| async { panic!("told to") });
        stop.cancelled().await;
        assert_eq!(group.end().await.unwrap_err().to_string(), "the recorder panicked");
    }
}
