use std::{fmt, ops::RangeInclusive, str::FromStr};

/// Ports that may be called, as one or a range: `443`, `1024-65535`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortRange(RangeInclusive<u16>);

impl PortRange {
    /// What may be called where nothing is set: the ports of HTTP and HTTPS, and those that no privilege
    /// guards.
    pub fn usual() -> Vec<Self> {
        vec![Self(80..=80), Self(443..=443), Self(1024..=u16::MAX)]
    }

    /// Whether `port` is one of them.
    pub fn contains(&self, port: u16) -> bool {
        self.0.contains(&port)
    }
}

impl FromStr for PortRange {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let port = |text: &str| text.trim().parse::<u16>().ok().filter(|port| *port > 0);
        match (port(first), port(last)) {
            (Some(first), Some(last)) if first <= last => Ok(Self(first..=last)),
            _ => Err("a port or a range of ports, such as 443 or 1024-65535"),
        }
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.start(), self.0.end()) {
            (first, last) if first == last => first.fmt(f),
            (first, last) => write!(f, "{first}-{last}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_or_a_range_of_ports() {
        for (text, inside, outside) in [("443", 443, 444), ("8000 - 8080", 8080, 8081)] {
            let range: PortRange = text.parse().unwrap();
            assert!(range.contains(inside) && !range.contains(outside), "{range}");
        }
        for wrong in ["", "0", "65536", "90-80", "http", "1-", "1-2-3"] {
            assert!(wrong.parse::<PortRange>().is_err(), "{wrong}");
        }
    }
}
