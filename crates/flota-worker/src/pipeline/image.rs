//! Runs models over one image: cache, fetch, decode, infer.

use std::{future, sync::Arc};

use flota_core::{
    Alias, PredictionKey, Sha256, Timings,
    ports::{Clock, UPLOADED_PREFIX},
};
use flota_engine::Model;
use futures::{
    FutureExt,
    future::{BoxFuture, join_all},
};

use super::{
    attempt::{Answer, Attempt, Computed, ComputedAnswer},
    batch::ServedModel,
    cache::PredictionCache,
    permit::{Permit, Permits},
    prepare::{FetchedImage, PreparedImages, Preparer},
    single_flight::{Joined, SingleFlight},
};
use crate::metrics;

/// Answers the attempts of a delivery that are about one image.
pub(crate) struct ImageRunner {
    cache: PredictionCache,
    preparer: Arc<Preparer>,
    in_flight: SingleFlight<PredictionKey, Computed>,
    permits: Permits,
    clock: Arc<dyn Clock>,
}

/// The attempts of a delivery at one image, until each has its answer.
pub(crate) struct ImageRun<'a> {
    runs: Vec<ModelRun<'a>>,
    /// Fetched where an attempt is open: it needs a computation of its own.
    image: Option<FetchedImage>,
}

/// An attempt, and the model that it runs.
struct ModelRun<'a> {
    attempt: Attempt<'a>,
    model: &'a Arc<ServedModel>,
    state: State,
}

enum State {
    Open,
    /// It joined a computation.
    Computing(Joined<Computed>),
    Answered(Answer),
}

impl ImageRunner {
    /// A runner that computes nothing yet.
    pub(crate) fn new(cache: PredictionCache, preparer: Preparer, clock: Arc<dyn Clock>) -> Self {
        let (in_flight, permits) = (SingleFlight::default(), Permits::default());
        Self { cache, preparer: Arc::new(preparer), in_flight, permits, clock }
    }

    /// Answers ordinary attempts, all of one image, beside others. The image is fetched and decoded once for
    /// all of them, and what is in flight for an equal image is not computed again.
    pub(crate) async fn run<'a>(
        &self,
        attempts: Vec<(Attempt<'a>, &'a Arc<ServedModel>)>,
    ) -> Vec<(Attempt<'a>, Answer)> {
        let mut run = self.fetch(attempts).await;
        if let Some(image) = run.image.take() {
            let sha256 = image.sha256;
            let (keys, models) = run.open_models(sha256);
            let begin = |new: &[usize]| {
                let models: Vec<_> = new.iter().map(|n| Arc::clone(&models[*n])).collect();
                let (preparer, permits) = (Arc::clone(&self.preparer), self.permits.clone());
                let networks = networks(&models);
                let prepared = async move {
                    let permit = permits.shared().await;
                    preparer.prepare(image, networks, permit).await
                };
                self.infer(sha256, models, prepared)
            };
            let joined = self.in_flight.join(&keys, begin);
            run.set_open(joined.into_iter().map(State::Computing));
        }
        run.finish().await
    }

    /// Looks for predictions in the cache and in flight; fetches the image if one has to be computed.
    pub(crate) async fn fetch<'a>(
        &self,
        attempts: Vec<(Attempt<'a>, &'a Arc<ServedModel>)>,
    ) -> ImageRun<'a> {
        let open = |(attempt, model)| ModelRun { attempt, model, state: State::Open };
        let mut run = ImageRun { runs: attempts.into_iter().map(open).collect(), image: None };
        let Some(ModelRun { attempt, .. }) = run.runs.first() else { return run };
        let (url, lease) = (attempt.task.image.as_str(), &attempt.delivery.lease);

        // An uploaded image's URL names its content; of an object, the cache or S3 may know it.
        let named = url.strip_prefix(UPLOADED_PREFIX).and_then(|hash| hash.parse().ok());
        let object = self.cache.object(url);
        let aliased = match &object {
            Some(object) => self.cache.content(object).await,
            None => None,
        };
        let expected = match named.or(aliased) {
            Some(sha256) => Some(sha256),
            None => self.cache.checksum(url).await,
        };
        let alias = |sha256| object.clone().map(|object| Alias { object, sha256 });
        if let Some(sha256) = expected {
            let alias = if aliased.is_none() { alias(sha256) } else { None };
            run.open().for_each(|one| one.attempt.alias.clone_from(&alias));
            self.find(&mut run, sha256).await;
        }
        if run.open().next().is_none() {
            return run;
        }

        let permit = self.preparer.fetch_permit(url).await;
        if lease.stopping() {
            run.answer_open(|| Answer::NotStarted);
            return run;
        }
        let max_bytes = run.open().map(|one| one.model.max_image_bytes()).max();
        let fetched = match permit {
            Ok(permit) => {
                self.preparer.fetch(url, named, max_bytes.unwrap_or_default(), permit).await
            }
            Err(failure) => Err(failure),
        };
        let image = match fetched {
            Ok(image) => image,
            Err(failure) => {
                run.answer_open(|| Answer::Failed(failure.clone()));
                return run;
            }
        };
        let fetch_ms = Some(metrics::milliseconds(image.took));
        run.open().for_each(|one| one.attempt.timings.fetch_ms = fetch_ms);
        if expected != Some(image.sha256) {
            let alias = alias(image.sha256);
            run.open().for_each(|one| one.attempt.alias.clone_from(&alias));
            self.find(&mut run, image.sha256).await;
        }
        let is_open = run.open().next().is_some();
        run.image = is_open.then_some(image);
        run
    }

    /// Waits until nothing else is decoded or inferred.
    pub(crate) async fn exclusive(&self) -> Permit {
        self.permits.exclusive().await
    }

    /// Computes the answers of the open attempts of `run` under `permit`; nobody joins them.
    pub(crate) async fn compute_isolated(&self, run: &mut ImageRun<'_>, permit: Permit) {
        let Some(image) = run.image.take() else { return };
        let sha256 = image.sha256;
        let (_, models) = run.open_models(sha256);
        let prepared = self.preparer.prepare(image, networks(&models), permit).await;
        let computations = self.infer(sha256, models, future::ready(prepared));
        let flights = computations.into_iter().map(FutureExt::shared);
        run.set_open(flights.map(|flight| State::Computing(Joined { flight, is_first: true })));
    }

    /// What each of `models` makes of an image, once it is `prepared` for all of them.
    fn infer(
        &self,
        sha256: Sha256,
        models: Vec<Arc<ServedModel>>,
        prepared: impl Future<Output = PreparedImages> + Send + 'static,
    ) -> Vec<BoxFuture<'static, Computed>> {
        let prepared = prepared.boxed().shared();
        let infer = |(n, model): (usize, Arc<ServedModel>)| {
            let (prepared, clock) = (prepared.clone(), Arc::clone(&self.clock));
            let computed = async move {
                let prepared = prepared.await.take(n);
                model.infer(sha256, prepared, clock.as_ref()).await
            };
            computed.boxed()
        };
        models.into_iter().enumerate().map(infer).collect()
    }

    /// Finds the predictions of an image that are in flight or in the cache.
    async fn find(&self, run: &mut ImageRun<'_>, sha256: Sha256) {
        let find = async |one: &mut ModelRun<'_>| {
            let key = one.model.key(sha256);
            if let Some(flight) = self.in_flight.find(&key) {
                // Who began it may stop waiting, and this run waits for the image first.
                tokio::spawn(flight.clone());
                one.state = State::Computing(Joined { flight, is_first: false });
            } else if let Some(prediction) = self.cache.prediction(&key).await {
                one.state = State::Answered(Answer::Cached(prediction));
            }
        };
        join_all(run.open().map(find)).await;
    }
}

fn networks(models: &[Arc<ServedModel>]) -> Vec<Arc<Model>> {
    models.iter().map(|model| Arc::clone(&model.model)).collect()
}

impl<'a> ImageRun<'a> {
    /// Whether an attempt needs a computation of its own.
    pub(crate) fn has_image(&self) -> bool {
        self.image.is_some()
    }

    /// The attempts that need one.
    pub(crate) fn open_attempts(&mut self) -> impl Iterator<Item = &mut Attempt<'a>> {
        self.open().map(|one| &mut one.attempt)
    }

    /// Waits for the computations that were joined.
    pub(crate) async fn join_computations(&mut self) {
        join_all(self.runs.iter_mut().map(|run| run.join_computation())).await;
    }

    /// Waits for the answer of each attempt.
    pub(crate) async fn finish(mut self) -> Vec<(Attempt<'a>, Answer)> {
        self.join_computations().await;
        let answered = |ModelRun { attempt, state, .. }| match state {
            State::Answered(answer) => (attempt, answer),
            State::Open | State::Computing(_) => unreachable!("it was computed or answered"),
        };
        self.runs.into_iter().map(answered).collect()
    }

    fn open(&mut self) -> impl Iterator<Item = &mut ModelRun<'a>> {
        self.runs.iter_mut().filter(|one| matches!(one.state, State::Open))
    }

    /// The models of the open attempts, and the keys of their predictions.
    fn open_models(&mut self, sha256: Sha256) -> (Vec<PredictionKey>, Vec<Arc<ServedModel>>) {
        self.open().map(|one| (one.model.key(sha256), Arc::clone(one.model))).unzip()
    }

    fn set_open(&mut self, states: impl Iterator<Item = State>) {
        self.open().zip(states).for_each(|(one, state)| one.state = state);
    }

    fn answer_open(&mut self, answer: impl Fn() -> Answer) {
        self.open().for_each(|one| one.state = State::Answered(answer()));
    }
}

impl ModelRun<'_> {
    async fn join_computation(&mut self) {
        let State::Computing(Joined { flight, is_first }) = &self.state else { return };
        let (flight, is_duplicate) = (flight.clone(), !is_first);
        let computed = flight.clone().await;
        if is_duplicate {
            metrics::duplicate();
        } else {
            let timings = &mut self.attempt.timings;
            let (queued_ms, fetch_ms) = (timings.queued_ms, timings.fetch_ms);
            *timings = Timings { queued_ms, fetch_ms, ..computed.timings.clone() };
        }
        let answer = ComputedAnswer { computed, is_duplicate, flight };
        self.state = State::Answered(Answer::Computed(answer));
    }
}
