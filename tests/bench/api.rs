//! Accepting requests, durably, against a bare handler that parses and checks the same body and keeps
//! nothing: in turns, each server a process of its own, called over as many connections.

use std::{
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use axum::{Json, Router, http::StatusCode, routing::post};
use reqwest::Client;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{net::TcpListener, runtime::Runtime, task::JoinSet};
use url::Url;

use crate::{
    Options,
    fleet::{Fleet, free_port},
    measure::{Figure, cpu_seconds},
    models,
};

const CONNECTION_COUNT: usize = 32;
const IMAGE_COUNT: usize = 20;

pub fn measure(runtime: &Runtime, options: &Options) -> Result<Vec<Figure>> {
    let model = models::several(options)?.swap_remove(0);
    let name = model.name.clone();
    let mut fleet = runtime.block_on(Fleet::start(&[&[model]], None))?;
    // Known models are all that submitting needs.
    fleet.stop_workers()?;
    let bare = Bare::start()?;
    runtime.block_on(bare.ready())?;
    let sides = [
        ("flota", fleet.client.requests_url(), fleet.server.id()),
        ("bare handler", bare.url.clone(), bare.process.id()),
    ];
    let mut runs = [Vec::new(), Vec::new()];
    for round in 0..=options.rounds {
        for (side, (_, url, process)) in sides.iter().enumerate() {
            let run = runtime.block_on(submit_all(url, *process, &name, options.submits))?;
            // The first round warms caches and allocators.
            if round > 0 {
                runs[side].push(run);
            }
        }
    }
    let mut figures = Vec::new();
    for ((name, ..), runs) in sides.iter().zip(&runs) {
        let figure = |what: &str, unit, of: fn(&Submits) -> f64| {
            let values: Vec<f64> = runs.iter().map(of).collect();
            Figure::new(format!("requests of {IMAGE_COUNT}, {name}{what}"), unit, "", &values)
        };
        figures.push(figure("", "submits/s", |run| run.per_second));
        figures.push(figure(": 99th percentile", "ms", |run| run.p99_ms));
        figures.push(figure("", "CPU ms/submit", |run| run.cpu_ms));
    }
    let [ours, theirs] = &runs;
    let ratio = ours.iter().zip(theirs).map(|(ours, bare)| ours.per_second / bare.per_second);
    let ratio: Vec<f64> = ratio.collect();
    figures.push(Figure::new("requests, flota / bare handler", "submits/s", ">= 0.3", &ratio));
    Ok(figures)
}

/// What came of the submissions of a round.
struct Submits {
    per_second: f64,
    p99_ms: f64,
    cpu_ms: f64,
}

async fn submit_all(url: &str, process: u32, model: &str, count: usize) -> Result<Submits> {
    let http = Client::builder().no_proxy().build()?;
    let image = |n| json!({ "url": format!("https://images.example/uploads/{n:08}.jpg") });
    let images: Vec<Value> = (0..IMAGE_COUNT).map(image).collect();
    let body = json!({ "images": images, "models": [model] }).to_string();
    let left = Arc::new(AtomicUsize::new(count));
    let (before, began) = (cpu_seconds(process)?, Instant::now());
    let mut connections = JoinSet::new();
    for _ in 0..CONNECTION_COUNT {
        let (http, url, body, left) = (http.clone(), url.to_owned(), body.clone(), left.clone());
        connections.spawn(async move {
            let take = |left: usize| left.checked_sub(1);
            let mut took = Vec::new();
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
                let began = Instant::now();
                let call = http.post(&url).header("content-type", "application/json");
                let answer = call
                    .header("content-type", "application/json")
                    .body(body.clone())
                    .send()
                    .await?;
                ensure!(answer.status() == StatusCode::ACCEPTED, "{}", answer.text().await?);
                answer.bytes().await?;
                took.push(began.elapsed().as_secs_f64() * 1_000.0);
            }
            Ok(took)
        });
    }
    let mut took = Vec::with_capacity(count);
    while let Some(ended) = connections.join_next().await {
        took.extend(ended??);
    }
    let per_second = count as f64 / began.elapsed().as_secs_f64();
    let cpu_ms = (cpu_seconds(process)? - before) * 1_000.0 / count as f64;
    took.sort_by(f64::total_cmp);
    let p99_ms = *took.get(took.len() * 99 / 100).context("at least one submission")?;
    Ok(Submits { per_second, p99_ms, cpu_ms })
}

/// This program again, as a server of the bare handler; killed when dropped.
struct Bare {
    process: Child,
    url: String,
}

impl Bare {
    fn start() -> Result<Self> {
        let address = format!("127.0.0.1:{}", free_port()?);
        let program = std::env::current_exe().context("finding this program")?;
        let mut command = Command::new(program);
        command.args(["--bare-api", &address]).stdin(Stdio::null());
        let process = command.spawn().context("starting the bare handler")?;
        Ok(Self { process, url: format!("http://{address}/v1/requests") })
    }

    async fn ready(&self) -> Result<()> {
        let http = Client::builder().no_proxy().build()?;
        while http.get(&self.url).send().await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        Ok(())
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A submission, as far as it has to be read to be checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Submission {
    images: Vec<Image>,
    models: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Image {
    url: String,
}

/// Serves the bare handler until the process is killed.
pub fn serve_bare(listen: SocketAddr) -> Result<()> {
    let router = Router::new().route("/v1/requests", post(accept));
    Runtime::new()?.block_on(async {
        let listener = TcpListener::bind(listen).await?;
        axum::serve(listener, router).await.context("serving the bare handler")
    })
}

async fn accept(Json(submission): Json<Submission>) -> (StatusCode, Json<Value>) {
    let is_url = |image: &Image| {
        Url::parse(&image.url).is_ok_and(|url| ["https", "http"].contains(&url.scheme()))
    };
    let are_models = submission.models.iter().all(|model| !model.is_empty() && model.len() <= 40);
    if !are_models || !submission.images.iter().all(is_url) {
        return (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({ "code": "INVALID_VALUE" })));
    }
    let count = submission.images.len() * submission.models.len();
    (StatusCode::ACCEPTED, Json(json!({ "status": "queued", "counts": { "total": count } })))
}
