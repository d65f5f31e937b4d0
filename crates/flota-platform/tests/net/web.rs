//! The web as a worker reaches it, with loopback, IPv4 only, allowed.

use std::sync::Arc;

use flota_memory::SeededClock;
use flota_platform::{
    net::{AddressPolicy, GuardedClient, HostLimiter, HttpImages},
    settings::Settings,
};

pub const MAX_BYTES: u64 = 1_000;

pub fn loopback() -> AddressPolicy {
    AddressPolicy::new(vec!["127.0.0.0/8".parse().unwrap()])
}

/// Images within the usual bounds.
pub fn images() -> HttpImages {
    images_under(loopback(), &Settings::default())
}

pub fn images_under(policy: AddressPolicy, settings: &Settings) -> HttpImages {
    let client = GuardedClient::new(policy).unwrap();
    let clock = Arc::new(SeededClock::new(1));
    let limiter = HostLimiter::new(settings.web_limits(), clock.clone());
    HttpImages::new(client, limiter, clock, settings.fetch_limits())
}
