//! Bounds on the look-ups of names, which the operating system ends late and never early.

use std::{
    collections::HashMap,
    io,
    net::{SocketAddr, ToSocketAddrs},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::spawn_blocking,
    time::timeout,
};

/// Look-ups at once; each holds a thread until the operating system ends it.
const MAX_AT_ONCE: usize = 64;
/// Look-ups at once of names of one domain: silent name servers of one domain leave room for the others.
const MAX_PER_DOMAIN: usize = 8;
/// Longest that a look-up is waited for. The thread goes on, and its place is taken until it ends.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The look-ups under way.
#[derive(Clone)]
pub(super) struct Lookups {
    places: Arc<Semaphore>,
    by_domain: Arc<Mutex<HashMap<String, usize>>>,
}

/// The place of a look-up, until the look-up ends.
struct Place {
    lookups: Lookups,
    domain: String,
    _place: OwnedSemaphorePermit,
}

impl Lookups {
    pub(super) fn new() -> Self {
        Self { places: Arc::new(Semaphore::new(MAX_AT_ONCE)), by_domain: Arc::default() }
    }

    /// The addresses of `host`, as `ask` finds them on a thread of its own.
    pub(super) async fn run(
        &self,
        host: String,
        ask: impl FnOnce(&str) -> io::Result<Vec<SocketAddr>> + Send + 'static,
    ) -> io::Result<Vec<SocketAddr>> {
        let place = self.enter(&host)?;
        let asked = spawn_blocking(move || {
            let _place = place;
            ask(&host)
        });
        match timeout(TIMEOUT, asked).await {
            Ok(answered) => answered.map_err(io::Error::other)?,
            Err(late) => Err(io::Error::new(io::ErrorKind::TimedOut, late)),
        }
    }

    fn enter(&self, host: &str) -> io::Result<Place> {
        let busy =
            || io::Error::new(io::ErrorKind::ResourceBusy, "too many look-ups are under way");
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| busy())?;
        let domain = domain(host).to_owned();
        let mut by_domain = self.by_domain();
        let count = by_domain.entry(domain.clone()).or_default();
        if *count >= MAX_PER_DOMAIN {
            return Err(busy());
        }
        *count += 1;
        drop(by_domain);
        Ok(Place { lookups: self.clone(), domain, _place: place })
    }

    fn by_domain(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.by_domain.lock().expect("nothing panics under this lock")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut by_domain = self.lookups.by_domain();
        if let Some(count) = by_domain.get_mut(&self.domain) {
            *count -= 1;
            if *count == 0 {
                by_domain.remove(&self.domain);
            }
        }
    }
}

/// What the operating system says of `host`.
pub(super) fn ask_system(host: &str) -> io::Result<Vec<SocketAddr>> {
    // The port is the URL's: the connector puts it in place of zero.
    Ok((host, 0).to_socket_addrs()?.collect())
}

/// Whose name servers are likely asked for `host`: its last two labels, or three where the last but one
/// is as short as in `co.uk`.
fn domain(host: &str) -> &str {
    let host = host.trim_end_matches('.');
    let mut dots = host.rmatch_indices('.').map(|(at, _)| at);
    let (last, second, third) = (dots.next(), dots.next(), dots.next());
    let (Some(last), Some(second)) = (last, second) else { return host };
    match third {
        _ if last - second > 4 => &host[second + 1..],
        Some(third) => &host[third + 1..],
        None => host,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn names_of_one_domain_share_its_name_servers() {
        for (host, of) in [
            ("a.b.example.com.", "example.com"),
            ("example.com", "example.com"),
            ("img.shop.co.uk", "shop.co.uk"),
            ("shop.co.uk", "shop.co.uk"),
            ("localhost", "localhost"),
        ] {
            assert_eq!(domain(host), of, "{host}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn silent_name_servers_of_one_domain_hold_up_no_other() {
        let lookups = Lookups::new();
        let (hold, held) = mpsc::channel::<()>();
        let held = Arc::new(Mutex::new(held));
        let silent = |n: usize| {
            let (lookups, held) = (lookups.clone(), held.clone());
            let ask = move |_: &str| {
                // Ends when the sender is dropped, as a look-up that nobody answers.
                let _ = held.lock().unwrap().recv();
                Ok(Vec::new())
            };
            tokio::spawn(async move { lookups.run(format!("{n}.silent.example"), ask).await })
        };
        let waiting: Vec<_> = (0..MAX_PER_DOMAIN).map(silent).collect();
        while lookups.by_domain().get("silent.example") != Some(&MAX_PER_DOMAIN) {
            tokio::task::yield_now().await;
        }
        let refused = lookups.run("x.silent.example".into(), |_| Ok(Vec::new())).await;
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::ResourceBusy);
        assert!(lookups.run("photos.example".into(), |_| Ok(Vec::new())).await.is_ok());
        tokio::time::advance(TIMEOUT * 2).await;
        for one in waiting {
            assert_eq!(one.await.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
        }
        let refused = lookups.run("y.silent.example".into(), |_| Ok(Vec::new())).await;
        assert!(refused.is_err(), "the threads are taken still");
        drop(hold);
    }
}
