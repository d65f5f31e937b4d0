use std::{error::Error, sync::Arc, time::Duration};

use reqwest::{Client, ClientBuilder, RequestBuilder, redirect};
use thiserror::Error;
use url::Url;

use super::{
    AddressPolicy, ForbiddenAddress,
    resolver::{CheckedResolver, Lookup, system_lookup},
};

/// Idle connections kept per host: a few images of one site come in a row.
const MAX_IDLE_PER_HOST: usize = 4;
/// How long an idle connection is kept: shorter than most servers keep it, so that a request
/// seldom meets one that is just being closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);
/// How we call ourselves.
const USER_AGENT: &str = concat!("flota/", env!("CARGO_PKG_VERSION"));

/// An HTTP client that reaches only what its policy allows. It follows no redirect, keeps no
/// cookie, and uses no proxy of the environment.
#[derive(Clone)]
pub struct GuardedClient {
    client: Client,
    policy: AddressPolicy,
}

/// The client could not be made.
#[derive(Debug, Error)]
#[error("cannot make the HTTP client")]
pub struct ClientError(#[from] reqwest::Error);

/// Why a call had no answer, or only a part of one.
#[derive(Debug)]
pub(super) enum CallError {
    Forbidden(ForbiddenAddress),
    Failed(reqwest::Error),
}

impl GuardedClient {
    /// A client under `policy`, with the resolver of the operating system.
    pub fn new(policy: AddressPolicy) -> Result<Self, ClientError> {
        Self::with_lookup(policy, system_lookup())
    }

    pub(super) fn with_lookup(policy: AddressPolicy, lookup: Lookup) -> Result<Self, ClientError> {
        let resolver = Arc::new(CheckedResolver::new(policy.clone(), lookup));
        let client = match builder(resolver.clone()).build() {
            Ok(client) => client,
            // A bare machine may have no certificates; what needs none must run there.
            Err(error) => {
                let error = describe(&error);
                tracing::warn!(error, "no certificates to trust, https addresses will be refused");
                builder(resolver).tls_certs_only([]).build()?
            }
        };
        Ok(Self { client, policy })
    }

    pub(super) fn check(&self, address: &str) -> Result<Url, ForbiddenAddress> {
        self.policy.check_url(address)
    }

    pub(super) fn get(&self, url: Url) -> RequestBuilder {
        self.client.get(url)
    }

    pub(super) fn post(&self, url: Url) -> RequestBuilder {
        self.client.post(url)
    }
}

impl From<reqwest::Error> for CallError {
    fn from(error: reqwest::Error) -> Self {
        let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
        while let Some(inner) = cause {
            if let Some(forbidden) = inner.downcast_ref::<ForbiddenAddress>() {
                return Self::Forbidden(forbidden.clone());
            }
            cause = inner.source();
        }
        Self::Failed(error.without_url())
    }
}

fn builder(resolver: Arc<CheckedResolver>) -> ClientBuilder {
    Client::builder()
        .dns_resolver(resolver)
        .no_proxy()
        .redirect(redirect::Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .pool_max_idle_per_host(MAX_IDLE_PER_HOST)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .user_agent(USER_AGENT)
}

/// What went wrong, its causes after it, without the URL.
pub(super) fn describe(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
