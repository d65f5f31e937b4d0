//! HTTP out, to addresses that strangers named: only where we may, checked at the connection used.

mod addressed;
mod addresses;
mod answer;
mod client;
mod connector;
mod gate;
mod images;
mod lookups;
mod policy;
mod ports;
mod poster;
mod resolver;
mod retry_after;

pub use addressed::AddressedImages;
pub use client::{ClientError, GuardedClient};
pub use gate::HostGate;
pub use images::{FetchLimits, HttpImages};
pub use policy::{AddressPolicy, ForbiddenAddress, redacted};
pub use ports::PortRange;
pub use poster::HttpPoster;
pub use retry_after::retry_after;
