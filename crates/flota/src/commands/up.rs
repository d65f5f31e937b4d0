use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, bail};
use flota_core::Sha256;
use flota_platform::{
    settings::{Backend, ModelGroup, Settings},
    telemetry,
};
use reqwest::Url;

use crate::{
    cli::{ModelArgs, UpArgs},
    fleet::{self, Chosen, Fleet, Plan, PlannedWorker, Stop},
    image_files,
    print::{OutputError, note, plain, print},
};

/// The pictures that come with the project.
const EXAMPLES: &str = "examples/images";

/// Starts the whole fleet and stays until it is told to stop.
pub(crate) async fn up(args: UpArgs) -> anyhow::Result<ExitCode> {
    let UpArgs { models, data_dir, listen, settings: mut sources } = args;
    if let Some(dir) = &data_dir {
        sources.put("data_dir", dir.display().to_string());
    }
    if let Some(listen) = listen {
        sources.put("server.listen", listen);
    }
    let settings = sources.load()?;
    telemetry::init(&settings.log)?;
    let stop = Stop::on_signals().context("cannot listen for signals")?;
    let chosen = choose(&models, &settings)?;
    let preparing = fleet::prepare(&chosen.models, &settings);
    let Some(prepared) = stop.orderly.run_until_cancelled(preparing).await else {
        return Ok(ExitCode::SUCCESS);
    };
    prepared?;
    let workers = workers(&chosen, &models, &settings)?;
    let plan = Plan {
        workers: workers.clone(),
        config: sources.config,
        set: sources.set,
        data_dir: (settings.backend == Backend::Embedded).then(|| settings.data_dir.clone()),
        drain: settings.worker.drain.max(settings.recorder.drain),
        logs: None,
    };
    let mut fleet = match Fleet::start(plan, &stop).await {
        Ok(fleet) => fleet,
        Err(_) if stop.orderly.is_cancelled() => return Ok(ExitCode::SUCCESS),
        Err(error) => return Err(error),
    };
    let ended = match greet(&fleet.url(), &chosen, &workers, &settings) {
        Ok(()) => stay(&mut fleet, &stop).await,
        Err(error) => Err(error.into()),
    };
    fleet.stop().await;
    ended?;
    print("stopped")?;
    Ok(ExitCode::SUCCESS)
}

/// The models that the arguments and the settings name.
pub(crate) fn choose(args: &ModelArgs, settings: &Settings) -> anyhow::Result<Chosen> {
    let found = fleet::find(&settings.models.dirs, &args.model_dir, &args.models)?;
    fleet::check_groups(groups(args, settings), &found)?;
    fleet::choose(found, &args.models, &settings.weights_dir())
}

/// The workers of what was chosen.
pub(crate) fn workers(
    chosen: &Chosen,
    args: &ModelArgs,
    settings: &Settings,
) -> anyhow::Result<Vec<PlannedWorker>> {
    fleet::workers(chosen.models.clone(), groups(args, settings))
}

/// The groups that the arguments name, or else the settings.
fn groups<'a>(args: &'a ModelArgs, settings: &'a Settings) -> &'a [ModelGroup] {
    if args.group.is_empty() { &settings.models.groups } else { &args.group }
}

/// Returns when the fleet is to stop; an error where it can no longer work.
async fn stay(fleet: &mut Fleet, stop: &Stop) -> anyhow::Result<()> {
    loop {
        tokio::select! {
            () = stop.orderly.cancelled() => {
                note("stopping; a second Ctrl-C stops at once");
                return Ok(());
            }
            ended = fleet.next_end() => match ended {
                ended if !ended.is_final() => {
                    if let Some(sentence) = ended.tried_again() {
                        note(sentence);
                    }
                }
                ended if ended.is_server() => bail!("the server gave up ({})", ended.how()),
                ended => note(format!(
                    "`{}` gave up ({}) and is not started again; the others go on, and /readyz and \
                     /v1/models say that it is missing. Its reason stands above; start again when it \
                     is cured",
                    ended.name,
                    ended.how()
                )),
            },
        }
    }
}

fn greet(
    url: &Url,
    chosen: &Chosen,
    workers: &[PlannedWorker],
    settings: &Settings,
) -> Result<(), OutputError> {
    let url = url.as_str().trim_end_matches('/');
    let versions =
        chosen.models.iter().map(|m| format!("{} {}", m.manifest.name, m.manifest.version));
    let data_dir = settings.data_dir.to_string_lossy();
    print(format!("Flota is up at {url}, its data in {}", plain(&data_dir)))?;
    print(format!("models: {}", versions.collect::<Vec<_>>().join(", ")))?;
    for worker in workers.iter().filter(|worker| !worker.is_usual()) {
        let models: Vec<_> = worker.models.iter().map(|m| m.manifest.name.as_str()).collect();
        print(format!("worker {}: {}", worker.name, models.join(", ")))?;
    }
    for name in &chosen.left_out {
        print(format!(
            "left out: {name}, whose weights are not on this machine; --models {name} fetches them"
        ))?;
    }
    let example = example(url, chosen).unwrap_or_else(|| format!("curl {url}/v1/models"));
    print(format!("try it:\n  {example}"))?;
    print("Ctrl-C stops it")
}

/// A line for the shell that uploads a picture of the project and has the first model look at it.
fn example(url: &str, chosen: &Chosen) -> Option<String> {
    let model = &chosen.models.first()?.manifest.name;
    let file = image_files::find(&[PathBuf::from(EXAMPLES)]).ok()?.files.into_iter().next()?;
    let sha256 = Sha256::of(&std::fs::read(&file).ok()?);
    let request =
        format!(r#"{{"images":[{{"url":"flota://sha256/{sha256}"}}],"models":["{model}"]}}"#);
    Some(format!(
        "curl -sS -w '\\n' --data-binary @{} {url}/v1/images && \\\n  curl -sS -H 'Prefer: wait=30' -H \
         'Content-Type: application/json' -d '{request}' {url}/v1/requests",
        file.display()
    ))
}
