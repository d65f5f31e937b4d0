use std::sync::Arc;

use flota_core::ports::{
    Aliases, Callbacks, Clock, DeadLetters, Images, Models, Poster, Predictions, Queue, Replays,
    Requests, Retention,
};
use thiserror::Error;
use tokio::task::spawn_blocking;

use crate::{
    DiskReserve, Staging, Store, SystemClock, aws, embedded, memory,
    net::{ClientError, GuardedClient, HostLimiter, HttpImages, HttpPoster, ImagesByUrl},
    settings::{Backend, Settings},
};

/// Every port, opened.
#[derive(Clone)]
pub struct Platform {
    /// The queues.
    pub queue: Arc<dyn Queue>,
    /// Requests, rounds and outcomes.
    pub requests: Arc<dyn Requests>,
    /// Predictions.
    pub predictions: Arc<dyn Predictions>,
    /// What objects of S3 contain.
    pub aliases: Arc<dyn Aliases>,
    /// Callbacks.
    pub callbacks: Arc<dyn Callbacks>,
    /// Dead letters.
    pub dead_letters: Arc<dyn DeadLetters>,
    /// Replays of dead letters.
    pub replays: Arc<dyn Replays>,
    /// Models and the workers that serve them.
    pub models: Arc<dyn Models>,
    /// Images, uploaded and on the web.
    pub images: Arc<dyn Images>,
    /// Uploaded images that are arriving.
    pub staging: Staging,
    /// The room that is left where all this is stored.
    pub disk: DiskReserve,
    /// Deletion by age; `None` where the store does that by itself.
    pub retention: Option<Arc<dyn Retention>>,
    /// HTTP out.
    pub poster: Arc<dyn Poster>,
    /// Time, randomness and ids.
    pub clock: Arc<dyn Clock>,
}

/// A platform that cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] embedded::OpenError),
    /// AWS cannot be used.
    #[error(transparent)]
    Aws(#[from] aws::OpenError),
    /// The HTTP client cannot be made.
    #[error(transparent)]
    Http(#[from] ClientError),
}

impl OpenError {
    /// Whether the store itself must be changed, so that opening it again ends the same.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Store(error) => error.is_permanent(),
            Self::Aws(_) | Self::Http(_) => false,
        }
    }
}

impl Platform {
    /// The platform that `settings` name, on the machine's clock.
    pub async fn open(settings: &Settings) -> Result<Self, OpenError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let mut disk = DiskReserve::default();
        let store = match settings.backend {
            Backend::Embedded => {
                disk = DiskReserve::of(settings.data_dir.clone(), settings.embedded.min_free_bytes);
                let (data_dir, clock) = (settings.data_dir.clone(), clock.clone());
                let opened = spawn_blocking(move || embedded::open(&data_dir, clock)).await;
                opened.expect("opening a store does not panic")?
            }
            Backend::Aws => aws::open(settings).await?,
        };
        Ok(Self { disk, ..Self::over(store, settings, clock)? })
    }

    /// A platform whose store is an empty one in this process's memory, for unit tests and
    /// simulation. Of `settings` it needs those of HTTP out.
    pub fn memory(settings: &Settings, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        Self::over(memory::open(clock.clone()), settings, clock)
    }

    fn over(store: Store, settings: &Settings, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let client = GuardedClient::new(settings.network.policy())?;
        let limiter = |limits| HostLimiter::new(limits, clock.clone());
        let web = HttpImages::new(
            client.clone(),
            limiter(settings.web_limits()),
            clock.clone(),
            settings.fetch_limits(),
        );
        let objects = limiter(settings.object_limits());
        Ok(Self {
            queue: store.queue,
            requests: store.requests,
            predictions: store.predictions,
            aliases: store.aliases,
            callbacks: store.callbacks,
            dead_letters: store.dead_letters,
            replays: store.replays,
            models: store.models,
            images: Arc::new(ImagesByUrl::new(store.images, objects, web)),
            staging: store.staging,
            retention: store.retention,
            disk: DiskReserve::default(),
            poster: Arc::new(HttpPoster::new(client)),
            clock,
        })
    }
}
