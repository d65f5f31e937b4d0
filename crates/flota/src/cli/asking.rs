//! Commands that ask a running fleet, or look at files.

use clap::Args;
use flota_core::{ModelName, RequestId};
use reqwest::Url;

use crate::submit::UPLOADS_AT_ONCE;

/// Where servers and workers say whether they are ready.
const READY_PATH: &str = "/readyz";

/// Where `flota up` listens unless it is told otherwise.
pub(crate) const DEFAULT_URL: &str = "http://127.0.0.1:8080";

/// Which fleet is asked.
#[derive(Debug, Clone, Args)]
pub(crate) struct Server {
    /// Address of the fleet; http:// may be left out
    #[arg(long, value_name = "URL", env = "FLOTA_URL", default_value = DEFAULT_URL, value_parser = fleet_url)]
    pub url: Url,
}

/// The address of a fleet. Without a scheme it is HTTP, as `localhost:8080`.
pub(super) fn fleet_url(text: &str) -> Result<Url, String> {
    let text = text.trim();
    let wanted = || format!("write {DEFAULT_URL}, or another host and port");
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
/// Files are uploaded; workers fetch URLs. Any number of images is taken: they become requests of up to
/// a thousand tasks, and each request is submitted as soon as its images are uploaded.
#[derive(Debug, Args)]
#[command(after_help = "\
An image that cannot be read or is refused is named on standard error, and the others go on. A server that
has no room (429, 503) or loses connections is tried again for up to five minutes per call.

After Ctrl-C, or when the fleet is gone for longer, run the same command in the same folder again: within
a day it resumes where it stopped, and submits nothing twice. A command that has finished submits
everything again.

Exit code 1 if an image could not be submitted or, with --wait, a task failed.

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

    /// Also what this file lists, a path or URL in each line, without lines that begin with `#`; `-` reads the
    /// list from standard input
    #[arg(long, visible_alias = "list", value_name = "FILE")]
    pub from_file: Option<String>,

    /// Model that looks at the images; may be repeated
    #[arg(long = "model", required = true, value_name = "NAME", value_delimiter = ',')]
    pub models: Vec<ModelName>,

    /// Wait until it is finished and show what the models saw; exit code 1 if a task failed
    #[arg(long)]
    pub wait: bool,

    /// URL that receives a callback when a request is finished
    #[arg(long, value_name = "URL")]
    pub callback: Option<Url>,

    /// Images uploaded at the same time
    #[arg(long, value_name = "COUNT", default_value_t = UPLOADS_AT_ONCE, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub uploads: u8,

    /// Submit everything again, even if the same command was interrupted before
    #[arg(long)]
    pub fresh: bool,

    /// Print JSON, one request a line with all its outcomes
    #[arg(long)]
    pub json: bool,

    /// Print ids alone, and no progress
    #[arg(short, long, conflicts_with = "json")]
    pub quiet: bool,

    #[command(flatten)]
    pub server: Server,
}

/// Show where a request stands.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// The request
    #[arg(value_name = "ID")]
    pub id: RequestId,

    /// Print what the server answers
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub server: Server,
}

/// List the models that a fleet knows.
#[derive(Debug, Args)]
pub(crate) struct ModelsArgs {
    /// Print what the server answers
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub server: Server,
}

/// Ask a server or a worker whether it is ready; exit code 0 where it is.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flota health
  flota health --url 127.0.0.1:9000
  flota health http://127.0.0.1:9464/readyz     # a worker")]
pub(crate) struct HealthArgs {
    /// Address of what is asked, in place of --url; without a path it means /readyz
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

/// Print the completions of this command line for a shell.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flota completions bash > ~/.local/share/bash-completion/completions/flota
  flota completions zsh > \"${fpath[1]}/_flota\"
  flota completions fish > ~/.config/fish/completions/flota.fish")]
pub(crate) struct CompletionsArgs {
    /// The shell
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
            assert!(error.contains("write http://"), "{bad}: {error}");
        }
    }
}
