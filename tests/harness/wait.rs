use std::{future::Future, time::Duration};

use tokio::time::{Instant, sleep};

/// Longest wait for anything: far beyond what a slow machine needs, and than a claim that nobody
/// keeps, so that reaching it is a fault.
const BOUND: Duration = Duration::from_secs(180);
/// How often a condition is looked at.
const INTERVAL: Duration = Duration::from_millis(20);

/// Looks again and again until `condition` gives something.
///
/// # Panics
/// If it gave nothing for three minutes; `what` says what was waited for.
pub async fn until<T, F>(what: &str, mut condition: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let end = Instant::now() + BOUND;
    loop {
        if let Some(found) = condition().await {
            return found;
        }
        assert!(Instant::now() < end, "waited in vain for {what}");
        sleep(INTERVAL).await;
    }
}
