use std::sync::Arc;

use flota_core::{
    BatchLimits, Batcher,
    consume::{Consumer, WeightedQueue},
};
use flota_platform::{Platform, settings::Settings};
use futures::FutureExt;

use super::{
    handler::{Ingest, MAX_PACKED},
    packer::Packer,
    requests::Requester,
};
use crate::submissions::Submissions;

/// Most upload events in flight.
const EVENTS_IN_FLIGHT: usize = 400;

/// The consumer of upload events; `None` if there are no rules.
pub(crate) fn consumer(
    platform: &Platform,
    settings: &Settings,
    submissions: Submissions,
) -> Option<Consumer> {
    let ingest = &settings.ingest;
    if ingest.rules.is_empty() {
        return None;
    }
    let queue_names = settings.queue_names();
    let events = WeightedQueue::from(queue_names.events());
    let consume = settings.queue.consume(vec![events], EVENTS_IN_FLIGHT);
    let clock = &platform.clock;
    let packer = Arc::new(Packer {
        directory: submissions.directory.clone(),
        queue: platform.queue.clone(),
        cache: submissions.cache.clone(),
        clock: clock.clone(),
        queue_names,
    });
    let handler = Ingest {
        rules: ingest.rules.clone(),
        requester: Requester { submissions, clock: clock.clone() },
        packer: Batcher::start(BatchLimits::one_call_of(MAX_PACKED), move |arrivals| {
            let packer = Arc::clone(&packer);
            async move { packer.send(arrivals).await }.boxed()
        }),
    };
    let (queue, dead_letters) = (platform.queue.clone(), platform.dead_letters.clone());
    Some(Consumer::new(queue, dead_letters, clock.clone(), consume, Arc::new(handler)))
}
