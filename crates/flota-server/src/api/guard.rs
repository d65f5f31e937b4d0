use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Uri, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};
use flota_platform::settings::ServerSettings;
use tokio::task::yield_now;

use super::problem::{Problem, ProblemCode};

/// In `server.hosts`: accept every host name.
const ANY_HOST: &str = "*";
/// The site of the page that made the call. Only browsers send this header.
const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// The host names of this server. A browser makes calls for any web page, also to a name that the
/// page's owner has pointed at this machine (DNS rebinding). So a call must name one of these
/// hosts.
#[derive(Clone)]
pub(super) struct Hosts(Arc<[String]>);

impl Hosts {
    /// The names in the settings and the one in `server.public_url`. IP addresses and `localhost`
    /// are always accepted, because nobody can point them elsewhere.
    pub(super) fn of(settings: &ServerSettings) -> Self {
        let public = settings.public_url.as_ref().and_then(|url| url.host_str());
        let listed = settings.hosts.iter().map(String::as_str);
        Self(listed.chain(public).map(str::to_ascii_lowercase).collect())
    }

    fn contains(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let literal = host.trim_start_matches('[').trim_end_matches(']');
        literal.parse::<IpAddr>().is_ok()
            || host == "localhost"
            || host.ends_with(".localhost")
            || self.0.iter().any(|listed| *listed == host || listed == ANY_HOST)
    }
}

/// Rejects calls that name another host or come from another site's page. Forbids caching and
/// content sniffing of answers.
pub(super) async fn guard(State(hosts): State<Hosts>, request: Request, next: Next) -> Response {
    // Lets other connections run between the pipelined calls of one client.
    yield_now().await;
    let mut response = match check(&hosts, request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn check(hosts: &Hosts, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
    let authority = authority(uri, headers)?;
    if !hosts.contains(authority.host()) {
        let detail = format!(
            "this server is not known as `{}`: its operator can add the name to `server.hosts`",
            authority.host()
        );
        return Err(Problem::new(ProblemCode::HostNotAllowed, detail));
    }
    if headers.get(SEC_FETCH_SITE).is_some_and(|site| site == "cross-site") {
        let detail = "a page of another site must not call this API from a browser";
        return Err(Problem::new(ProblemCode::CrossOrigin, detail));
    }
    if headers.get_all(header::ORIGIN).iter().any(|origin| !is_origin_of(origin, &authority)) {
        let detail = "the header `Origin` names another origin than the one that is called";
        return Err(Problem::new(ProblemCode::CrossOrigin, detail));
    }
    Ok(())
}

/// The host and port of the call, which must be named exactly once (RFC 9112, 3.2).
fn authority(uri: &Uri, headers: &HeaderMap) -> Result<Authority, Problem> {
    let refused = |detail: &str| Problem::new(ProblemCode::InvalidHeader, detail);
    let mut named = headers.get_all(header::HOST).iter();
    let host = named.next().ok_or_else(|| refused("the header `Host` is missing"))?;
    if named.next().is_some() {
        return Err(refused("the header `Host` is there twice"));
    }
    let host = host.to_str().ok().and_then(|host| host.parse().ok());
    let host = host.ok_or_else(|| refused("the header `Host` names no host"))?;
    // An absolute URI takes precedence over the header `Host`.
    Ok(uri.authority().cloned().unwrap_or(host))
}

/// Whether `origin` is `http://` or `https://` with the host and port of the call.
fn is_origin_of(origin: &HeaderValue, called: &Authority) -> bool {
    let Some(Ok(origin)) = origin.to_str().ok().map(str::parse::<Uri>) else { return false };
    let usual_port = match origin.scheme_str() {
        Some("http") => 80,
        Some("https") => 443,
        _ => return false,
    };
    let Some(authority) = origin.authority() else { return false };
    let port = |authority: &Authority| authority.port_u16().unwrap_or(usual_port);
    authority.host().eq_ignore_ascii_case(called.host()) && port(authority) == port(called)
}
