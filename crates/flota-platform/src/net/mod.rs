//! HTTP out, to addresses that strangers named: only where we may, checked at the connection used.

mod addresses;
mod client;
mod images;
mod policy;
mod poster;
mod resolver;

pub use client::{ClientError, GuardedClient};
pub use images::{AddressedImages, HttpImages};
pub use policy::{AddressPolicy, ForbiddenAddress, redacted};
pub use poster::HttpPoster;
