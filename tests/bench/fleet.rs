//! A fleet of real processes, with the settings that a user gets.

use std::{
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use reqwest::Client;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{measure::cpu_seconds, models::BenchModel};

const READY_BOUND: Duration = Duration::from_secs(60);
const FLOTA: &str = env!("CARGO_BIN_EXE_flota_under_test");
/// Images of a request.
const REQUEST_IMAGES: usize = 20;

/// `flota serve` and its workers; killed when dropped.
pub struct Fleet {
    pub server: Child,
    pub workers: Vec<Child>,
    pub client: FleetClient,
    _data: TempDir,
}

/// The HTTP calls that the benchmark makes.
pub struct FleetClient {
    http: Client,
    url: String,
}

/// A port of loopback that was free a moment ago.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// The command `flota` with its data in `data` and its server on `port`.
pub fn flota(data: &Path, port: u16) -> Command {
    let mut command = Command::new(FLOTA);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .env("FLOTA__LOG__LEVEL", "warn")
        .env("FLOTA__DATA_DIR", data)
        .env("FLOTA__SERVER__LISTEN", format!("127.0.0.1:{port}"));
    command
}

impl Fleet {
    /// Starts a server and a worker for each of `groups` of models, and waits until all are there.
    /// With `library` the workers run the models on ONNX Runtime, else on tract.
    pub async fn start(groups: &[&[BenchModel]], library: Option<&Path>) -> Result<Self> {
        let (data, port) = (tempfile::tempdir()?, free_port()?);
        let server = flota(data.path(), port).arg("serve").spawn().context("starting flota")?;
        let client = FleetClient::new(port)?;
        let mut fleet = Self { server, workers: Vec::new(), client, _data: data };
        for models in groups {
            let mut worker = flota(fleet._data.path(), port);
            let engine = if library.is_some() { "onnxruntime" } else { "tract" };
            worker.env("FLOTA__ENGINE__KIND", engine);
            worker.env("FLOTA__ENGINE__LIBRARY", library.unwrap_or(Path::new("")));
            worker.arg("worker").args(models.iter().map(|model| &model.dir));
            if let [first, _, ..] = models {
                worker.args(["--name", &first.name]);
            }
            fleet.workers.push(worker.spawn()?);
        }
        for model in groups.iter().flat_map(|models| *models) {
            fleet.client.ready(&model.name).await?;
        }
        Ok(fleet)
    }

    /// Ends the workers; their models stay known.
    pub fn stop_workers(&mut self) -> Result<()> {
        for mut worker in self.workers.drain(..) {
            worker.kill()?;
            worker.wait()?;
        }
        Ok(())
    }

    /// CPU seconds so far: of the server, and of all workers.
    pub fn cpu_seconds(&self) -> Result<(f64, f64)> {
        let workers: f64 =
            self.workers.iter().map(|worker| cpu_seconds(worker.id())).sum::<Result<_>>()?;
        Ok((cpu_seconds(self.server.id())?, workers))
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for child in self.workers.iter_mut().chain([&mut self.server]) {
            // It fails where the process has ended, which is what is wanted.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl FleetClient {
    pub fn new(port: u16) -> Result<Self> {
        let http = Client::builder().no_proxy().build()?;
        Ok(Self { http, url: format!("http://127.0.0.1:{port}") })
    }

    /// Where requests are submitted.
    pub fn requests_url(&self) -> String {
        format!("{}/v1/requests", self.url)
    }

    /// Waits until a worker of `model` is alive.
    pub async fn ready(&self, model: &str) -> Result<()> {
        let alive = async {
            while !self.is_alive(model).await.unwrap_or(false) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(READY_BOUND, alive).await.context("the fleet did not come up")
    }

    async fn is_alive(&self, model: &str) -> Result<bool> {
        let models: Value =
            self.http.get(format!("{}/v1/models", self.url)).send().await?.json().await?;
        let models = models["models"].as_array().context("a list of models")?;
        Ok(models.iter().any(|known| known["name"] == model && known["workers_alive"] != 0))
    }

    /// Uploads images; their addresses.
    pub async fn upload(&self, images: Vec<Vec<u8>>) -> Result<Vec<String>> {
        let mut addresses = Vec::with_capacity(images.len());
        for image in images {
            let upload = self.http.post(format!("{}/v1/images", self.url)).body(image);
            let answer: Value = upload.send().await?.error_for_status()?.json().await?;
            addresses.push(answer["url"].as_str().context("an address")?.to_owned());
        }
        Ok(addresses)
    }

    /// Submits `images` to `models` in requests of twenty and waits until all have succeeded.
    pub async fn run(&self, images: &[String], models: &[&str]) -> Result<()> {
        let mut ids = Vec::new();
        for images in images.chunks(REQUEST_IMAGES) {
            let images: Vec<Value> = images.iter().map(|url| json!({ "url": url })).collect();
            let body = json!({ "images": images, "models": models });
            let submit = self.http.post(format!("{}/v1/requests", self.url)).json(&body);
            let answer: Value = submit.send().await?.error_for_status()?.json().await?;
            ids.push(answer["id"].as_str().context("an id")?.to_owned());
        }
        for id in ids {
            let request = loop {
                let wait = format!("{}/v1/requests/{id}?wait=30&limit=1", self.url);
                let request: Value = self.http.get(wait).send().await?.json().await?;
                if request["terminal"] == true {
                    break request;
                }
            };
            if request["status"] != "succeeded" {
                bail!("a request did not succeed: {request}");
            }
        }
        Ok(())
    }
}
