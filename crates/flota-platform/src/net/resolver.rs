//! Names to addresses that may be reached.

use std::{
    error::Error,
    io,
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
    vec,
};

use futures::{FutureExt, future::BoxFuture};
use hyper_util::client::legacy::connect::dns::Name;
use thiserror::Error;
use tower_service::Service;

use super::{
    AddressPolicy, ForbiddenAddress,
    lookups::{Lookups, ask_system},
};

/// What resolvers say of a name that does not exist, or has no address: glibc's, musl's and the BSDs'
/// words. The standard library gives no other sign.
const UNKNOWN_NAME: [&str; 4] = [
    "Name or service not known",
    "No address associated with hostname",
    "Name does not resolve",
    "nodename nor servname provided",
];

/// The addresses of a host, as a name server tells them.
pub(super) type Lookup =
    Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// A name that was not resolved, for a reason that may pass.
#[derive(Debug, Error)]
#[error("the name was not resolved")]
pub(super) struct NotResolved(#[from] io::Error);

/// Looks a name up once and hands on its addresses only if every one is allowed, so that the
/// connection goes to an address that was checked.
#[derive(Clone)]
pub(super) struct CheckedResolver {
    policy: AddressPolicy,
    lookup: Lookup,
}

impl CheckedResolver {
    pub(super) fn new(policy: AddressPolicy, lookup: Lookup) -> Self {
        Self { policy, lookup }
    }

    /// A name that leads nowhere and one that leads where we do not go are told in the same words, so
    /// that nobody learns which names there are on our side.
    async fn resolve(&self, host: String) -> Result<Vec<SocketAddr>, Box<dyn Error + Send + Sync>> {
        let found = match (self.lookup)(host.clone()).await {
            Ok(found) => found,
            Err(error) if is_unknown(&error) => Vec::new(),
            Err(error) => return Err(Box::new(NotResolved(error))),
        };
        let is_allowed = self.policy.check_all(&host, found.iter().map(SocketAddr::ip)).is_ok();
        if found.is_empty() || !is_allowed {
            return Err(Box::new(ForbiddenAddress::Unreachable { host }));
        }
        Ok(found)
    }
}

impl Service<Name> for CheckedResolver {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let resolver = self.clone();
        let host = name.as_str().to_owned();
        async move { resolver.resolve(host).await.map(Vec::into_iter) }.boxed()
    }
}

/// The resolver of the operating system, within bounds.
pub(super) fn system_lookup() -> Lookup {
    let lookups = Lookups::new();
    Arc::new(move |host| {
        let lookups = lookups.clone();
        Box::pin(async move { lookups.run(host, ask_system).await })
    })
}

fn is_unknown(error: &io::Error) -> bool {
    let said = error.to_string();
    UNKNOWN_NAME.iter().any(|unknown| said.contains(unknown))
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use flota_core::{
        Code,
        ports::{Images, PostError, PostRequest, Poster, Retry},
    };
    use flota_memory::SeededClock;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;
    use crate::{
        net::{GuardedClient, HostLimiter, HttpImages, HttpPoster},
        settings::Settings,
    };

    const MAX_BYTES: u64 = 1_000;

    /// A name server that gives the `n`th answer at the `n`th look-up, and the last ever after.
    fn answers(answers: &'static [&'static [&'static str]], asked: &Arc<AtomicUsize>) -> Lookup {
        let asked = asked.clone();
        Arc::new(move |_| {
            let n = asked.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1);
            let found = answers[n].iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), 0));
            let found = found.collect();
            Box::pin(async move { Ok(found) })
        })
    }

    fn client(lookup: Lookup) -> GuardedClient {
        let policy = AddressPolicy::new(vec!["127.0.0.0/8".parse().unwrap()]);
        GuardedClient::with_lookup(policy, lookup).unwrap()
    }

    fn images(client: GuardedClient) -> HttpImages {
        let (settings, clock) = (Settings::default(), Arc::new(SeededClock::new(1)));
        let limiter = HostLimiter::new(settings.web_limits(), clock.clone());
        HttpImages::new(client, limiter, clock, settings.fetch_limits())
    }

    /// A server that answers every request with `bytes`; its port.
    async fn serve() -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 4096]).await;
                let answer =
                    b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nbytes";
                let _ = stream.write_all(answer).await;
            }
        });
        port
    }

    #[tokio::test]
    async fn the_connection_goes_to_the_address_that_was_checked() {
        let port = serve().await;
        let asked = Arc::new(AtomicUsize::new(0));
        let images = images(client(answers(&[&["127.0.0.1"], &["10.0.0.1"]], &asked)));
        let address = format!("http://photos.example:{port}/a.jpg");
        assert_eq!(images.fetch(&address, MAX_BYTES).await.unwrap().as_ref(), b"bytes");
        assert_eq!(asked.load(Ordering::SeqCst), 1, "looked up more than once");
        let rebound = images.fetch(&address, MAX_BYTES).await.unwrap_err();
        assert_eq!(rebound.code, Code::FetchForbiddenAddress, "a rebound name was reached");
    }

    #[tokio::test]
    async fn mixed_answers_are_refused() {
        let port = serve().await;
        let mixed: [&'static [&'static [&'static str]]; 4] = [
            &[&["127.0.0.1", "10.0.0.1"]],
            &[&["10.0.0.1", "127.0.0.1"]],
            &[&["127.0.0.1", "::1"]],
            &[&["127.0.0.1", "8.8.8.8", "::ffff:169.254.169.254"]],
        ];
        for answer in mixed {
            let client = client(answers(answer, &Arc::default()));
            let url = format!("http://photos.example:{port}/a.jpg");
            let error = images(client.clone()).fetch(&url, MAX_BYTES).await.unwrap_err();
            assert_eq!(error.code, Code::FetchForbiddenAddress, "{answer:?}");
            assert!(error.message.contains("photos.example"), "{}", error.message);
            let deadline = Duration::from_secs(15);
            let post = PostRequest { url, headers: Vec::new(), body: Vec::new(), deadline };
            let answered = HttpPoster::new(client).post(post).await;
            assert!(matches!(answered, Err(PostError::ForbiddenAddress(_))), "{answered:?}");
        }
    }

    #[tokio::test]
    async fn a_name_that_is_not_resolved_now_may_be_later() {
        let failing: Lookup = Arc::new(|_| {
            Box::pin(async { Err(io::Error::other("Temporary failure in name resolution")) })
        });
        let fetched = images(client(failing)).fetch("http://photos.example/", MAX_BYTES).await;
        let error = fetched.unwrap_err();
        assert_eq!(error.code, Code::FetchFailed);
        assert!(matches!(error.retry, Retry::Later { .. }), "{:?}", error.retry);
    }

    #[tokio::test]
    async fn errors_do_not_tell_a_private_name_from_one_that_there_is_not() {
        let unknown = "failed to lookup address information: Name or service not known";
        let unknown: Lookup =
            Arc::new(move |_| Box::pin(async move { Err(io::Error::other(unknown)) }));
        let none = answers(&[&[]], &Arc::default());
        let private = answers(&[&["10.0.0.1"]], &Arc::default());
        let metadata = answers(&[&["169.254.169.254"]], &Arc::default());
        let mut told = Vec::new();
        for lookup in [unknown, none, private, metadata] {
            let fetched = images(client(lookup)).fetch("http://photos.example/", MAX_BYTES).await;
            let error = fetched.unwrap_err();
            told.push((error.code, error.message, error.retry));
        }
        assert_eq!(told[0].0, Code::FetchForbiddenAddress);
        assert!(told.iter().all(|one| *one == told[0]), "{told:?}");
    }
}
