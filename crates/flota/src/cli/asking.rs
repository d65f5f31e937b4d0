//! Commands that ask a running fleet, or look at files.

use clap::Args;
use flota_core::{ModelName, RequestId};
use reqwest::Url;

use crate::submit::UPLOADS_AT_ONCE;

/// Where servers and workers say whether they are ready.
const READY_PATH: &str = "/readyz";

/// The address at which `flota up` listens by default.
pub(crate) const DEFAULT_URL: &str = "http://127.0.0.1:8080";

/// The fleet to call.
#[derive(Debug, Clone, Args)]
pub(crate) struct Server {
    /// URL of the fleet; you may omit http://
    #[arg(long, value_name = "URL", env = "FLOTA_URL", default_value = DEFAULT_URL, value_parser = fleet_url)]
    pub url: Url,
}

/// The address of a fleet. Without a scheme it is HTTP, as `localhost:8080`.
pub(super) fn fleet_url(text: &str) -> Result<Url, String> {
    let text = text.trim();
    let wanted = || format!("write a URL such as {DEFAULT_URL}");
    let (scheme, host) = text.split_once("://").unwrap_or(("http", text));
    let scheme = scheme.to_ascii_lowercase();
    if !matches!(scheme.as_str(), "http" | "https") || host.is_empty() {
        return Err(wanted());
    }
    let is_half = |start: &str| host.to_ascii_lowercase().starts_with(start);
    if host.starts_with('/') || is_half("http:") || is_half("https:") {
        return Err(wanted());
    }
    Url::parse(&format!("{scheme}://{host}")).map_err(|error| format!("{error}: {}", wanted()))
}

/// Submit images to a running fleet.
///
/// Files are uploaded; workers fetch URLs. You can submit any number of images: they become requests of up to
/// a thousand tasks, and each request is submitted as soon as its images are uploaded.
#[derive(Debug, Args)]
#[command(after_help = "\
An image that cannot be read or that the server rejects is reported on standard error; the others are submitted. If the server is overloaded (429, 503) or the connection breaks, each call is retried for up to five minutes.

After Ctrl-C or a longer outage, run the same command in the same folder again: for a day it resumes where it stopped, and submits nothing twice. Once a command has finished, running it again submits everything again.

Exit code 1 if an image could not be submitted or, with --wait, if a task failed.

Examples:
  flota submit photo.jpg --model image-quality --wait
  flota submit photos/ https://example.org/a.jpg --model image-quality,embedded-text
  curl -s https://example.org/a.jpg | flota submit - --model image-quality --wait
  find photos -name '*.jpg' -mtime -1 | flota submit --from-file - --model image-quality
  flota submit photos/ --model image-quality --callback https://example.org/hook")]
pub(crate) struct SubmitArgs {
    /// Files, folders of images, http(s) URLs, or `-` for one image on standard input
    #[arg(required_unless_present = "from_file", value_name = "PATH|URL|-")]
    pub images: Vec<String>,

    /// Also submit the paths and URLs listed in this file, one per line; lines that begin with `#` are ignored; `-`
    /// reads the list from standard input
    #[arg(long, visible_alias = "list", value_name = "FILE")]
    pub from_file: Option<String>,

    /// Model to run on the images; may be repeated
    #[arg(long = "model", required = true, value_name = "NAME", value_delimiter = ',')]
    pub models: Vec<ModelName>,

    /// Wait for the outcomes and print them; exit code 1 if a task failed
    #[arg(long)]
    pub wait: bool,

    /// URL that receives a callback when a request is finished
    #[arg(long, value_name = "URL")]
    pub callback: Option<Url>,

    /// Number of parallel uploads
    #[arg(long, value_name = "COUNT", default_value_t = UPLOADS_AT_ONCE, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub uploads: u8,

    /// Submit everything again instead of resuming an interrupted run
    #[arg(long)]
    pub fresh: bool,

    /// Print JSON: one request per line, with all its outcomes
    #[arg(long)]
    pub json: bool,

    /// Print only ids, and no progress
    #[arg(short, long, conflicts_with = "json")]
    pub quiet: bool,

    #[command(flatten)]
    pub server: Server,
}

/// Show the state and the outcomes of a request.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Id of the request, req_…
    #[arg(value_name = "ID")]
    pub id: RequestId,

    /// Print the server's JSON answer
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub server: Server,
}

/// List the models of a fleet, with their workers and backlogs.
#[derive(Debug, Args)]
pub(crate) struct ModelsArgs {
    /// Print the server's JSON answer
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub server: Server,
}

/// Check whether a server or a worker is ready; exit code 0 if it is.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flota health
  flota health --url 127.0.0.1:9000
  flota health http://127.0.0.1:9464/readyz     # a worker")]
pub(crate) struct HealthArgs {
    /// URL of a server or a worker, instead of --url; without a path, /readyz is asked
    #[arg(value_name = "ADDRESS", value_parser = fleet_url)]
    pub address: Option<Url>,

    #[command(flatten)]
    pub server: Server,
}

impl HealthArgs {
    /// The address that answers whether it is ready.
    pub fn url(self) -> Url {
        let is_base = self.address.as_ref().is_none_or(|address| address.path() == "/");
        let mut url = self.address.unwrap_or(self.server.url);
        let base = url.path().trim_end_matches('/').to_owned();
        if is_base && !base.ends_with(READY_PATH) {
            url.set_path(&format!("{base}{READY_PATH}"));
        }
        url
    }
}

/// Print shell completions.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flota completions bash > ~/.local/share/bash-completion/completions/flota
  flota completions zsh > \"${fpath[1]}/_flota\"
  flota completions fish > ~/.config/fish/completions/flota.fish")]
pub(crate) struct CompletionsArgs {
    /// Name of the shell
    #[arg(value_name = "SHELL")]
    pub shell: clap_complete::Shell,
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn health_asks_where_the_fleet_says_that_it_is_ready() {
        #[derive(Parser)]
        struct Typed {
            #[command(flatten)]
            health: HealthArgs,
        }
        for (typed, wanted) in [
            (vec!["--url", "localhost:1"], "http://localhost:1/readyz"),
            (vec!["--url", "http://a/prefix/"], "http://a/prefix/readyz"),
            (vec!["--url", "http://a:1/readyz"], "http://a:1/readyz"),
            (vec!["127.0.0.1:9464"], "http://127.0.0.1:9464/readyz"),
            (vec!["http://a:1/readyz", "--url", "b:1"], "http://a:1/readyz"),
            (vec!["http://a:1/livez"], "http://a:1/livez"),
        ] {
            let parsed = Typed::parse_from([vec!["health"], typed.clone()].concat());
            assert_eq!(parsed.health.url().as_str(), wanted, "{typed:?}");
        }
    }

    #[test]
    fn the_address_of_a_fleet_needs_no_scheme() {
        for (text, wanted) in [
            ("127.0.0.1:18461", "http://127.0.0.1:18461/"),
            ("localhost:18461", "http://localhost:18461/"),
            (" flota.example ", "http://flota.example/"),
            ("[::1]:8080/prefix", "http://[::1]:8080/prefix"),
            ("HTTPS://flota.example/a", "https://flota.example/a"),
            (DEFAULT_URL, "http://127.0.0.1:8080/"),
        ] {
            assert_eq!(fleet_url(text).map(|url| url.to_string()), Ok(wanted.to_owned()), "{text}");
        }
        for bad in ["", "http://", "ftp://a", "http:/a", "https:a", "/a", "a b:1", "localhost:x"] {
            let error = fleet_url(bad).unwrap_err();
            assert!(error.contains("write a URL such as http://"), "{bad}: {error}");
        }
    }
}
