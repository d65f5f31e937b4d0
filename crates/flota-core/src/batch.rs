//! Batches items of many callers. A batch is full at a count or a size, or goes when the first of
//! its items has waited long enough.

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    time::{self, Instant},
};

/// How large a batch may be, and how many calls are made at once.
#[derive(Debug, Clone, Copy)]
pub struct BatchLimits {
    /// Most items of a batch; at least one.
    pub max_count: usize,
    /// Most bytes of a batch; one item may have more.
    pub max_bytes: usize,
    /// Most calls under way. While no more may begin, batches go on filling.
    pub max_calls: usize,
}

/// Makes one call for the items of many callers, and gives each caller its own answer.
pub struct Batcher<T, A> {
    entries: mpsc::Sender<Entry<T, A>>,
}

struct Entry<T, A> {
    item: T,
    size_bytes: usize,
    /// When the item stops waiting for others.
    due: Instant,
    reply: oneshot::Sender<A>,
}

/// Cuts the items of a channel into batches.
pub struct Batches<T> {
    items: mpsc::Receiver<T>,
    max_count: usize,
    max_bytes: usize,
    size_bytes: fn(&T) -> usize,
    /// The item that did not fit the last batch.
    left: Option<T>,
}

impl BatchLimits {
    /// Batches of any size in bytes, with one call at a time. Items that arrive during a call go in
    /// the next one.
    pub fn one_call_of(max_count: usize) -> Self {
        Self { max_count, max_bytes: usize::MAX, max_calls: 1 }
    }
}

impl<T: Send + 'static, A: Send + 'static> Batcher<T, A> {
    /// Starts the batcher, which ends when its last handle is dropped. `call` returns one answer
    /// per item, in the order of the items.
    pub fn start(
        limits: BatchLimits,
        call: impl Fn(Vec<T>) -> BoxFuture<'static, Vec<A>> + Send + Sync + 'static,
    ) -> Self {
        let (entries, waiting) = mpsc::channel(limits.max_count.max(1));
        let batches = Batches {
            items: waiting,
            max_count: limits.max_count.max(1),
            max_bytes: limits.max_bytes,
            size_bytes: |entry: &Entry<T, A>| entry.size_bytes,
            left: None,
        };
        let calls = Arc::new(Semaphore::new(limits.max_calls.clamp(1, Semaphore::MAX_PERMITS)));
        tokio::spawn(call_all(batches, calls, Arc::new(call)));
        Self { entries }
    }

    /// Adds an item, which waits up to `linger` for others, and returns its answer. `None` if the
    /// call panicked.
    pub async fn add(&self, item: T, linger: Duration) -> Option<A> {
        self.add_sized(item, 0, linger).await
    }

    /// Like [`add`](Self::add), for an item that takes `size_bytes` of its batch.
    pub async fn add_sized(&self, item: T, size_bytes: usize, linger: Duration) -> Option<A> {
        let (reply, answer) = oneshot::channel();
        let due = Instant::now() + linger;
        self.entries.send(Entry { item, size_bytes, due, reply }).await.ok()?;
        answer.await.ok()
    }
}

impl<T, A> Clone for Batcher<T, A> {
    fn clone(&self) -> Self {
        Self { entries: self.entries.clone() }
    }
}

async fn call_all<T: Send + 'static, A: Send + 'static>(
    mut batches: Batches<Entry<T, A>>,
    calls: Arc<Semaphore>,
    call: Arc<dyn Fn(Vec<T>) -> BoxFuture<'static, Vec<A>> + Send + Sync>,
) {
    while let Some(mut batch) = batches.next(|entry| entry.due).await {
        let Ok(turn) = Arc::clone(&calls).acquire_owned().await else { return };
        batches.fill(&mut batch);
        // Nobody waits for the answers of callers that went away.
        let batch = batch.into_iter().filter(|entry| !entry.reply.is_closed());
        let (items, replies): (Vec<T>, Vec<_>) = batch.map(|it| (it.item, it.reply)).unzip();
        if items.is_empty() {
            continue;
        }
        let call = Arc::clone(&call);
        // In a task of its own, so that a call that panics ends no other.
        tokio::spawn(async move {
            let answers = call(items).await;
            drop(turn);
            for (reply, answer) in replies.into_iter().zip(answers) {
                // A caller that went away meanwhile needs no answer.
                let _ = reply.send(answer);
            }
        });
    }
}

impl<T> Batches<T> {
    /// Batches of up to `max_count` of `items`.
    pub fn new(items: mpsc::Receiver<T>, max_count: usize) -> Self {
        let max_count = max_count.max(1);
        Self { items, max_count, max_bytes: usize::MAX, size_bytes: |_| 0, left: None }
    }

    /// Returns the next batch. It waits for a first item without a limit, then adds the items that
    /// fit and arrive before the earliest `due` of the batch. `None` once all senders are dropped.
    pub async fn next(&mut self, due: impl Fn(&T) -> Instant) -> Option<Vec<T>> {
        let first = match self.left.take() {
            Some(first) => first,
            None => self.items.recv().await?,
        };
        let mut end = due(&first);
        let mut batch = Vec::with_capacity(self.max_count);
        batch.push(first);
        loop {
            let before = batch.len();
            self.fill(&mut batch);
            end = batch[before..].iter().map(&due).fold(end, Instant::min);
            if !self.may_grow(&batch) {
                return Some(batch);
            }
            match time::timeout_at(end, self.items.recv()).await {
                Ok(Some(item)) => {
                    let due = due(&item);
                    if self.put(item, &mut batch) {
                        end = end.min(due);
                    }
                }
                Ok(None) | Err(_) => return Some(batch),
            }
        }
    }

    /// Adds items that have arrived already, as far as they fit.
    pub fn fill(&mut self, batch: &mut Vec<T>) {
        while self.may_grow(batch)
            && let Ok(item) = self.items.try_recv()
        {
            self.put(item, batch);
        }
    }

    fn may_grow(&self, batch: &[T]) -> bool {
        batch.len() < self.max_count && self.left.is_none()
    }

    /// Adds `item` to `batch` and returns true, or keeps it for the next batch.
    fn put(&mut self, item: T, batch: &mut Vec<T>) -> bool {
        let size_bytes: usize = batch.iter().chain([&item]).map(self.size_bytes).sum();
        let fits = batch.is_empty() || size_bytes <= self.max_bytes;
        match fits {
            true => batch.push(item),
            false => self.left = Some(item),
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures::{FutureExt, future::join_all};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn the_item_that_is_due_first_ends_the_wait_of_all() {
        let (sender, waiting) = mpsc::channel(8);
        let mut batches = Batches::new(waiting, 3);
        let began = Instant::now();
        sender.send(began + 10 * SECOND).await.unwrap();
        let later = sender.clone();
        let sending = tokio::spawn(async move {
            time::sleep(SECOND).await;
            later.send(began + 3 * SECOND).await.unwrap();
        });
        assert_eq!(batches.next(|due| *due).await.unwrap().len(), 2);
        assert_eq!(began.elapsed(), 3 * SECOND);
        sending.await.unwrap();

        for _ in 0..3 {
            sender.send(began + 100 * SECOND).await.unwrap();
        }
        assert_eq!(batches.next(|due| *due).await.unwrap().len(), 3);
        assert_eq!(began.elapsed(), 3 * SECOND, "no room is no wait");
        drop(sender);
        assert_eq!(batches.next(|due: &Instant| *due).await, None);
    }

    /// The items of each call.
    type Calls = Arc<Mutex<Vec<Vec<usize>>>>;

    /// A batcher whose calls take a second and multiply each item by ten, and the items of its
    /// calls.
    fn batcher(limits: BatchLimits) -> (Batcher<usize, usize>, Calls) {
        let calls = Arc::new(Mutex::new(Vec::new()));
        let called = calls.clone();
        let batcher = Batcher::start(limits, move |items: Vec<usize>| {
            called.lock().unwrap().push(items.clone());
            let answers = async move {
                time::sleep(SECOND).await;
                items.into_iter().map(|item| item * 10).collect()
            };
            answers.boxed()
        });
        (batcher, calls)
    }

    #[tokio::test(start_paused = true)]
    async fn each_caller_gets_the_answer_to_its_own_item() {
        let (batcher, calls) = batcher(BatchLimits::one_call_of(4));
        let answers = join_all((0..10).map(|n| batcher.add(n, Duration::ZERO))).await;
        assert_eq!(answers, (0..10).map(|n| Some(n * 10)).collect::<Vec<_>>());
        let sizes: Vec<usize> = calls.lock().unwrap().iter().map(Vec::len).collect();
        assert_eq!(sizes, [4, 4, 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_has_a_size_and_what_does_not_fit_opens_the_next() {
        let limits = BatchLimits { max_count: 10, max_bytes: 100, max_calls: 8 };
        let (batcher, calls) = batcher(limits);
        let sizes = [60, 30, 20, 200, 1];
        let adds = sizes.into_iter().map(|size| batcher.add_sized(size, size, SECOND / 2));
        let began = Instant::now();
        assert!(join_all(adds).await.iter().all(Option::is_some));
        assert_eq!(*calls.lock().unwrap(), [vec![60, 30], vec![20], vec![200], vec![1]]);
        assert!(began.elapsed() < 2 * SECOND, "calls are made beside each other");
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_for_a_call_joins_the_next_one_unless_its_caller_left() {
        let (batcher, calls) = batcher(BatchLimits::one_call_of(10));
        let first = tokio::spawn({
            let batcher = batcher.clone();
            async move { batcher.add(1, Duration::ZERO).await }
        });
        time::sleep(SECOND / 10).await;
        assert!(time::timeout(SECOND / 10, batcher.add(2, Duration::ZERO)).await.is_err());
        let late = join_all([3, 4].map(|n| batcher.add(n, Duration::ZERO)));
        assert_eq!(late.await, [Some(30), Some(40)]);
        assert_eq!(first.await.unwrap(), Some(10));
        assert_eq!(*calls.lock().unwrap(), [vec![1], vec![3, 4]]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_panics_has_no_answers_and_ends_no_other() {
        let batcher = Batcher::start(BatchLimits::one_call_of(1), |items: Vec<usize>| {
            assert_ne!(items, [1], "a call that fails before it waits");
            futures::future::ready(items).boxed()
        });
        assert_eq!(batcher.add(1, Duration::ZERO).await, None);
        assert_eq!(batcher.add(2, Duration::ZERO).await, Some(2));
    }
}
