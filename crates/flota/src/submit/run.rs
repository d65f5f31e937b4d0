use std::{env, process::ExitCode};

use anyhow::{Context, bail};
use flota_client::{Client, ModelView};
use flota_core::{ModelName, RequestId, Sha256, limits::MAX_CLIENT_WAIT};
use futures::{StreamExt, TryStreamExt};
use tokio::sync::Semaphore;

use super::{
    input::{Given, STDIN},
    parts::parts,
    progress::Progress,
    sending::{Sender, Sent},
    unfinished::Run,
};
use crate::{
    cli::SubmitArgs,
    commands::print_request,
    fleet::Stop,
    print::{note, print, print_json},
    run::INTERRUPTED,
    show::count,
    times,
};

/// Parts under way: while one waits for its answer, the images of the next are uploaded.
const PARTS_AT_ONCE: usize = 2;

/// What was submitted so far.
#[derive(Debug, Default)]
struct Submitted {
    requests: Vec<RequestId>,
    image_count: usize,
    /// Whether a task did not succeed.
    has_failed: bool,
}

/// Submits images to a running fleet; exit code 1 where one could not be submitted, or a task failed that
/// was waited for.
pub(crate) async fn submit(args: SubmitArgs) -> anyhow::Result<ExitCode> {
    let stop = Stop::on_signals().context("cannot listen for signals")?;
    let is_quiet = args.quiet || args.json;
    let client = Client::new(args.server.url.clone());
    let checking = check_models(&client, &args.models);
    let Some(checked) = stop.orderly.run_until_cancelled(checking).await else {
        note(format!("interrupted: {}", Submitted::default().so_far(true)));
        return Ok(ExitCode::from(INTERRUPTED));
    };
    for name in without_worker(&checked?, &args.models) {
        note(format!(
            "no worker serves {name} yet, so its tasks wait. Unless one is starting, run: flota worker DIR"
        ));
    }
    let run = Run::open(&command(&args)?, args.fresh);
    if let Some(at) = run.started_at().filter(|_| run.accepted_count() > 0 && !args.quiet) {
        note(format!(
            "resuming the run started {}, which submitted {}; --fresh submits everything again",
            times::relative(at, jiff::Timestamp::now()),
            count(run.accepted_count(), "request"),
        ));
    }
    let sender = Sender {
        client,
        models: args.models.clone(),
        callback: args.callback.as_ref().map(ToString::to_string),
        run,
        upload_count: args.uploads.into(),
        uploads: Semaphore::new(args.uploads.into()),
        uploading: Semaphore::new(1),
        progress: Progress::new(is_quiet),
    };
    let mut submitted = Submitted::default();
    let ended = tokio::select! {
        ended = all(&args, &sender, &mut submitted) => ended.map(|()| true),
        () = stop.orderly.cancelled() => Ok(false),
    };
    sender.progress.end();
    let is_remembered = sender.run.is_remembered();
    let failed_count = sender.progress.failed_count();
    match ended {
        Ok(true) => sender.run.finish(),
        Ok(false) => {
            note(format!("interrupted: {}", submitted.so_far(is_remembered)));
            return Ok(ExitCode::from(INTERRUPTED));
        }
        Err(error) => {
            if !submitted.requests.is_empty() {
                note(submitted.so_far(is_remembered));
            }
            return Err(error);
        }
    }
    if submitted.requests.len() > 1 && !is_quiet || failed_count > 0 {
        note(submitted.summary(failed_count));
    }
    let is_whole = failed_count == 0 && !submitted.has_failed;
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The models of the fleet. Refuses those that it does not know before anything is uploaded.
async fn check_models(client: &Client, wanted: &[ModelName]) -> anyhow::Result<Vec<ModelView>> {
    let models = client.models().await?;
    let known: Vec<&ModelName> = models.iter().map(|model| &model.name).collect();
    match wanted.iter().find(|name| !known.contains(name)) {
        None => Ok(models),
        Some(name) if known.is_empty() => bail!(
            "no model `{name}`: the fleet has no models yet; a worker registers its models when it \
             starts"
        ),
        Some(name) => {
            let known: Vec<_> = known.iter().map(ToString::to_string).collect();
            bail!("no model `{name}`; the fleet has {}", known.join(", "))
        }
    }
}

/// Those of the `wanted` models that no running worker serves.
fn without_worker<'a>(models: &'a [ModelView], wanted: &[ModelName]) -> Vec<&'a ModelName> {
    let waits = |model: &&ModelView| model.workers_alive == 0 && wanted.contains(&model.name);
    models.iter().filter(waits).map(|model| &model.name).collect()
}

/// What makes a command the same one: where it is typed, whom it asks, and what it submits.
fn command(args: &SubmitArgs) -> anyhow::Result<Sha256> {
    let folder = env::current_dir().unwrap_or_default();
    let said = serde_json::json!([
        folder,
        args.server.url,
        args.models,
        args.callback,
        args.images,
        args.from_file,
    ]);
    Ok(Sha256::of(said.to_string().as_bytes()))
}

/// Finds, uploads and submits everything; with --wait, until all of it is finished.
async fn all(args: &SubmitArgs, sender: &Sender, submitted: &mut Submitted) -> anyhow::Result<()> {
    let given = Given { images: args.images.clone(), list: args.from_file.clone() };
    if given.list.as_deref() == Some(STDIN) && given.images.iter().any(|image| image == STDIN) {
        bail!("standard input cannot be both an image and a list: remove one `-`");
    }
    sender.progress.begin("images uploaded");
    let (found, finding) = given.find();
    let sending = parts(found, &args.models).map(|part| sender.send(part));
    let sending = sending.buffered(PARTS_AT_ONCE);
    futures::pin_mut!(sending);
    while let Some(sent) = sending.try_next().await? {
        let Some(Sent { id, image_count }) = sent else { continue };
        submitted.requests.push(id);
        submitted.image_count += image_count;
        if !args.wait {
            say(args, sender, id).await?;
        }
    }
    let remarks = finding.await.context("the search for images panicked")?;
    if !args.quiet {
        remarks.data_folders.iter().for_each(|why| sender.progress.say(why));
    }
    if remarks.other_count > 0 && !args.quiet {
        let number = usize::try_from(remarks.other_count).unwrap_or(usize::MAX);
        let skipped = count(number, "file");
        sender.progress.say(&match number {
            1 => format!("{skipped} skipped: its name has no image extension"),
            _ => format!("{skipped} skipped: their names have no image extension"),
        });
    }
    if args.wait { finished(args, sender, submitted).await } else { Ok(()) }
}

/// The line for a request that was accepted.
async fn say(args: &SubmitArgs, sender: &Sender, id: RequestId) -> anyhow::Result<()> {
    if args.json {
        let request = sender.patiently(async || sender.client.request_json(id).await).await?;
        return sender.progress.aside(|| print_json(&request));
    }
    let line = match args.quiet {
        true => id.to_string(),
        false => format!("{id}: see `flota status {id}`"),
    };
    Ok(sender.progress.aside(|| print(line))?)
}

/// Waits for the requests, one after the other, and prints what came of each.
async fn finished(
    args: &SubmitArgs,
    sender: &Sender,
    submitted: &mut Submitted,
) -> anyhow::Result<()> {
    let Sender { client, progress, .. } = sender;
    progress.end();
    progress.begin("tasks done");
    let task_count = submitted.image_count.saturating_mul(args.models.len());
    progress.expect(task_count as u64);
    let mut done = 0;
    for id in submitted.requests.clone() {
        let request = loop {
            let wait = progress.step().unwrap_or(MAX_CLIENT_WAIT);
            let request = sender.patiently(async || client.request(id, wait).await).await?;
            progress.stands_at(done + u64::from(request.counts.total - request.counts.open));
            if request.terminal {
                break request;
            }
        };
        done += u64::from(request.counts.total);
        submitted.has_failed |= request.counts.succeeded < request.counts.total;
        if args.json || args.quiet {
            say(args, sender, id).await?;
        } else {
            let outcomes = sender.patiently(async || client.outcomes(id).await).await?;
            progress.aside(|| print_request(&request, &outcomes))?;
        }
    }
    Ok(())
}

impl Submitted {
    /// What stands when the rest is not submitted, and how to go on.
    fn so_far(&self, is_remembered: bool) -> String {
        let what = self.summary(0);
        match (self.requests.last(), is_remembered) {
            (None, _) => {
                "nothing was submitted. Run the same command again to start over".to_owned()
            }
            (Some(last), true) => format!(
                "{what}, the last as {last}; the fleet processes them. Run the same command again to resume; \
                 nothing is submitted twice"
            ),
            (Some(last), false) => format!("{what}, the last as {last}; the fleet processes them"),
        }
    }

    fn summary(&self, failed_count: u64) -> String {
        let images = count(self.image_count, "image");
        let requests = count(self.requests.len(), "request");
        let failed = match failed_count {
            0 => String::new(),
            _ => format!(", {failed_count} could not be submitted"),
        };
        format!("{images} in {requests} submitted{failed}")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_submitted_model_without_a_running_worker_is_named() {
        let model = |name: &str, alive: u32| {
            json!({"name": name, "version": "1", "digest": "0".repeat(64), "worker": name,
                "workers_alive": alive, "alive_by_version": {}, "queue": null, "backlog": null,
                "registered_at": "2026-11-21T10:00:00Z", "manifest": {}})
        };
        let models = json!([model("cat", 0), model("dog", 1), model("owl", 0)]);
        let models: Vec<ModelView> = serde_json::from_value(models).unwrap();
        let wanted = ["dog".parse().unwrap(), "owl".parse().unwrap()];
        let named: Vec<_> = without_worker(&models, &wanted).iter().map(|n| n.as_str()).collect();
        assert_eq!(named, ["owl"]);
    }

    #[test]
    fn an_interrupted_submission_says_how_to_go_on() {
        let mut submitted = Submitted::default();
        assert!(submitted.so_far(true).contains("Run the same command again"));
        submitted.requests.push("req_01a1fc26bc9979c9a01869fe472fb51e".parse().unwrap());
        assert!(submitted.so_far(true).contains("Run the same command again to resume"));
        assert!(!submitted.so_far(false).contains("again"), "it would submit everything twice");
    }
}
