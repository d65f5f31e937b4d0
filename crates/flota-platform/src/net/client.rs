use std::{
    error::Error,
    io,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{
    Extensions, HeaderMap, HeaderValue, Method, Request, Uri,
    header::{ACCEPT, USER_AGENT},
};
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, Client},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rustls_platform_verifier::BuilderVerifierExt;
use thiserror::Error;
use tokio::sync::Notify;
use url::Url;

use super::{
    AddressPolicy, ForbiddenAddress,
    answer::Answer,
    connector::{Answers, GuardedConnector},
    resolver::{CheckedResolver, Lookup, system_lookup},
};

/// Idle connections kept per host: a few images of one site come in a row.
const MAX_IDLE_PER_HOST: usize = 4;
/// How long an idle connection is kept: shorter than most servers keep it, so that a request
/// seldom meets one that is just being closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);
/// Headers of one answer that are read: browsers have no bound but that of their bytes.
const MAX_HEADERS: usize = 1_000;
/// Interim answers (1xx) before the answer; a server that sends more never answers.
const MAX_INTERIM_ANSWERS: u32 = 20;
/// How we call ourselves.
const AGENT: &str = concat!("flota/", env!("CARGO_PKG_VERSION"));

type HttpClient = Client<HttpsConnector<GuardedConnector>, Full<Bytes>>;

/// An HTTP client that reaches only what its policy allows. It follows no redirect, keeps no
/// cookie, and uses no proxy of the environment.
///
/// A request over a connection that was used before, and dies before the first byte of an answer, is
/// sent once more over a fresh one: servers close idle connections without saying so. All requests
/// are idempotent, those of callbacks by their `webhook-id` (RFC 9110, 9.2.2).
#[derive(Clone)]
pub struct GuardedClient {
    pooled: HttpClient,
    /// Keeps no connection.
    fresh: HttpClient,
    policy: AddressPolicy,
}

/// The client could not be made.
#[derive(Debug, Error)]
#[error("cannot make the HTTP client")]
pub struct ClientError(#[from] rustls::Error);

/// A request to send.
pub(super) struct Outgoing {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Why a call had no answer, or only a part of one.
#[derive(Debug, Error)]
pub(super) enum CallError {
    /// The address is one that we do not go to.
    #[error(transparent)]
    Forbidden(#[from] ForbiddenAddress),
    /// It cannot be written as HTTP.
    #[error("the address cannot be sent over HTTP")]
    Unsendable(#[source] Box<dyn Error + Send + Sync>),
    /// The name of `host` was not resolved, for a reason that may pass.
    #[error(
        "`{host}` does not resolve, or resolves only to blocked addresses; `network.allow` allows more"
    )]
    NotResolved {
        host: String,
        #[source]
        cause: Box<dyn Error + Send + Sync>,
    },
    /// No connection.
    #[error("the server could not be reached")]
    NotReached(#[source] Box<dyn Error + Send + Sync>),
    /// The head of the answer is too large.
    #[error("the server answered with more headers than are read ({MAX_HEADERS}, or 400 kB)")]
    HeadTooLarge(#[source] Box<dyn Error + Send + Sync>),
    /// Interim answers and no end of them.
    #[error("the server sent more than {MAX_INTERIM_ANSWERS} interim answers and no other")]
    InterimAnswers,
    /// The connection broke, or what came is not HTTP.
    #[error("the connection to the server broke")]
    Broken(#[source] Box<dyn Error + Send + Sync>),
}

/// A failed call, and whether it may be made once more at once.
struct Failed {
    error: legacy::Error,
    is_stale: bool,
}

impl GuardedClient {
    /// A client under `policy`, with the resolver of the operating system.
    ///
    /// # Errors
    /// If TLS cannot be used.
    pub fn new(policy: AddressPolicy) -> Result<Self, ClientError> {
        Self::with_lookup(policy, system_lookup())
    }

    pub(super) fn with_lookup(policy: AddressPolicy, lookup: Lookup) -> Result<Self, ClientError> {
        let resolver = CheckedResolver::new(policy.clone(), lookup);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls()?)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(GuardedConnector::new(resolver));
        let client = |idle| builder(idle).build(connector.clone());
        Ok(Self { pooled: client(MAX_IDLE_PER_HOST), fresh: client(0), policy })
    }

    pub(super) fn check(&self, address: &str) -> Result<Url, ForbiddenAddress> {
        self.policy.check_url(address)
    }

    /// Sends a request and returns when the head of the answer is there.
    pub(super) async fn send(&self, outgoing: &Outgoing) -> Result<Answer, CallError> {
        let failed = match self.send_over(&self.pooled, outgoing).await? {
            Ok(answer) => return Ok(answer),
            Err(failed) if failed.is_stale => {
                tracing::debug!(
                    "a connection was closed unsaid, sending once more over a fresh one"
                );
                match self.send_over(&self.fresh, outgoing).await? {
                    Ok(answer) => return Ok(answer),
                    Err(failed) => failed,
                }
            }
            Err(failed) => failed,
        };
        Err(call_error(failed.error, &outgoing.url))
    }

    async fn send_over(
        &self,
        client: &HttpClient,
        outgoing: &Outgoing,
    ) -> Result<Result<Answer, Failed>, CallError> {
        let mut request = request(outgoing)?;
        let interim = Arc::new(Interim::default());
        let counted = Arc::clone(&interim);
        hyper::ext::on_informational(&mut request, move |_| counted.count());
        let answered = tokio::select! {
            biased;
            answered = client.request(request) => answered,
            () = interim.are_too_many.notified() => return Err(CallError::InterimAnswers),
        };
        Ok(match answered {
            Ok(response) => {
                if let Some(answers) = response.extensions().get::<Answers>() {
                    answers.count();
                }
                Ok(Answer::new(response))
            }
            Err(error) => Err(Failed { is_stale: is_stale(&error), error }),
        })
    }
}

/// Interim answers to one request.
#[derive(Default)]
struct Interim {
    seen: AtomicU32,
    are_too_many: Notify,
}

impl Interim {
    fn count(&self) {
        if self.seen.fetch_add(1, Ordering::Relaxed) >= MAX_INTERIM_ANSWERS {
            self.are_too_many.notify_one();
        }
    }
}

/// Trusts what the machine trusts. A bare machine may have no certificates; what needs none must run
/// there.
fn tls() -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let versions = || {
        ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()
    };
    match versions()?.with_platform_verifier() {
        Ok(config) => Ok(config.with_no_client_auth()),
        Err(error) => {
            tracing::warn!(%error, "no certificates to trust, https addresses will be refused");
            let none = RootCertStore::empty();
            Ok(versions()?.with_root_certificates(none).with_no_client_auth())
        }
    }
}

/// Reads answers as browsers do: many headers, folded ones, and some that are none.
fn builder(idle_per_host: usize) -> legacy::Builder {
    let mut builder = Client::builder(TokioExecutor::new());
    builder
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .pool_max_idle_per_host(idle_per_host)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .http1_max_headers(MAX_HEADERS)
        .http1_allow_obsolete_multiline_headers_in_responses(true)
        .http1_allow_spaces_after_header_name_in_responses(true)
        .http1_ignore_invalid_headers_in_responses(true);
    builder
}

fn request(outgoing: &Outgoing) -> Result<Request<Full<Bytes>>, CallError> {
    let uri: Uri =
        outgoing.url.as_str().parse().map_err(|error| CallError::Unsendable(Box::new(error)))?;
    let mut request = Request::new(Full::new(outgoing.body.clone()));
    *request.method_mut() = outgoing.method.clone();
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    headers.extend(outgoing.headers.clone());
    Ok(request)
}

/// Whether a connection that was used before died before the first byte of this answer.
fn is_stale(error: &legacy::Error) -> bool {
    let mut extensions = Extensions::new();
    if let Some(connected) = error.connect_info() {
        connected.get_extras(&mut extensions);
    }
    let is_reused = extensions.get::<Answers>().is_some_and(Answers::is_any);
    is_reused && !error.is_connect() && has_died(error)
}

fn has_died(error: &legacy::Error) -> bool {
    causes(error).any(|cause| {
        let is_hyper = cause
            .downcast_ref::<hyper::Error>()
            .is_some_and(|error| error.is_incomplete_message() || error.is_canceled());
        let is_io = cause.downcast_ref::<io::Error>().is_some_and(|error| {
            use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected};
            matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected)
        });
        is_hyper || is_io
    })
}

fn call_error(error: legacy::Error, url: &Url) -> CallError {
    let forbidden = causes(&error).find_map(|cause| cause.downcast_ref::<ForbiddenAddress>());
    if let Some(forbidden) = forbidden {
        return CallError::Forbidden(forbidden.clone());
    }
    let is_lookup = causes(&error).any(|cause| cause.is::<super::resolver::NotResolved>());
    let is_large = causes(&error)
        .filter_map(|cause| cause.downcast_ref::<hyper::Error>())
        .any(hyper::Error::is_parse_too_large);
    let is_connect = error.is_connect();
    let cause: Box<dyn Error + Send + Sync> = Box::new(error);
    if is_lookup {
        let host = url.host_str().unwrap_or_default().to_owned();
        CallError::NotResolved { host, cause }
    } else if is_large {
        CallError::HeadTooLarge(cause)
    } else if is_connect {
        CallError::NotReached(cause)
    } else {
        CallError::Broken(cause)
    }
}

/// An error and what is behind it.
fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'e (dyn Error + 'static)| (*error).source())
}
