use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use flota_client::{Client, OutcomeView, Submission};
use flota_core::{ModelName, RequestId};
use flota_platform::settings::{Secret, Settings};
use flota_server::read_callback_secret;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tempfile::TempDir;

use super::{receiver::Receiver, report::Report};
use crate::{
    built_in,
    cli::{DemoArgs, SettingsArgs},
    commands::{choose, workers},
    fleet::{self, Fleet, FoundModel, Plan, PlannedWorker, Stop},
    image_files,
    print::{note, print, print_json},
    run::INTERRUPTED,
    submit::upload_all,
    table::terminal_width,
};

/// The only network that the demo's fleet may call back to beyond the public ones.
const LOOPBACK: &str = "127.0.0.0/8";
/// How often the bar is moved.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(150);
/// Longest wait for callbacks once everything is finished: they take milliseconds.
const CALLBACK_WAIT: Duration = Duration::from_secs(60);

/// Runs images through a fleet of its own and shows what came back.
pub(crate) async fn demo(args: DemoArgs) -> anyhow::Result<ExitCode> {
    let stop = Stop::on_signals().context("cannot listen for signals")?;
    let temporary = TempDir::with_prefix("flota-demo-").context("no temporary folder")?;
    let examples = temporary.path().join("examples");
    let files = match args.paths.is_empty() {
        true => built_in::unpack_images(&examples)?,
        false => {
            let found = image_files::find(&args.paths)?;
            found.notes().iter().for_each(note);
            found.files
        }
    };
    let data_dir = args.data_dir.clone().unwrap_or_else(|| temporary.path().join("data"));
    let (settings, sources) = settings(args.settings, &data_dir)?;
    let chosen = choose(&args.models, &settings)?;
    if let Some(left_out) = chosen.left_out_note().filter(|_| !args.json) {
        note(left_out);
    }
    let workers = workers(&chosen, &args.models, &settings)?;
    let (models, is_quiet) = (chosen.models, args.json);
    let demo = Demo { files, examples, models, workers, settings, is_quiet };
    let logs = temporary.path().to_owned();
    let run = demo.run(sources, logs, &stop).await;
    let is_interrupted = run.is_err() && stop.orderly.is_cancelled();
    // A removal that fails leaves a temporary folder, which is no reason to fail.
    let _ = temporary.close();
    if is_interrupted {
        return Ok(ExitCode::from(INTERRUPTED));
    }
    let report = run?;
    let shown = match args.json {
        true => print_json(&report),
        false => print(report.text(terminal_width())).map_err(Into::into),
    };
    // Said even where the report could not be.
    if report.callbacks.verified < report.callbacks.delivered {
        bail!("the signature of a callback is invalid");
    }
    shown.map(|()| ExitCode::SUCCESS)
}

/// The settings of the demo's fleet, and what says so to its children.
fn settings(
    mut sources: SettingsArgs,
    data_dir: &Path,
) -> anyhow::Result<(Settings, SettingsArgs)> {
    // Weights are fetched into the usual cache, so that not every demo downloads them.
    let usual = sources.load()?;
    sources.put("worker.cache_dir", usual.weights_dir().display().to_string());
    sources.put("data_dir", data_dir.display().to_string());
    // A demo is over before these would pay.
    sources.put("engine.autotune_ms", "0");
    sources.put("engine.cache_graphs", "false");
    sources.put("server.listen", "127.0.0.1:0");
    sources.put("server.public_url", "");
    sources.put("network.allow", LOOPBACK);
    Ok((sources.load()?, sources))
}

struct Demo {
    files: Vec<PathBuf>,
    /// The folder that the names of the example images are without.
    examples: PathBuf,
    models: Vec<FoundModel>,
    workers: Vec<PlannedWorker>,
    settings: Settings,
    is_quiet: bool,
}

impl Demo {
    /// Starts the fleet, does the work and stops the fleet, whatever came of it.
    async fn run(
        &self,
        sources: SettingsArgs,
        logs: PathBuf,
        stop: &Stop,
    ) -> anyhow::Result<Report> {
        let interrupted = || anyhow::anyhow!("interrupted");
        let preparing = fleet::prepare(&self.models, &self.settings);
        stop.orderly.run_until_cancelled(preparing).await.ok_or_else(interrupted)??;
        let plan = Plan {
            workers: self.workers.clone(),
            config: sources.config,
            set: sources.set,
            data_dir: Some(self.settings.data_dir.clone()),
            drain: self.settings.queue.drain,
            logs: Some(logs),
        };
        let mut fleet = Fleet::start(&plan, stop).await?;
        let client = Client::new(fleet.url());
        let report = tokio::select! {
            report = self.journey(&client) => report,
            error = broken(&mut fleet) => Err(error),
            () = stop.orderly.cancelled() => Err(interrupted()),
        };
        fleet.stop().await;
        report
    }

    /// From files to verified callbacks.
    async fn journey(&self, client: &Client) -> anyhow::Result<Report> {
        let mut receiver = Receiver::start(self.secret()?.expose()).await?;
        let started = Instant::now();
        let mut names: Vec<ModelName> =
            self.models.iter().map(|m| m.manifest.name.clone()).collect();
        names.sort();
        let bar = self.bar("images uploaded", self.files.len());
        let images = upload_all(client, &self.files, || bar.inc(1)).await?;
        bar.finish_and_clear();
        let mut requests = Vec::new();
        for images in images.chunks(Submission::max_images(names.len())) {
            let submission = Submission::new(images.to_vec(), &names).with_callback(receiver.url());
            requests.push((client.submit(&submission, None).await?.id, submission.images.len()));
        }
        let ids: Vec<RequestId> = requests.iter().map(|(id, _)| *id).collect();
        self.finished(client, &ids, self.files.len() * names.len()).await?;
        let awaited: BTreeSet<RequestId> = ids.iter().copied().collect();
        let told = tokio::time::timeout(CALLBACK_WAIT, receiver.told_of(&awaited)).await;
        told.ok().with_context(|| missing(&receiver))?;
        let seconds = started.elapsed().as_secs_f64();
        let outcomes = self.outcomes(client, &requests, names.len()).await?;
        Ok(Report::new(self.files.len(), outcomes, &receiver.arrived(), seconds))
    }

    /// What the fleet signs with: as the settings say, or what its server made when it started.
    fn secret(&self) -> anyhow::Result<Secret> {
        match self.settings.notifier.secrets.first() {
            Some(secret) => Ok(secret.clone()),
            None => read_callback_secret(&self.settings.data_dir)?
                .context("the server has generated no secret to sign callbacks with"),
        }
    }

    /// Returns when every request is finished.
    async fn finished(
        &self,
        client: &Client,
        ids: &[RequestId],
        tasks: usize,
    ) -> anyhow::Result<()> {
        let bar = self.bar("tasks done", tasks);
        loop {
            let (mut done, mut are_terminal) = (0, true);
            for id in ids {
                let request = client.request(*id, Duration::ZERO).await?;
                done += request.counts.total - request.counts.open;
                are_terminal &= request.terminal;
            }
            bar.set_position(u64::from(done));
            if are_terminal {
                bar.finish_and_clear();
                return Ok(());
            }
            tokio::time::sleep(PROGRESS_INTERVAL).await;
        }
    }

    /// Every outcome beside the name of its image's file.
    async fn outcomes(
        &self,
        client: &Client,
        requests: &[(RequestId, usize)],
        model_count: usize,
    ) -> anyhow::Result<Vec<(String, OutcomeView)>> {
        let mut named = Vec::new();
        let mut files = self.files.as_slice();
        for (id, image_count) in requests {
            let (of_request, rest) = files.split_at(*image_count);
            files = rest;
            for outcome in client.outcomes(*id).await? {
                let index = outcome.task().n as usize / model_count;
                let file =
                    of_request.get(index).context("an outcome has an unknown image index")?;
                let name = file.strip_prefix(&self.examples).unwrap_or(file);
                named.push((name.display().to_string(), outcome));
            }
        }
        Ok(named)
    }

    fn bar(&self, what: &'static str, length: usize) -> ProgressBar {
        let bar = ProgressBar::new(length as u64);
        if self.is_quiet {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}");
        bar.set_style(style.expect("the template is fixed"));
        bar.with_message(what)
    }
}

/// The sentence for a child that will not do its work any more.
async fn broken(fleet: &mut Fleet) -> anyhow::Error {
    loop {
        let ended = fleet.next_end().await;
        if ended.is_explained() {
            let words = fleet.last_words(&ended.name);
            return anyhow::anyhow!("`{}` failed ({}){words}", ended.name, ended.how());
        }
    }
}

fn missing(receiver: &Receiver) -> String {
    let arrived = receiver.arrived();
    format!(
        "some callbacks did not arrive within {} s: {} arrived, {} verified",
        CALLBACK_WAIT.as_secs(),
        arrived.delivered.len(),
        arrived.verified.len()
    )
}
