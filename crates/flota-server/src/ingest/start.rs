use std::sync::Arc;

use flota_core::{
    QueueName,
    consume::{ConsumeSettings, Consumer},
};
use flota_platform::{Platform, settings::Settings};

use super::{
    gatherer::Gatherer, handler::Ingest, packer::Packer, requests::Requester, served::Served,
};
use crate::intake::Intake;

/// The loop that reads upload events, if a rule says what to do with them.
pub(crate) fn consumer(
    platform: &Platform,
    settings: &Settings,
    intake: Intake,
) -> Option<Consumer> {
    let ingest = &settings.ingest;
    if ingest.rules.is_empty() {
        return None;
    }
    let queue = QueueName::events(&settings.prefix);
    let consume = ConsumeSettings {
        queue: queue.clone(),
        capacity: ingest.capacity_events,
        min_capacity: ingest.capacity_events,
        lease: ingest.lease,
        max_lease: ingest.max_lease,
        wait: settings.queue.poll_wait,
        drain: ingest.drain,
    };
    let clock = &platform.clock;
    let served = Served { models: platform.models.clone(), clock: clock.clone() };
    let packer = Packer {
        served: served.clone(),
        queue: platform.queue.clone(),
        cache: intake.cache.clone(),
        clock: clock.clone(),
        prefix: settings.prefix.clone(),
    };
    let handler = Ingest {
        rules: ingest.rules.clone(),
        requester: Requester { served, intake, clock: clock.clone() },
        gatherer: Gatherer::start(packer, ingest.pack_wait),
        dead_letters: platform.dead_letters.clone(),
        clock: clock.clone(),
        queue,
    };
    Some(Consumer::new(platform.queue.clone(), clock.clone(), consume, Arc::new(handler)))
}
