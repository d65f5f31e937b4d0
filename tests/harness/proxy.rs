use std::{
    collections::BTreeMap,
    future::pending,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
};

use axum::{
    body::Bytes,
    http::{
        HeaderMap, Request, Response,
        header::{CONTENT_LENGTH, TRANSFER_ENCODING},
        request::Parts,
    },
};
use futures::stream;
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use reqwest::{Client, redirect::Policy};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

use super::{
    Fault,
    faults::{Batch, operation, refusal},
    until,
};

type Body = BoxBody<Bytes, io::Error>;

/// A reverse proxy on loopback. A caller of a service meets through it the faults that a test
/// wants.
pub struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
    listening: Option<JoinHandle<()>>,
}

struct State {
    upstream: String,
    http: Client,
    plan: Mutex<Plan>,
}

/// What is to go wrong, and what has.
#[derive(Default)]
struct Plan {
    fault: Option<(Fault, usize)>,
    /// How many calls pass before all others are held.
    held_after: Option<usize>,
    is_holding: bool,
    calls: BTreeMap<String, usize>,
    met: BTreeMap<String, usize>,
}

impl Proxy {
    /// Starts one before the service at `upstream`.
    pub async fn start(upstream: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let http = Client::builder().no_proxy().redirect(Policy::none()).build();
        let state = Arc::new(State {
            upstream: upstream.to_owned(),
            http: http.expect("the options are fixed"),
            plan: Mutex::default(),
        });
        let mut proxy = Self { address, state, listening: None };
        proxy.listen(listener);
        proxy
    }

    /// Where the service is found through it.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on the first of `every` calls of each operation meets `fault`.
    pub fn inject(&self, fault: Fault, every: usize) {
        *self.plan() = Plan { fault: Some((fault, every)), ..Plan::default() };
    }

    /// From now on `count` calls pass, and all others wait in vain.
    pub fn hold_after(&self, count: usize) {
        *self.plan() = Plan { held_after: Some(count), ..Plan::default() };
    }

    /// Whether a call waits in vain.
    pub fn is_holding(&self) -> bool {
        self.plan().is_holding
    }

    /// How often calls of each operation have met the fault.
    pub fn met(&self) -> BTreeMap<String, usize> {
        self.plan().met.clone()
    }

    /// From now on every call passes.
    pub fn heal(&self) {
        *self.plan() = Plan::default();
    }

    /// Refuses connections and ends those that are open.
    pub async fn go_away(&mut self) {
        if let Some(listening) = self.listening.take() {
            listening.abort();
            let _ = listening.await;
        }
    }

    /// Listens again at the same address.
    pub async fn come_back(&mut self) {
        let address = self.address;
        let listener =
            until("the proxy's port", || async { TcpListener::bind(address).await.ok() }).await;
        self.listen(listener);
    }

    fn listen(&mut self, listener: TcpListener) {
        let state = Arc::clone(&self.state);
        self.listening = Some(tokio::spawn(async move {
            // Dropped with this task, it ends the connections.
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.expect("the test has files enough");
                connections.spawn(serve(stream, Arc::clone(&state)));
                while connections.try_join_next().is_some() {}
            }
        }));
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.state.plan.lock().expect("no holder panics")
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(listening) = &self.listening {
            listening.abort();
        }
    }
}

async fn serve(stream: TcpStream, state: Arc<State>) {
    let stream = stream.into_std().expect("a socket is one for the standard library too");
    let twin = stream.try_clone().and_then(TcpStream::from_std);
    let twin = twin.expect("a socket can be opened twice");
    let stream = TcpStream::from_std(stream).expect("it was one before");
    let service = service_fn(|request| {
        let (state, twin) = (&state, &twin);
        async move { state.answer(request, twin).await }
    });
    // Ends with an error where that was wanted, or where a caller was killed.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

impl State {
    /// An error ends the connection without an answer.
    async fn answer(
        &self,
        call: Request<Incoming>,
        socket: &TcpStream,
    ) -> io::Result<Response<Body>> {
        let (call, body) = call.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        let operation = operation(&call.method, &call.headers);
        let next = self.plan.lock().expect("no holder panics").next(&operation);
        let fault = match next {
            Next::Pass => None,
            Next::Fault(fault) => Some(fault),
            Next::Hold => pending().await,
        };
        match fault {
            None => Ok(whole(self.forward(&call, body).await?)),
            Some(Fault::Error | Fault::Throttled) => {
                Ok(whole(refusal(&call.headers, fault.unwrap_or(Fault::Error))))
            }
            Some(Fault::Delayed(delay)) => {
                tokio::time::sleep(delay).await;
                Ok(whole(self.forward(&call, body).await?))
            }
            Some(Fault::AnswerLost) => {
                self.forward(&call, body).await?;
                Err(io::Error::other("the answer is lost"))
            }
            Some(Fault::Truncated) => Ok(half(self.forward(&call, body).await?)),
            Some(Fault::Reset) => {
                socket.set_zero_linger()?;
                Err(io::Error::other("the connection is reset"))
            }
            Some(Fault::PartlyFailed | Fault::Unprocessed) => {
                let mut batch = Batch::split(&operation, &body);
                let answer = match batch.rest.take() {
                    Some(rest) => self.forward(&call, rest).await?,
                    None => Response::new(Bytes::from_static(b"{}")),
                };
                if !answer.status().is_success() {
                    return Ok(whole(answer));
                }
                Ok(whole(answer.map(|body| batch.join(&body))))
            }
        }
    }

    async fn forward(&self, call: &Parts, body: Bytes) -> io::Result<Response<Bytes>> {
        let url = format!("{}{}", self.upstream, call.uri);
        let sent =
            self.http.request(call.method.clone(), url).headers(own(&call.headers)).body(body);
        let answer = sent.send().await.map_err(io::Error::other)?;
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = answer.status();
        *response.headers_mut() = own(answer.headers());
        *response.body_mut() = answer.bytes().await.map_err(io::Error::other)?;
        Ok(response)
    }
}

enum Next {
    Pass,
    Fault(Fault),
    Hold,
}

impl Plan {
    /// What becomes of the next call.
    fn next(&mut self, operation: &str) -> Next {
        match &mut self.held_after {
            None => {}
            Some(0) => {
                self.is_holding = true;
                return Next::Hold;
            }
            Some(count) => *count -= 1,
        }
        let Some((fault, every)) = self.fault.filter(|(fault, _)| fault.meets(operation)) else {
            return Next::Pass;
        };
        let calls = self.calls.entry(operation.to_owned()).or_default();
        *calls += 1;
        if *calls % every != 1 {
            return Next::Pass;
        }
        *self.met.entry(operation.to_owned()).or_default() += 1;
        Next::Fault(fault)
    }
}

/// The headers but those that each connection has for itself.
fn own(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    for name in [CONTENT_LENGTH.as_str(), TRANSFER_ENCODING.as_str(), "connection", "expect"] {
        headers.remove(name);
    }
    headers
}

fn whole(answer: Response<Bytes>) -> Response<Body> {
    answer.map(|body| Full::new(body).map_err(|never| match never {}).boxed())
}

/// Promises all of the body and ends the connection in the middle of it.
fn half(mut answer: Response<Bytes>) -> Response<Body> {
    let size_bytes = answer.body().len();
    answer.headers_mut().insert(CONTENT_LENGTH, size_bytes.max(1).into());
    answer.map(|body| {
        let frames = [
            Ok(Frame::data(body.slice(..size_bytes / 2))),
            Err(io::Error::other("the answer is truncated")),
        ];
        BodyExt::boxed(StreamBody::new(stream::iter(frames)))
    })
}
