//! How a container asks the process in it whether it is ready, with no other program at hand.

use std::{process::ExitCode, time::Duration};

use anyhow::{Context, Result, bail};
use clap::Args;
use url::Url;

/// A process that has not answered by then is not well.
const TIMEOUT: Duration = Duration::from_secs(4);

/// Which process is asked.
#[derive(Debug, Clone, Args)]
pub struct HealthArgs {
    /// Where it says that it is ready.
    #[arg(value_name = "URL", default_value = "http://127.0.0.1:8080/readyz")]
    pub url: Url,
}

/// Asks a running server or worker whether it is ready: exit code 0 where it is, else 1 with the
/// reason on standard error.
pub fn health(args: &HealthArgs) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let answer = runtime.context("starting the runtime").and_then(|runtime| {
        let asking = ask(&args.url);
        runtime.block_on(asking)
    });
    match answer {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn ask(url: &Url) -> Result<()> {
    let client = reqwest::Client::builder().timeout(TIMEOUT).no_proxy().build()?;
    let answer =
        client.get(url.clone()).send().await.with_context(|| format!("no answer from {url}"))?;
    let status = answer.status();
    if !status.is_success() {
        bail!("{url} answers {status}: {}", answer.text().await.unwrap_or_default());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use axum::{Router, http::StatusCode, routing::get};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn only_a_process_that_says_so_is_ready() {
        let router = Router::new()
            .route("/ready", get(|| async { "ok" }))
            .route("/stopping", get(|| async { (StatusCode::SERVICE_UNAVAILABLE, "stopping") }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let server = tokio::spawn(async move { axum::serve(listener, router).await });

        ask(&base.join("ready").unwrap()).await.unwrap();
        let refusal = ask(&base.join("stopping").unwrap()).await.unwrap_err().to_string();
        assert!(refusal.ends_with("503 Service Unavailable: stopping"), "{refusal}");
        server.abort();
        assert!(server.await.unwrap_err().is_cancelled());
        assert!(ask(&base).await.unwrap_err().to_string().starts_with("no answer from http://"));
    }
}
