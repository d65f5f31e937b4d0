use std::process::ExitCode;

use anyhow::Context;
use flota_core::{
    ModelName, ModelVersion,
    ports::{RegisteredModel, Registration, RegistrationOutcome},
};
use flota_deploy::provision::{Action, Resource, ResourceKind, State, provision as provide};
use flota_platform::{
    Platform,
    aws::Clients,
    settings::{Backend, ModelSettings, Settings},
};
use serde::Serialize;

use super::found::registrations;
use crate::{
    cli::{Format, ProvisionArgs},
    print::{plain, print, print_json},
};

/// What a dry run exits with that finds something missing or different.
const DIFFERENT: u8 = 3;

/// What was found, or done.
#[derive(Debug, Serialize)]
struct Report {
    dry_run: bool,
    resources: Vec<Resource>,
    models: Vec<ModelReport>,
}

/// What became of a model.
#[derive(Debug, Serialize)]
struct ModelReport {
    name: ModelName,
    version: ModelVersion,
    state: ModelState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum ModelState {
    /// It is known.
    Ready,
    /// It is not known, or another version is the current one.
    Missing,
    /// It was made known.
    Registered,
}

/// Makes what the fleet needs, or says what differs.
pub(crate) async fn provision(args: ProvisionArgs) -> anyhow::Result<ExitCode> {
    let settings = args.settings.load()?;
    let found = registrations(&args.models, &settings)?;
    let action = if args.dry_run { Action::Look } else { Action::Make };
    let resources = resources(&settings, &found, action).await?;
    let models = match action == Action::Make || has_store(&settings, &resources) {
        true => models(&settings, &found, action).await?,
        false => found.iter().map(|model| reported(model, ModelState::Missing)).collect(),
    };
    let report = Report { dry_run: args.dry_run, resources, models };
    match args.format {
        Format::Json => print_json(&report)?,
        Format::Text => report.print()?,
    }
    Ok(if report.differs() { ExitCode::from(DIFFERENT) } else { ExitCode::SUCCESS })
}

/// Whether there is a store to ask for models: looking must not make one.
fn has_store(settings: &Settings, resources: &[Resource]) -> bool {
    match settings.backend {
        Backend::Embedded => settings.data_dir.exists(),
        Backend::Aws => {
            let mut tables = resources.iter().filter(|found| found.kind == ResourceKind::Table);
            tables.all(Resource::is_ready)
        }
    }
}

/// The embedded store makes what it needs when it is opened.
pub(super) async fn resources(
    settings: &Settings,
    found: &[Registration],
    action: Action,
) -> anyhow::Result<Vec<Resource>> {
    match settings.backend {
        Backend::Embedded => Ok(Vec::new()),
        Backend::Aws => {
            let workers: Vec<_> = found.iter().map(|model| model.worker.clone()).collect();
            let clients = Clients::new(&settings.aws).await?;
            Ok(provide(&clients, settings, &workers, action).await?)
        }
    }
}

async fn models(
    settings: &Settings,
    found: &[Registration],
    action: Action,
) -> anyhow::Result<Vec<ModelReport>> {
    let platform = Platform::open(settings).await?;
    let known = platform.models.list(platform.clock.now()).await?;
    let mut reports = Vec::new();
    for model in found {
        let model = with_its_worker(model, &known, &settings.models);
        let same =
            |known: &Registration| known.manifest == model.manifest && known.digest == model.digest;
        let state = if known.iter().any(|known| same(&known.registration)) {
            ModelState::Ready
        } else if action == Action::Make {
            register(&platform, &model).await?;
            ModelState::Registered
        } else {
            ModelState::Missing
        };
        reports.push(reported(&model, state));
    }
    Ok(reports)
}

/// `model` as its present worker serves it: that is for workers to say, unless a group does.
fn with_its_worker(
    model: &Registration,
    known: &[RegisteredModel],
    settings: &ModelSettings,
) -> Registration {
    let name = &model.manifest.name;
    let mut registrations = known.iter().map(|known| &known.registration);
    let known = registrations.find(|known| known.manifest.name == *name);
    match known.filter(|_| !settings.is_grouped(name)) {
        Some(known) => Registration { worker: known.worker.clone(), ..model.clone() },
        None => model.clone(),
    }
}

async fn register(platform: &Platform, model: &Registration) -> anyhow::Result<()> {
    let (name, version) = (&model.manifest.name, &model.manifest.version);
    let outcome = platform.models.register(model).await;
    match outcome.with_context(|| format!("cannot register the model {name}"))? {
        RegistrationOutcome::Registered => Ok(()),
        RegistrationOutcome::Conflict(_) => anyhow::bail!(
            "version {version} of {name} is registered with different content: raise the `version` in its \
             model.yaml"
        ),
    }
}

fn reported(model: &Registration, state: ModelState) -> ModelReport {
    let manifest = &model.manifest;
    ModelReport { name: manifest.name.clone(), version: manifest.version.clone(), state }
}

impl Report {
    /// Whether a run that is not dry would do something.
    fn differs(&self) -> bool {
        self.resources.iter().any(|resource| !resource.is_ready())
            || self.models.iter().any(|model| model.state == ModelState::Missing)
    }

    fn print(&self) -> anyhow::Result<()> {
        for resource in &self.resources {
            print(format!("{:10} {} {}", said(&resource.state), resource.kind, resource.name))?;
            for difference in resource.differences() {
                print(format!("{:10}   {}", "", plain(&difference.to_string())))?;
            }
        }
        for model in &self.models {
            let said = match model.state {
                ModelState::Ready => "ready",
                ModelState::Missing => "missing",
                ModelState::Registered => "registered",
            };
            print(format!("{said:10} model {} {}", model.name, model.version))?;
        }
        let open = self.resources.iter().filter(|resource| !resource.is_ready()).count()
            + self.models.iter().filter(|model| model.state == ModelState::Missing).count();
        let all = self.resources.len() + self.models.len();
        Ok(print(match open {
            0 => format!("{all} of {all} ready"),
            open => format!("{open} of {all} missing or different: run again without --dry-run"),
        })?)
    }
}

fn said(state: &State) -> &'static str {
    match state {
        State::Ready => "ready",
        State::Missing => "missing",
        State::Different { .. } => "different",
        State::Made => "made",
        State::Changed { .. } => "changed",
    }
}

#[cfg(test)]
mod tests {
    use flota_core::{Manifest, Sha256};
    use jiff::Timestamp;

    use super::*;

    fn served_by(worker: &str) -> Registration {
        let text = "{name: cat, version: '1', weights: {file: w.onnx}, labels: [a], \
            input: {width: 8, height: 8, resize: {mode: exact}}, output: {kind: regression}}";
        let manifest = Manifest::parse("model.yaml", text).unwrap();
        Registration::new(manifest, Sha256::of(b""), worker.parse().unwrap(), Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn a_new_version_stays_with_the_worker_of_its_model_unless_a_group_names_another() {
        let known = [RegisteredModel::new(served_by("photo"), Default::default())];
        let worker = |known: &[RegisteredModel], worker: &str, groups: &[&str]| {
            let groups = groups.iter().map(|group| group.parse().unwrap()).collect();
            let settings = ModelSettings { dirs: Vec::new(), groups, planned: Vec::new() };
            with_its_worker(&served_by(worker), known, &settings).worker.to_string()
        };
        assert_eq!(worker(&known, "cat", &[]), "photo");
        assert_eq!(worker(&known, "text", &["text=cat"]), "text");
        assert_eq!(worker(&[], "cat", &[]), "cat");
    }
}
