//! Threads for what keeps a core busy. A few that stay, not the runtime's many that come and go:
//! each keeps the memory that it once needed for a large image.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, mpsc},
    thread,
};

use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// A job that did not answer.
#[derive(Debug)]
pub(crate) struct Panicked;

/// Runs jobs on its threads, which end with it.
pub(crate) struct Threads {
    jobs: mpsc::Sender<Job>,
}

impl Threads {
    /// Starts `count` threads called `name` and their number.
    ///
    /// # Errors
    /// If the system starts no more threads.
    pub(crate) fn start(name: &str, count: usize) -> io::Result<Self> {
        let (jobs, waiting) = mpsc::channel::<Job>();
        let waiting = Arc::new(Mutex::new(waiting));
        for index in 0..count {
            let waiting = Arc::clone(&waiting);
            thread::Builder::new().name(format!("{name}-{index}")).spawn(move || {
                let next = || waiting.lock().expect("receiving does not panic").recv();
                while let Ok(job) = next() {
                    // Its answer's channel is dropped with it, which tells of the panic.
                    let _ = catch_unwind(AssertUnwindSafe(job));
                }
            })?;
        }
        Ok(Self { jobs })
    }

    /// Runs `job` when a thread is free. It runs to its end whoever waits.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_answer_and_its_thread_goes_on() {
        let threads = Threads::start("test", 1).unwrap();
        assert!(threads.run(|| panic!("as asked")).await.is_err());
        assert_eq!(threads.run(|| 7).await.unwrap(), 7);
    }
}
