//! HTTP out, to addresses that strangers named: only where we may, checked at the connection used.

mod addresses;
mod answer;
mod by_url;
mod client;
mod connector;
mod host_limiter;
mod images;
mod lookups;
mod policy;
mod ports;
mod poster;
mod resolver;
mod retry_after;

pub use by_url::ImagesByUrl;
pub use client::{ClientError, GuardedClient};
pub use host_limiter::HostLimiter;
pub use images::{FetchLimits, HttpImages};
pub use policy::{AddressPolicy, ForbiddenAddress, redacted};
pub use ports::PortRange;
pub use poster::HttpPoster;
pub use retry_after::retry_after;
