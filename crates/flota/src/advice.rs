//! What to do where there is no fleet.

use reqwest::Url;

use crate::{cli::DEFAULT_URL, print};

/// The sentences of an error and of its causes; that there is no fleet says what to do.
pub(crate) fn with_causes(error: &anyhow::Error) -> Vec<String> {
    let mut sentences = print::with_causes(error);
    if let Some(unreachable @ flota_client::Error::Unreachable { base, .. }) = error.downcast_ref()
        && unreachable.is_connect()
    {
        let no_fleet = unreachable.to_string();
        for sentence in sentences.iter_mut().filter(|sentence| **sentence == no_fleet) {
            *sentence = format!("{no_fleet}: {}", advice(base));
        }
    }
    sentences
}

fn advice(base: &Url) -> String {
    let is_default = Url::parse(DEFAULT_URL).is_ok_and(|default| default == *base);
    let host = match base.host_str() {
        Some("localhost") => Some("127.0.0.1"),
        Some(host) if host == "[::1]" || host.starts_with("127.") => Some(host),
        _ => None,
    };
    match (host, base.port_or_known_default()) {
        _ if is_default => "start one with `flota up`, or set --url".to_owned(),
        (Some(host), Some(port)) => format!(
            "start one with `flota up --listen {host}:{port}`, or correct the URL (--url or \
             FLOTA_URL)"
        ),
        _ => "correct the URL (--url or FLOTA_URL), or start a fleet there".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use flota_client::Client;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn where_there_is_no_fleet_the_sentence_says_what_to_do() {
        let address = {
            let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
            closed.local_addr().unwrap()
        };
        let client = Client::new(format!("http://{address}").parse().unwrap());
        let error = anyhow::Error::from(client.models().await.unwrap_err());
        let sentence =
            format!("no fleet at http://{address}: start one with `flota up --listen {address}`");
        let said = with_causes(&error);
        assert!(said[0].starts_with(&sentence), "{said:?}");
        assert!(said[1].starts_with("Connection refused") && said.len() == 2, "{said:?}");
        let said = with_causes(&error.context("cannot get the progress of replay_1"));
        assert!(said[1].starts_with(&sentence) && said.len() == 3, "{said:?}");

        let advice = |url: &str| advice(&url.parse().unwrap());
        assert_eq!(advice(DEFAULT_URL), "start one with `flota up`, or set --url");
        let elsewhere = advice("http://flota.example");
        assert!(elsewhere.starts_with("correct the URL"), "{elsewhere}");
    }
}
