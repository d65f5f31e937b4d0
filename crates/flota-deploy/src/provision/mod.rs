//! Makes on AWS what the fleet needs, or says what is not as it is to be.

mod buckets;
mod filters;
mod needs;
mod notifications;
mod policy;
mod queues;
mod resource;
mod tables;

pub use needs::{Action, provision};
pub(crate) use needs::{Need, needs};
pub use resource::{Difference, Resource, ResourceKind, State};
