use tokio::{
    sync::mpsc,
    time::{self, Instant},
};

/// Takes up to `max` of what waits: the first whenever it comes, and what comes before the first of
/// them is `due`. Nothing once nobody sends any more.
pub async fn gather<T>(
    waiting: &mut mpsc::Receiver<T>,
    max: usize,
    due: impl Fn(&T) -> Instant,
) -> Vec<T> {
    let mut gathered = Vec::with_capacity(max);
    waiting.recv_many(&mut gathered, max).await;
    let Some(mut end) = gathered.iter().map(&due).min() else { return gathered };
    while gathered.len() < max {
        let before = gathered.len();
        let more = waiting.recv_many(&mut gathered, max - before);
        if time::timeout_at(end, more).await.unwrap_or(0) == 0 {
            break;
        }
        end = gathered[before..].iter().map(&due).fold(end, Instant::min);
    }
    gathered
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn whoever_is_due_first_ends_the_wait_of_all() {
        const SECOND: Duration = Duration::from_secs(1);
        let (sender, mut waiting) = mpsc::channel(8);
        let began = Instant::now();
        sender.send(began + 10 * SECOND).await.unwrap();
        let later = sender.clone();
        let sending = tokio::spawn(async move {
            time::sleep(SECOND).await;
            later.send(began + 3 * SECOND).await.unwrap();
        });
        assert_eq!(gather(&mut waiting, 8, |due| *due).await.len(), 2);
        assert_eq!(began.elapsed(), 3 * SECOND);
        sending.await.unwrap();

        for _ in 0..3 {
            sender.send(began + 100 * SECOND).await.unwrap();
        }
        assert_eq!(gather(&mut waiting, 3, |due| *due).await.len(), 3);
        assert_eq!(began.elapsed(), 3 * SECOND, "no room is no wait");
        drop(sender);
        assert!(gather(&mut waiting, 3, |due: &Instant| *due).await.is_empty());
    }
}
