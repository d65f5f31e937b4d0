use std::{error::Error, io, net::SocketAddr, sync::Arc};

use futures::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::AddressPolicy;

/// The addresses of a host, as a name server tells them.
pub(super) type Lookup =
    Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// Looks a name up once and hands on its addresses only if every one is allowed, so that the
/// connection goes to an address that was checked.
pub(super) struct CheckedResolver {
    policy: AddressPolicy,
    lookup: Lookup,
}

impl CheckedResolver {
    pub(super) fn new(policy: AddressPolicy, lookup: Lookup) -> Self {
        Self { policy, lookup }
    }
}

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = self.policy.clone();
        let lookup = self.lookup.clone();
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found = lookup(host.clone()).await.map_err(boxed)?;
            policy.check_all(&host, found.iter().map(SocketAddr::ip)).map_err(boxed)?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// The resolver of the operating system.
pub(super) fn system_lookup() -> Lookup {
    Arc::new(|host| {
        Box::pin(async move {
            // The port is the URL's: reqwest puts it in place of zero.
            let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
            Ok(found.collect())
        })
    })
}

fn boxed(error: impl Error + Send + Sync + 'static) -> Box<dyn Error + Send + Sync> {
    Box::new(error)
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use flota_core::{
        Code,
        ports::{PostError, PostRequest, Poster},
    };
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;
    use crate::net::{GuardedClient, HttpImages, HttpPoster};

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
        HttpImages::new(client, Duration::from_secs(15), 3)
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
    async fn a_name_without_an_address_may_get_one() {
        let failing: Lookup =
            Arc::new(|_| Box::pin(async { Err(io::Error::other("no such host")) }));
        for lookup in [failing, answers(&[&[]], &Arc::default())] {
            let fetched = images(client(lookup)).fetch("http://photos.example/", MAX_BYTES).await;
            assert_eq!(fetched.unwrap_err().code, Code::FetchFailed);
        }
    }
}
