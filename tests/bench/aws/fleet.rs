//! A fleet on AWS, each part of it a process of its own, with the settings that a user gets.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use futures::{StreamExt, TryStreamExt, stream};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use reqwest::Client;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{cloud::Cloud, meters::Meters};

const FLOTA: &str = env!("CARGO_BIN_EXE_flota_under_test");
const MODEL: &str = "mean-color";
const ROLES: [&str; 5] = ["api", "recorder", "sweeper", "notifier", "ingest"];
const READY_BOUND: Duration = Duration::from_secs(60);
/// Clients that submit at once.
const CLIENTS: usize = 64;

pub struct Fleet {
    pub cloud: Cloud,
    folder: TempDir,
    http: Client,
    parts: Vec<Part>,
}

/// A process; killed when dropped.
struct Part {
    name: &'static str,
    port: u16,
    process: Child,
}

impl Fleet {
    /// Makes what a fleet needs and starts the roles of the server, without a worker.
    pub async fn start() -> Result<Self> {
        let (cloud, folder) = (Cloud::new().await?, tempfile::tempdir()?);
        let rule = format!(
            "[[ingest.rules]]\nbucket = '{}'\nprefix = 'uploads/'\nmodels = ['{MODEL}']\n",
            cloud.photos()
        );
        fs::write(folder.path().join("flota.toml"), rule)?;
        let http = Client::builder().no_proxy().build()?;
        let mut fleet = Self { cloud, folder, http, parts: Vec::new() };
        let provisioned = fleet.flota(&["provision", "--model-dir"]).arg(model_dir()).status()?;
        if !provisioned.success() {
            bail!("`flota provision` failed");
        }
        for role in ROLES {
            let port = free_port()?;
            let mut command = fleet.flota(&["serve"]);
            command.env("FLOTA__SERVER__ROLES", role);
            command.env("FLOTA__SERVER__LISTEN", format!("127.0.0.1:{port}"));
            fleet.parts.push(Part { name: role, port, process: command.spawn()? });
        }
        fleet.ready().await?;
        Ok(fleet)
    }

    /// Starts `count` workers and waits until they are there.
    pub async fn start_workers(&mut self, count: usize) -> Result<()> {
        for _ in 0..count {
            let port = free_port()?;
            let mut command = self.flota(&["worker"]);
            command.arg(model_dir()).env("FLOTA__WORKER__LISTEN", format!("127.0.0.1:{port}"));
            self.parts.push(Part { name: "worker", port, process: command.spawn()? });
        }
        self.ready().await
    }

    /// Asks the workers to stop and waits until they have: a poll that is cut off swallows what is
    /// sent next.
    pub async fn stop_workers(&mut self) -> Result<()> {
        let is_worker = |part: &mut Part| part.name == "worker";
        for mut worker in self.parts.extract_if(.., is_worker).collect::<Vec<_>>() {
            kill(Pid::from_raw(i32::try_from(worker.process.id())?), Signal::SIGTERM)?;
            tokio::task::spawn_blocking(move || worker.process.wait()).await??;
        }
        Ok(())
    }

    /// What all parts with this name have counted.
    pub async fn meters_of(&self, name: &str) -> Result<Meters> {
        let mut meters = Meters::default();
        for part in self.parts.iter().filter(|part| part.name == name) {
            meters = meters.and(Meters::read(&self.http, part.port).await?);
        }
        Ok(meters)
    }

    /// What all parts have counted.
    pub async fn meters(&self) -> Result<Meters> {
        let mut meters = self.meters_of("worker").await?;
        for role in ROLES {
            meters = meters.and(self.meters_of(role).await?);
        }
        Ok(meters)
    }

    /// Submits `images` in requests of `size`; their ids.
    pub async fn submit(&self, images: &[String], size: usize) -> Result<Vec<String>> {
        let submit = |images: Vec<String>| async move {
            let images: Vec<Value> = images.iter().map(|url| json!({ "url": url })).collect();
            let body = json!({ "images": images, "models": [MODEL] });
            let call = self.http.post(self.url("/v1/requests")).json(&body).send().await?;
            let answer: Value = call.error_for_status()?.json().await?;
            Ok(answer["id"].as_str().context("an id")?.to_owned())
        };
        let requests: Vec<_> = images.chunks(size).map(<[String]>::to_vec).collect();
        stream::iter(requests).map(submit).buffer_unordered(CLIENTS).try_collect().await
    }

    /// Looks whether all of these requests have succeeded.
    pub async fn check(&self, requests: &[String]) -> Result<()> {
        for id in requests {
            let call =
                self.http.get(self.url(&format!("/v1/requests/{id}?limit=1"))).send().await?;
            let request: Value = call.json().await?;
            if request["status"] != "succeeded" {
                bail!("a request did not succeed: {request}");
            }
        }
        Ok(())
    }

    /// Looks whether this image is known.
    pub async fn check_known(&self, image: &[u8]) -> Result<()> {
        let sha256 = flota_core::Sha256::of(image);
        let path = format!("/v1/predictions?image={sha256}&model={MODEL}");
        let known: Value = self.http.get(self.url(&path)).send().await?.json().await?;
        match known["predictions"].as_array() {
            Some(predictions) if predictions.len() == 1 => Ok(()),
            _ => bail!("an upload has no prediction: {known}"),
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.parts[0].port)
    }

    fn flota(&self, args: &[&str]) -> Command {
        let mut command = Command::new(FLOTA);
        command.args(args).current_dir(self.folder.path()).envs(self.cloud.variables());
        command.env("FLOTA__LOG__LEVEL", "warn").env("FLOTA__DATA_DIR", self.folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    async fn ready(&self) -> Result<()> {
        for part in &self.parts {
            let ready = async {
                while Meters::read(&self.http, part.port).await.is_err() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            let ready = tokio::time::timeout(READY_BOUND, ready).await;
            ready.with_context(|| format!("the {} did not come up", part.name))?;
        }
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // It fails where the process has ended, which is what is wanted.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn model_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(MODEL)
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
