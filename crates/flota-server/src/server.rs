//! All roles in one process.

use std::{net::SocketAddr, sync::Arc};

use anyhow::Context;
use axum::Router;
use flota_core::{
    QueueName,
    consume::{ConsumeSettings, Consumer},
};
use flota_platform::{Platform, net::AddressPolicy, settings::Settings, telemetry::Metrics};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};
use url::Url;

use crate::{
    api::{self, Api, UploadBudget},
    connections,
    dispatch::Dispatcher,
    notifier::{Attempts, Notifier, SigningSecrets},
    recorder::{Recorder, Recording},
    sweeper::Sweeper,
    wakeups::Wakeups,
};

/// Every role, ready to run.
pub(crate) struct Roles {
    pub(crate) router: Router,
    pub(crate) recorder: Consumer,
    pub(crate) sweeper: Sweeper,
    pub(crate) notifier: Notifier,
}

/// Serves the API on `listener` and runs the recorder, the sweeper and the notifier, until `stop`.
/// Then it takes no more calls, ends those in progress, records what it has in hand, and ends the
/// callbacks under way, in this order and each within a bound.
///
/// # Errors
/// If the callback secret cannot be had, metrics cannot be set up, or a role panics.
pub async fn run(
    listener: TcpListener,
    platform: Platform,
    settings: Settings,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let address = listener.local_addr().context("cannot tell where the server listens")?;
    let secrets = SigningSecrets::open(&settings.notifier, &settings.data_dir)?;
    let metrics = Metrics::install()?;
    let roles = Roles::new(platform, settings, address, secrets, metrics, stop.clone());

    let (recorder_stop, sweeper_stop, notifier_stop) =
        (CancellationToken::new(), CancellationToken::new(), CancellationToken::new());
    let recorder = start("recorder", roles.recorder.run(recorder_stop.clone()), stop.clone());
    let sweeper = start("sweeper", roles.sweeper.run(sweeper_stop.clone()), stop.clone());
    let notifier = start("notifier", roles.notifier.run(notifier_stop.clone()), stop.clone());
    info!(%address, "the server listens");

    connections::serve(listener, roles.router, stop).await;
    sweeper_stop.cancel();
    recorder_stop.cancel();
    let (sweeper, recorder) = (sweeper.await?, recorder.await?);
    notifier_stop.cancel();
    notifier.await?.and(recorder).and(sweeper)
}

impl Roles {
    pub(crate) fn new(
        platform: Platform,
        settings: Settings,
        address: SocketAddr,
        secrets: SigningSecrets,
        metrics: Metrics,
        stop: CancellationToken,
    ) -> Self {
        let settings = Arc::new(settings);
        let wakeups = Arc::new(Wakeups::default());
        let dispatcher = Dispatcher::new(platform.queue.clone(), settings.prefix.clone());
        let recording = Arc::new(Recording {
            requests: platform.requests.clone(),
            predictions: platform.predictions.clone(),
            dead_letters: platform.dead_letters.clone(),
            clock: platform.clock.clone(),
            wakeups: wakeups.clone(),
        });
        let recorder = consumer(&platform, &settings, recording.clone());
        let sweeper = Sweeper {
            requests: platform.requests.clone(),
            recording,
            dispatcher: dispatcher.clone(),
            clock: platform.clock.clone(),
            settings: settings.sweeper.clone(),
        };
        let attempts = Attempts {
            callbacks: platform.callbacks.clone(),
            requests: platform.requests.clone(),
            predictions: platform.predictions.clone(),
            poster: platform.poster.clone(),
            clock: platform.clock.clone(),
            secrets,
            public_url: public_url(&settings, address),
            settings: settings.notifier.clone(),
        };
        let notifier = Notifier { attempts: Arc::new(attempts), wakeups: wakeups.clone() };
        let router = api::router(Api {
            policy: Arc::new(AddressPolicy::new(settings.network.allow.clone())),
            platform,
            settings,
            dispatcher,
            wakeups,
            health: recorder.health(),
            metrics,
            stop,
            upload_budget: Arc::new(UploadBudget::default()),
        });
        Self { router, recorder, sweeper, notifier }
    }
}

fn consumer(platform: &Platform, settings: &Settings, recording: Arc<Recording>) -> Consumer {
    let queue = QueueName::outcomes(&settings.prefix);
    let recorder = &settings.recorder;
    let consume = ConsumeSettings {
        queue: queue.clone(),
        capacity: recorder.capacity_tasks,
        lease: recorder.lease,
        max_lease: recorder.max_lease,
        wait: settings.queue.poll_wait,
        drain: recorder.drain,
    };
    let handler = Recorder {
        recording,
        dead_letters: platform.dead_letters.clone(),
        clock: platform.clock.clone(),
        queue,
    };
    Consumer::new(platform.queue.clone(), platform.clock.clone(), consume, Arc::new(handler))
}

/// How clients reach the API, for links: as the settings say, or where it listens.
fn public_url(settings: &Settings, address: SocketAddr) -> Url {
    let listens = || Url::parse(&format!("http://{address}")).expect("an address makes a URL");
    settings.server.public_url.clone().unwrap_or_else(listens)
}

/// Runs a role. One that panics stops the server: whoever started it starts it again, and until
/// then nobody takes a server for whole that is not.
fn start(
    role: &'static str,
    work: impl Future<Output = ()> + Send + 'static,
    stop: CancellationToken,
) -> JoinHandle<anyhow::Result<()>> {
    tokio::spawn(async move {
        let ended = tokio::spawn(work).await;
        if let Err(error) = &ended {
            error!(role, %error, "a role panicked, the server stops");
            stop.cancel();
        }
        ended.with_context(|| format!("the {role} panicked"))
    })
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
        let platform = Platform::memory(&settings, Arc::new(SystemClock)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let server = tokio::spawn(run(listener, platform, settings, stop.clone()));

        let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
        let call = "GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
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
        let role = start("recorder", async { panic!("told to") }, stop.clone());
        stop.cancelled().await;
        assert_eq!(role.await.unwrap().unwrap_err().to_string(), "the recorder panicked");
    }
}
