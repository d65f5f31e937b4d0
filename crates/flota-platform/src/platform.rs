use std::{env, sync::Arc};

use flota_core::ports::{
    Aliases, Callbacks, Clock, DeadLetters, Images, Models, Poster, Predictions, Queue, Replays,
    Requests, Retention, Store,
};
use thiserror::Error;

#[cfg(feature = "aws")]
use crate::aws;
#[cfg(feature = "embedded")]
use crate::embedded;
use crate::{
    DiskReserve, Staging,
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
    #[cfg(feature = "embedded")]
    #[error(transparent)]
    Store(#[from] embedded::OpenError),
    /// AWS cannot be used.
    #[cfg(feature = "aws")]
    #[error(transparent)]
    Aws(#[from] aws::OpenError),
    /// The HTTP client cannot be made.
    #[error(transparent)]
    Http(#[from] ClientError),
    /// This program was built without the adapters of that backend.
    #[error("this program was built without the adapters of the backend {0:?}")]
    NotBuilt(Backend),
}

impl OpenError {
    /// Whether the store itself must be changed, so that opening it again ends the same.
    pub fn is_permanent(&self) -> bool {
        match self {
            #[cfg(feature = "embedded")]
            Self::Store(error) => error.is_permanent(),
            #[cfg(feature = "aws")]
            Self::Aws(_) => false,
            Self::Http(_) => false,
            Self::NotBuilt(_) => true,
        }
    }
}

impl Platform {
    /// The platform that `settings` name, on the machine's clock.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(settings: &Settings) -> Result<Self, OpenError> {
        match settings.backend {
            #[cfg(feature = "embedded")]
            Backend::Embedded => Self::open_embedded(settings).await,
            #[cfg(feature = "aws")]
            Backend::Aws => {
                Self::over(aws::open(settings).await?, settings, Arc::new(crate::SystemClock))
            }
            #[cfg(not(all(feature = "embedded", feature = "aws")))]
            backend => Err(OpenError::NotBuilt(backend)),
        }
    }

    #[cfg(feature = "embedded")]
    async fn open_embedded(settings: &Settings) -> Result<Self, OpenError> {
        let clock: Arc<dyn Clock> = Arc::new(crate::SystemClock);
        let disk = DiskReserve::of(settings.data_dir.clone(), settings.embedded.min_free_bytes);
        let staging = Staging::new(settings.data_dir.join("uploads"));
        let (data_dir, same_clock) = (settings.data_dir.clone(), clock.clone());
        let opening = tokio::task::spawn_blocking(move || embedded::open(&data_dir, same_clock));
        let store = opening.await.expect("opening a store does not panic")?;
        Ok(Self { disk, staging, ..Self::over(store, settings, clock)? })
    }

    /// A platform over an open store, such as one in memory. Of `settings` it needs those of HTTP out. Images that
    /// are arriving are staged in the folder of temporary files.
    ///
    /// # Errors
    /// If the HTTP client cannot be made.
    pub fn over(
        store: Store,
        settings: &Settings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenError> {
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
            staging: Staging::new(env::temp_dir()),
            retention: store.retention,
            disk: DiskReserve::default(),
            poster: Arc::new(HttpPoster::new(client)),
            clock,
        })
    }
}
