//! The same ways on AWS, as an emulator speaks it.

mod dlq;
mod faults;
mod kills;
mod outage;
mod outcomes;
mod replay;
mod steps;
mod uploads;

use crate::harness::Cloud;

/// Where outcomes travel.
const OUTCOMES: &str = "flota-outcomes";
/// Where tasks of the usual model travel.
const TASKS: &str = "flota-tasks-mean-color-normal";
/// A place where everything is made that a fleet needs.
async fn provisioned() -> Cloud {
    let cloud = Cloud::new().await;
    cloud.provision(None).await;
    cloud
}
