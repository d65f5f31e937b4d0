use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use thiserror::Error;
use url::{Host, Url};

use super::{addresses, ports::PortRange};

/// Where we may fetch from and call back to: the public internet, and the networks that settings
/// allow by name; there, the ports that settings allow.
#[derive(Debug, Clone)]
pub struct AddressPolicy {
    allow: Vec<IpNet>,
    ports: Vec<PortRange>,
}

/// An address that is not to be reached. The sentence is safe for the client: it does not tell
/// which address a name has.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ForbiddenAddress {
    /// It is not an address of the web at all.
    #[error("not a valid address: {0}")]
    Invalid(String),
    /// Another scheme than `http` and `https`.
    #[error("the scheme `{0}` is not allowed; http and https are")]
    Scheme(String),
    /// A user name or a password in it.
    #[error("a user name or a password in an address is not allowed")]
    Credentials,
    /// Its host is an address outside the public internet.
    #[error("`{host}` leads to an address that is not allowed ({kind})")]
    Special {
        /// The host as the address names it.
        host: String,
        /// What kind of address it leads to.
        kind: &'static str,
    },
    /// Its host is a name that leads to no address, or to one outside the public internet: which of
    /// both is not said.
    #[error(
        "`{host}` does not resolve, or resolves only to blocked addresses; `network.allow` allows more"
    )]
    Unreachable {
        /// The host as the address names it.
        host: String,
    },
    /// A port that the settings do not allow.
    #[error("port {0} is not allowed")]
    Port(u16),
}

impl Default for AddressPolicy {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl AddressPolicy {
    /// The public internet and `allow`, on the [usual ports](PortRange::usual).
    pub fn new(allow: Vec<IpNet>) -> Self {
        Self { allow, ports: PortRange::usual() }
    }

    /// The same on `ports`.
    pub fn on_ports(self, ports: Vec<PortRange>) -> Self {
        Self { ports, ..self }
    }

    /// The parsed address, if its form, its scheme and a literal host are allowed. A host that is a
    /// name is checked when it is looked up.
    pub fn check_url(&self, address: &str) -> Result<Url, ForbiddenAddress> {
        let url =
            Url::parse(address).map_err(|error| ForbiddenAddress::Invalid(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(ForbiddenAddress::Scheme(url.scheme().to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(ForbiddenAddress::Credentials);
        }
        match url.host() {
            Some(Host::Ipv4(host)) => self.check_ip(&host.to_string(), host.into())?,
            Some(Host::Ipv6(host)) => self.check_ip(&host.to_string(), host.into())?,
            Some(Host::Domain(name)) => self.check_name(name)?,
            None => return Err(ForbiddenAddress::Invalid("it has no host".to_owned())),
        }
        // No server can be on port 0: the caller says so.
        match url.port_or_known_default() {
            Some(port) if port > 0 && !self.ports.iter().any(|range| range.contains(port)) => {
                Err(ForbiddenAddress::Port(port))
            }
            _ => Ok(url),
        }
    }

    /// Whether `address`, which `host` leads to, may be reached.
    pub fn check_ip(&self, host: &str, address: IpAddr) -> Result<(), ForbiddenAddress> {
        let address = addresses::canonical(address);
        match addresses::special(address) {
            Some(kind) if !self.allow.iter().any(|network| network.contains(&address)) => {
                Err(ForbiddenAddress::Special { host: host.to_owned(), kind })
            }
            _ => Ok(()),
        }
    }

    /// Whether every one of the addresses of `host` may be reached: one that may not forbids all.
    pub fn check_all(
        &self,
        host: &str,
        addresses: impl IntoIterator<Item = IpAddr>,
    ) -> Result<(), ForbiddenAddress> {
        addresses.into_iter().try_for_each(|address| self.check_ip(host, address))
    }

    /// `localhost` and the names under it are loopback by definition (RFC 6761), whatever the
    /// resolver says of them.
    fn check_name(&self, name: &str) -> Result<(), ForbiddenAddress> {
        let bare = name.trim_end_matches('.');
        if bare.is_empty() {
            return Err(ForbiddenAddress::Invalid("its host is empty".to_owned()));
        }
        if bare != "localhost" && !bare.ends_with(".localhost") {
            return Ok(());
        }
        self.check_ip(name, Ipv4Addr::LOCALHOST.into())
            .or_else(|_| self.check_ip(name, Ipv6Addr::LOCALHOST.into()))
    }
}

/// `url` for the log: without user, query and fragment, which may hold a signature.
pub fn redacted(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{}://{host}:{port}{}", url.scheme(), url.path()),
        None => format!("{}://{host}{}", url.scheme(), url.path()),
    }
}
