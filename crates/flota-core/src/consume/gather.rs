use std::time::Duration;

use tokio::{sync::mpsc, time};

/// Takes up to `max` of what waits: the first whenever it comes, and what comes within `linger` after
/// it. Nothing once nobody sends any more.
pub async fn gather<T>(waiting: &mut mpsc::Receiver<T>, max: usize, linger: Duration) -> Vec<T> {
    let mut gathered = Vec::with_capacity(max);
    if waiting.recv_many(&mut gathered, max).await > 0 {
        let fill = async {
            loop {
                // No room left is no wait.
                let room = max - gathered.len();
                if waiting.recv_many(&mut gathered, room).await == 0 {
                    break;
                }
            }
        };
        let _ = time::timeout(linger, fill).await;
    }
    gathered
}
