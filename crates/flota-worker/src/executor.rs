//! What a worker asks of its process: threads, and to be ended. A test runs the same work on one thread and
//! on virtual time.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    process,
    sync::Arc,
    thread,
    time::Duration,
};

use futures::future::BoxFuture;
use tokio::{
    runtime::Handle,
    sync::{Mutex, mpsc, oneshot},
};

/// Runs what keeps a core busy, and ends the process.
pub(crate) trait Executor: Send + Sync {
    /// Runs `work` to its end on a thread of its own called `name`. It may block that thread.
    ///
    /// # Errors
    /// If the system starts no more threads.
    fn spawn(&self, name: String, work: BoxFuture<'static, ()>) -> io::Result<()>;

    /// Calls `tick` every `interval` until it answers false, whatever holds up all other threads.
    ///
    /// # Errors
    /// If the system starts no more threads.
    fn every(&self, name: &str, interval: Duration, tick: Tick) -> io::Result<()>;

    /// Ends the process with `code`.
    fn exit(&self, code: i32);
}

/// Answers whether it is to be called again.
pub(crate) type Tick = Box<dyn FnMut() -> bool + Send>;

/// Threads of the operating system, and the process that they are in.
pub(crate) struct OsExecutor;

impl Executor for OsExecutor {
    fn spawn(&self, name: String, work: BoxFuture<'static, ()>) -> io::Result<()> {
        let runtime = Handle::current();
        thread::Builder::new().name(name).spawn(move || runtime.block_on(work))?;
        Ok(())
    }

    fn every(&self, name: &str, interval: Duration, mut tick: Tick) -> io::Result<()> {
        thread::Builder::new().name(name.to_owned()).spawn(move || {
            while tick() {
                thread::sleep(interval);
            }
        })?;
        Ok(())
    }

    fn exit(&self, code: i32) {
        process::exit(code)
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// A job that did not answer.
#[derive(Debug)]
pub(crate) struct Panicked;

/// Threads for what keeps a core busy. A few that stay, not the runtime's many that come and go: each keeps
/// the memory that it once needed for a large image. They end with the last handle.
#[derive(Clone)]
pub(crate) struct ThreadPool {
    jobs: mpsc::UnboundedSender<Job>,
}

impl ThreadPool {
    /// Starts `count` threads called `name` and their number.
    ///
    /// # Errors
    /// If the system starts no more threads.
    pub(crate) fn start(executor: &dyn Executor, name: &str, count: usize) -> io::Result<Self> {
        // Its callers bound it: each holds a permit to fetch or decode while its job waits.
        let (jobs, waiting) = mpsc::unbounded_channel();
        let waiting = Arc::new(Mutex::new(waiting));
        for index in 0..count {
            executor.spawn(format!("{name}-{index}"), Box::pin(run_jobs(Arc::clone(&waiting))))?;
        }
        Ok(Self { jobs })
    }

    /// Runs `job` when a thread is free. It runs to its end even if the caller stops waiting.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Panicked> {
        let (reply, answer) = oneshot::channel();
        let job = move || {
            let _ = reply.send(job());
        };
        self.jobs.send(Box::new(job)).map_err(|_| Panicked)?;
        answer.await.map_err(|_| Panicked)
    }
}

async fn run_jobs(waiting: Arc<Mutex<mpsc::UnboundedReceiver<Job>>>) {
    loop {
        let job = waiting.lock().await.recv().await;
        let Some(job) = job else { return };
        // A panic drops the channel of the answer, which tells the caller.
        let _ = catch_unwind(AssertUnwindSafe(job));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_answer_and_its_thread_goes_on() {
        let threads = ThreadPool::start(&OsExecutor, "test", 1).unwrap();
        assert!(threads.run(|| panic!("as asked")).await.is_err());
        assert_eq!(threads.run(|| 7).await.unwrap(), 7);
    }
}
