use std::{
    env,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use flota_core::{
    ModelName, Sha256,
    ports::{Clock, RegistrationOutcome},
};
use flota_platform::{
    Platform, SystemClock,
    settings::{Backend, ModelGroup, Settings},
    telemetry,
};
use flota_worker::{ReadyModel, ReadyReport};

use crate::{
    built_in,
    cli::{DEFAULT_URL, ModelArgs, UpArgs},
    fleet::{self, Chosen, Fleet, Plan, PlannedWorker, Stop},
    image_files,
    print::{OutputError, note, plain, print},
    show,
};

/// The images that come with the project.
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
    let plan = Plan {
        workers: workers(&chosen, &models, &settings)?,
        config: sources.config,
        set: sources.set,
        data_dir: (settings.backend == Backend::Embedded).then(|| settings.data_dir.clone()),
        drain: settings.queue.drain,
        logs: None,
    };
    let mut fleet = match Fleet::start_server(&plan, &stop).await {
        Ok(fleet) => fleet,
        Err(_) if stop.orderly.is_cancelled() => return Ok(ExitCode::SUCCESS),
        Err(error) => return Err(error),
    };
    let ended = run(&mut fleet, &plan, &chosen, &settings, &stop).await;
    fleet.stop().await;
    if !stop.orderly.is_cancelled() {
        ended?;
    }
    print("stopped")?;
    Ok(ExitCode::SUCCESS)
}

/// The models that the arguments and the settings name.
pub(crate) fn choose(args: &ModelArgs, settings: &Settings) -> anyhow::Result<Chosen> {
    let (groups, unpacked) = (groups(args, settings), built_in::unpacked_dir(settings));
    let found = fleet::find_all(settings, &args.model_dir, &args.models, groups, &unpacked)?;
    fleet::check_groups(groups, &found)?;
    let mut chosen = fleet::choose(found, &args.models, &settings.weights_dir())?;
    chosen.unpacked = fleet::unpack(&chosen.models, &unpacked)?;
    built_in::remove_unused(&unpacked);
    Ok(chosen)
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

/// From a server that listens to the end; an error where the fleet cannot work, or no longer.
async fn run(
    fleet: &mut Fleet,
    plan: &Plan,
    chosen: &Chosen,
    settings: &Settings,
    stop: &Stop,
) -> anyhow::Result<()> {
    register(&plan.workers, settings).await?;
    greet(fleet.url().as_str().trim_end_matches('/'), chosen, &plan.workers, settings)?;
    fleet.start_workers(plan)?;
    fleet.workers_ready(plan, |worker, report| Ok(print(ready(worker, report))?)).await?;
    stay(fleet, stop).await
}

/// Makes the models known that no worker serves, so that the API takes requests for them before their
/// workers are ready. A worker that serves a model decides itself when another takes over.
async fn register(workers: &[PlannedWorker], settings: &Settings) -> anyhow::Result<()> {
    let platform = Platform::open(settings).await?;
    for worker in workers {
        for model in &worker.models {
            let now = SystemClock.now();
            let name = &model.manifest.name;
            let known = platform.models.get(name, now).await;
            let known = known.with_context(|| format!("cannot look up the model {name}"))?;
            if known.is_some_and(|known| known.workers_alive > 0) {
                continue;
            }
            let registration = flota_worker::look(&model.folder, |_| worker.name.clone(), now)?;
            let outcome = platform.models.register(&registration).await;
            match outcome.with_context(|| format!("cannot register the model {name}"))? {
                RegistrationOutcome::Registered => {}
                RegistrationOutcome::Conflict(_) => bail!(
                    "version {} of {name} is registered with different content: raise the `version` in its \
                     model.yaml",
                    model.manifest.version
                ),
            }
        }
    }
    Ok(())
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
                ended if ended.is_server() => bail!("the server exited ({})", ended.how()),
                ended => note(format!(
                    "`{}` failed ({}) and is not restarted; the others go on, and /readyz and \
                     /v1/models report it as missing. The reason is above; fix it, then start \
                     `flota up` again",
                    ended.name,
                    ended.how()
                )),
            },
        }
    }
}

fn greet(
    url: &str,
    chosen: &Chosen,
    workers: &[PlannedWorker],
    settings: &Settings,
) -> Result<(), OutputError> {
    let versions = chosen.models.iter().map(|model| {
        let built_in = if model.is_built_in { " (compiled in)" } else { "" };
        format!("{} {}{built_in}", model.manifest.name, model.manifest.version)
    });
    let data_dir = settings.data_dir.to_string_lossy();
    print(format!("Flota is up at {url}, with its data in {}", plain(&data_dir)))?;
    print(format!("models: {}", versions.collect::<Vec<_>>().join(", ")))?;
    for worker in workers.iter().filter(|worker| !worker.is_usual()) {
        let models: Vec<_> = worker.models.iter().map(|m| m.manifest.name.as_str()).collect();
        print(format!("worker {}: {}", worker.name, models.join(", ")))?;
    }
    if let Some(note) = chosen.left_out_note() {
        print(note)?;
    }
    let example = example(url, chosen, settings).unwrap_or_else(|| format!("curl {url}/v1/models"));
    print(format!("try it:\n  {example}"))?;
    print("Ctrl-C stops the fleet. Its workers are starting; requests wait for them")
}

/// Lines for the shell that submit the example images to the first model: by this command, and one image by curl.
fn example(url: &str, chosen: &Chosen, settings: &Settings) -> Option<String> {
    let model = &chosen.models.first()?.manifest.name;
    let file = example_image(&settings.data_dir)?;
    let submit = submit_line(url, file.parent()?, model);
    let sha256 = Sha256::of(&std::fs::read(&file).ok()?);
    let request =
        format!(r#"{{"images":[{{"url":"flota://sha256/{sha256}"}}],"models":["{model}"]}}"#);
    Some(format!(
        "{submit}\nor with curl:\n  curl -sS -w '\\n' --data-binary @{} {url}/v1/images && \\\n  curl -sS -H 'Prefer: wait=60' -H \
         'Content-Type: application/json' -d '{request}' {url}/v1/requests",
        quoted(&file.to_string_lossy())
    ))
}

/// The line that submits `folder`, by this command as it was typed.
fn submit_line(url: &str, folder: &Path, model: &ModelName) -> String {
    let typed = env::args_os().next();
    let command =
        typed.map_or_else(|| "flota".into(), |typed| typed.to_string_lossy().into_owned());
    let folder = quoted(&folder.to_string_lossy());
    let address =
        if url == DEFAULT_URL { String::new() } else { format!(" --url {}", quoted(url)) };
    format!("{} submit {folder} --model {model}{address} --wait", quoted(&command))
}

/// An image of the project where this is its folder, else a compiled-in one.
fn example_image(data_dir: &Path) -> Option<PathBuf> {
    let files = match image_files::find(&[PathBuf::from(EXAMPLES)]) {
        Ok(found) => found.files,
        Err(_) => built_in::unpack_images(&data_dir.join("examples")).ok()?,
    };
    files.into_iter().next()
}

/// `text` as a shell takes it for one word.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:@%=".contains(c);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

/// The line for a worker that is ready.
fn ready(worker: &PlannedWorker, report: Option<ReadyReport>) -> String {
    let model = |model: &ReadyModel| {
        let ReadyModel { name, version, engine, .. } = model;
        format!(
            "{name} {version} on {engine}, {} of {}, {} at once",
            show::count(model.session_count, "session"),
            show::count(model.thread_count, "thread"),
            show::count(model.batch_size as usize, "image"),
        )
    };
    let models: Vec<String> = match report {
        Some(report) => report.models.iter().map(model).collect(),
        None => {
            let manifests = worker.models.iter().map(|model| &model.manifest);
            manifests.map(|manifest| format!("{} {}", manifest.name, manifest.version)).collect()
        }
    };
    format!("worker {} is ready: {}", worker.name, models.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_to_paste_names_an_address_that_is_not_the_usual_one() {
        let line =
            |url: &str| submit_line(url, Path::new("my data/examples"), &"cat".parse().unwrap());
        let usual = line(DEFAULT_URL);
        assert!(usual.ends_with(" submit 'my data/examples' --model cat --wait"), "{usual}");
        let other = line("http://127.0.0.1:18461");
        assert!(other.ends_with(" --model cat --url http://127.0.0.1:18461 --wait"), "{other}");
    }

    #[test]
    fn a_path_is_one_word_for_a_shell() {
        assert_eq!(quoted("flota-data/examples/a.jpg"), "flota-data/examples/a.jpg");
        assert_eq!(quoted("my data/it's"), r"'my data/it'\''s'");
        assert_eq!(quoted("$(rm)"), "'$(rm)'");
    }
}
