use std::{sync::Arc, time::Duration};

use flota_core::{QueueName, consume::Consumer};
use flota_platform::{Platform, settings::Settings};

use super::{
    gatherer::Gatherer, handler::Ingest, packer::Packer, requests::Requester, served::Served,
};
use crate::submissions::Submissions;

/// Upload events in flight at once.
const EVENTS_IN_FLIGHT: usize = 400;
/// How long an event waits for others, so that up to 20 tasks travel in one message.
const PACK_LINGER: Duration = Duration::from_millis(100);

/// The loop that reads upload events, if a rule says what to do with them.
pub(crate) fn consumer(
    platform: &Platform,
    settings: &Settings,
    submissions: Submissions,
) -> Option<Consumer> {
    let ingest = &settings.ingest;
    if ingest.rules.is_empty() {
        return None;
    }
    let consume = settings.queue.consume(QueueName::events(&settings.prefix), EVENTS_IN_FLIGHT);
    let clock = &platform.clock;
    let served = Served { models: platform.models.clone(), clock: clock.clone() };
    let packer = Packer {
        served: served.clone(),
        queue: platform.queue.clone(),
        cache: submissions.cache.clone(),
        clock: clock.clone(),
        prefix: settings.prefix.clone(),
    };
    let handler = Ingest {
        rules: ingest.rules.clone(),
        requester: Requester { served, submissions, clock: clock.clone() },
        gatherer: Gatherer::start(packer, PACK_LINGER),
    };
    let (queue, dead_letters) = (platform.queue.clone(), platform.dead_letters.clone());
    Some(Consumer::new(queue, dead_letters, clock.clone(), consume, Arc::new(handler)))
}
