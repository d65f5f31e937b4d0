//! Assembles the roles of the server.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    thread,
};

use axum::Router;
use flota_core::{ModelDirectory, consume::Consumer};
use flota_platform::{
    Platform,
    settings::{Role, Settings},
    telemetry::Metrics,
};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::{
    api::{self, Api, Poll},
    backlog::Backlogs,
    cache::PredictionCache,
    dispatch::Dispatcher,
    dlq_drain::DlqDrain,
    evidence::Evidence,
    ingest,
    notifications::Notifications,
    notifier::{Attempts, Bodies, Notifier, SigningSecrets},
    recorder::{Recorder, Recording},
    replay::{ReplayRunner, Replayer},
    rerouting::Rerouting,
    retention::Retainer,
    shares::Shares,
    submissions::Submissions,
    sweeper::Sweeper,
};

/// Most outcomes in flight: 32 full messages.
const OUTCOMES_IN_FLIGHT: usize = 640;

/// All roles, ready to run.
pub(crate) struct Roles {
    pub(crate) router: Router,
    /// The router for clients beyond the limit of connections.
    pub(crate) reserve: Router,
    pub(crate) recorder: Consumer,
    /// `None` if there are no ingest rules.
    pub(crate) ingest: Option<Consumer>,
    pub(crate) sweeper: Sweeper,
    pub(crate) notifier: Notifier,
    pub(crate) replayer: Replayer,
    pub(crate) dlq_drain: DlqDrain,
    pub(crate) rerouting: Rerouting,
    pub(crate) retainer: Retainer,
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
        let notifications = Arc::new(Notifications::default());
        let queue_names = settings.queue_names();
        let (models, clock) = (platform.models.clone(), platform.clock.clone());
        let directory = Arc::new(ModelDirectory::new(models, clock));
        let dispatcher = Dispatcher {
            queue: platform.queue.clone(),
            directory: directory.clone(),
            queue_names: queue_names.clone(),
        };
        let recording = Arc::new(Recording {
            requests: platform.requests.clone(),
            predictions: platform.predictions.clone(),
            aliases: platform.aliases.clone(),
            dead_letters: platform.dead_letters.clone(),
            clock: platform.clock.clone(),
            notifications: notifications.clone(),
        });
        let recorder = consumer(&platform, &settings, recording.clone());
        let evidence = Evidence {
            queue: platform.queue.clone(),
            models: platform.models.clone(),
            directory: directory.clone(),
            queue_names: queue_names.clone(),
            sent_within: settings.sweeper.resend,
            empty_since: Mutex::default(),
        };
        let sweeper = Sweeper {
            evidence,
            requests: platform.requests.clone(),
            recording: recording.clone(),
            dispatcher: dispatcher.clone(),
            clock: platform.clock.clone(),
            settings: settings.sweeper.clone(),
        };
        let runner = ReplayRunner {
            requests: platform.requests.clone(),
            dead_letters: platform.dead_letters.clone(),
            directory: directory.clone(),
            queue: platform.queue.clone(),
            dispatcher: dispatcher.clone(),
            clock: platform.clock.clone(),
            queue_names: queue_names.clone(),
            settings: settings.sweeper.clone(),
        };
        let replayer = Replayer {
            replays: platform.replays.clone(),
            dead_letters: platform.dead_letters.clone(),
            runner: runner.clone(),
            clock: platform.clock.clone(),
            notifications: notifications.clone(),
            settings: settings.dead_letters.clone(),
        };
        let dlq_drain = DlqDrain {
            queue: platform.queue.clone(),
            directory: directory.clone(),
            dead_letters: platform.dead_letters.clone(),
            clock: platform.clock.clone(),
            queue_names: queue_names.clone(),
            interval: settings.dead_letters.dlq_interval,
        };
        let rerouting = Rerouting {
            queue: platform.queue.clone(),
            directory: directory.clone(),
            dead_letters: platform.dead_letters.clone(),
            clock: platform.clock.clone(),
            queue_names: queue_names.clone(),
            complained: Mutex::default(),
        };
        let retainer = Retainer {
            retention: platform.retention.clone(),
            clock: platform.clock.clone(),
            settings: settings.retention.clone(),
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
            bodies: Bodies::default(),
        };
        let notifier =
            Notifier { attempts: Arc::new(attempts), notifications: notifications.clone() };
        let submissions = Submissions {
            requests: platform.requests.clone(),
            dispatcher,
            recording,
            cache: PredictionCache {
                aliases: platform.aliases.clone(),
                predictions: platform.predictions.clone(),
                trust_etag: settings.objects.trust_etag,
            },
            directory: directory.clone(),
            clock: platform.clock.clone(),
            settings: settings.sweeper.clone(),
        };
        let ingest = ingest::consumer(&platform, &settings, submissions.clone());
        let polls = polls(&settings, &recorder, ingest.as_ref());
        let waits = Arc::new(Semaphore::new(settings.server.max_waits));
        let bodies = Shares::new(settings.server.max_body_bytes(), None);
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let decoding = Arc::new(Semaphore::new(cores));
        let backlogs = Backlogs {
            queue: platform.queue.clone(),
            models: platform.models.clone(),
            directory: directory.clone(),
            clock: platform.clock.clone(),
            queue_names: queue_names.clone(),
            history: Mutex::default(),
        };
        let api = Api {
            backlogs: Arc::new(backlogs),
            policy: Arc::new(settings.network.policy()),
            platform,
            settings,
            submissions,
            runner,
            directory,
            queue_names,
            notifications,
            polls,
            metrics,
            stop,
            waits,
            bodies,
            decoding,
        };
        let reserve = api::reserve(api.clone());
        let router = api::router(api);
        Self {
            router,
            reserve,
            recorder,
            ingest,
            sweeper,
            notifier,
            replayer,
            dlq_drain,
            rerouting,
            retainer,
        }
    }
}

fn consumer(platform: &Platform, settings: &Settings, recording: Arc<Recording>) -> Consumer {
    let outcomes = settings.queue_names().outcomes();
    let consume = settings.queue.consume(vec![outcomes.into()], OUTCOMES_IN_FLIGHT);
    let handler = Arc::new(Recorder { recording });
    let (queue, dead_letters) = (platform.queue.clone(), platform.dead_letters.clone());
    Consumer::new(queue, dead_letters, platform.clock.clone(), consume, handler)
}

/// The polls of the roles that this process runs.
fn polls(settings: &Settings, recorder: &Consumer, ingest: Option<&Consumer>) -> Vec<Poll> {
    let all = [(Role::Recorder, "recorder", Some(recorder)), (Role::Ingest, "ingest role", ingest)];
    let mut polls = Vec::new();
    for (role, name, consumer) in all {
        let consumer = consumer.filter(|_| settings.server.roles.contains(&role));
        polls.extend(consumer.map(|consumer| Poll { of: name, health: consumer.health() }));
    }
    polls
}

/// The URL of the API for links: the one in the settings, or the address that the server listens
/// on.
fn public_url(settings: &Settings, address: SocketAddr) -> Url {
    let listens = || Url::parse(&format!("http://{address}")).expect("an address makes a URL");
    settings.server.public_url.clone().unwrap_or_else(listens)
}
