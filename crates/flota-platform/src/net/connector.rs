//! Connections to addresses that were checked, which count what they are used for.

use std::{
    error::Error,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures::{FutureExt, TryFutureExt, future::BoxFuture};
use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::{
    client::legacy::connect::{Connected, Connection, HttpConnector},
    rt::TokioIo,
};
use tokio::net::TcpStream;
use tower_service::Service;

use super::resolver::CheckedResolver;

/// Longest that one server has for accepting a connection, all its addresses together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Connects to the addresses that the resolver lets through.
#[derive(Clone)]
pub(super) struct GuardedConnector {
    http: HttpConnector<CheckedResolver>,
}

/// A connection that knows whether it was used before, and yields after each read.
///
/// hyper reads and parses interim answers (1xx) in one poll for as long as they come, and notices only in its
/// next poll that nobody waits for the answer. Without the yields a server that floods them would hold a thread
/// of the runtime after its request has failed.
pub(super) struct CountedStream {
    stream: TokioIo<TcpStream>,
    answers: Answers,
    yields_next: bool,
}

/// How many answers came over a connection.
#[derive(Clone, Default)]
pub(super) struct Answers(Arc<AtomicU32>);

impl Answers {
    /// Another one came.
    pub(super) fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether one came before.
    pub(super) fn is_any(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}

impl GuardedConnector {
    pub(super) fn new(resolver: CheckedResolver) -> Self {
        let mut http = HttpConnector::new_with_resolver(resolver);
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(CONNECT_TIMEOUT));
        Self { http }
    }
}

impl Service<Uri> for GuardedConnector {
    type Response = CountedStream;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = BoxFuture<'static, Result<CountedStream, Self::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.http.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let counted =
            |stream| CountedStream { stream, answers: Answers::default(), yields_next: false };
        self.http.call(uri).map_ok(counted).map_err(Into::into).boxed()
    }
}

impl Connection for CountedStream {
    fn connected(&self) -> Connected {
        self.stream.connected().extra(self.answers.clone())
    }
}

impl Read for CountedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if std::mem::take(&mut self.yields_next) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let read = Pin::new(&mut self.stream).poll_read(cx, into);
        self.yields_next = read.is_ready();
        read
    }
}

impl Write for CountedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }
}

#[cfg(test)]
mod tests {
    use futures::future::poll_immediate;
    use hyper::rt::ReadBuf;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn every_other_read_yields() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        listener.accept().await.unwrap().0.try_write(b"abc").unwrap();
        stream.readable().await.unwrap();
        let mut counted = CountedStream {
            stream: TokioIo::new(stream),
            answers: Answers::default(),
            yields_next: false,
        };
        let mut read = async || {
            let mut bytes = [0; 1];
            let mut buffer = ReadBuf::new(&mut bytes);
            let read = poll_immediate(futures::future::poll_fn(|cx| {
                Pin::new(&mut counted).poll_read(cx, buffer.unfilled())
            }));
            read.await.map(|read| read.map(|()| bytes[0]).unwrap())
        };
        let mut seen = Vec::new();
        for _ in 0..5 {
            seen.push(read().await);
        }
        assert_eq!(seen, [Some(b'a'), None, Some(b'b'), None, Some(b'c')]);
    }
}
