use anyhow::{Context, bail};
use flota_core::{ModelName, WorkerName};
use flota_platform::settings::ModelGroup;

use super::FoundModel;
use crate::built_in;

/// A worker that is to run, and the models that it serves.
#[derive(Debug, Clone)]
pub(crate) struct PlannedWorker {
    /// Its name.
    pub name: WorkerName,
    /// At least one.
    pub models: Vec<FoundModel>,
}

impl PlannedWorker {
    /// It and its models as settings write them.
    pub fn group(&self) -> ModelGroup {
        let models = self.models.iter().map(|model| model.manifest.name.clone()).collect();
        ModelGroup { worker: self.name.clone(), models }
    }

    /// Whether it serves one model and has its name.
    pub fn is_usual(&self) -> bool {
        let name = |model: &FoundModel| WorkerName::from(&model.manifest.name);
        self.models.len() == 1 && self.models.iter().all(|model| name(model) == self.name)
    }
}

/// Puts `models` that `groups` name together, and each of the others into a worker of its own.
///
/// # Errors
/// If two workers would have one name, or a model would share a worker whose code only a worker of its own has.
pub(crate) fn workers(
    models: Vec<FoundModel>,
    groups: &[ModelGroup],
) -> anyhow::Result<Vec<PlannedWorker>> {
    let mut workers: Vec<PlannedWorker> = Vec::new();
    for model in models {
        let name = &model.manifest.name;
        let group = ModelGroup::of(groups, name);
        let worker = group.map_or_else(|| WorkerName::from(name), |group| group.worker.clone());
        match workers.iter_mut().find(|planned| planned.name == worker) {
            None => workers.push(PlannedWorker { name: worker, models: vec![model] }),
            Some(planned) if is_of(group, &planned.models) => planned.models.push(model),
            Some(_) => bail!(
                "the group `{worker}` has the name of a model that is not in it: choose another name"
            ),
        }
    }
    let codes = built_in::codes();
    for PlannedWorker { name, models } in workers.iter().filter(|planned| !planned.is_usual()) {
        for FoundModel { manifest, .. } in models {
            codes.check(manifest).with_context(|| {
                let model = &manifest.name;
                format!("`{model}` needs a worker of its own: remove it from the group `{name}`")
            })?;
        }
    }
    Ok(workers)
}

/// Checks that `groups` can be together, and that each of their models was `found`.
///
/// # Errors
/// Names the first that cannot, or was not.
pub(crate) fn check_groups(groups: &[ModelGroup], found: &[FoundModel]) -> anyhow::Result<()> {
    if let Err(error) = ModelGroup::check(groups) {
        bail!("the groups conflict: {error}");
    }
    let is_found = |name: &ModelName| found.iter().any(|model| model.manifest.name == *name);
    for ModelGroup { worker, models } in groups {
        if let Some(unknown) = models.iter().find(|name| !is_found(name)) {
            bail!("the group `{worker}` names an unknown model `{unknown}`");
        }
    }
    Ok(())
}

fn is_of(group: Option<&ModelGroup>, models: &[FoundModel]) -> bool {
    let is_in = |group: &ModelGroup| models.iter().all(|m| group.models.contains(&m.manifest.name));
    group.is_some_and(is_in)
}

#[cfg(test)]
mod tests {
    use flota_core::Manifest;

    use super::*;

    fn found(name: &str, code: bool) -> FoundModel {
        let text = format!(
            "{{name: {name}, version: '1', weights: {{file: w}}, labels: [a], code: {code}, \
             input: {{width: 8, height: 8, resize: {{mode: exact}}}}, output: {{kind: regression}}}}"
        );
        let manifest = Manifest::parse("model.yaml", &text).unwrap();
        FoundModel { folder: name.into(), manifest, is_built_in: false }
    }

    #[track_caller]
    fn check(models: &[&str], groups: &[&str], wanted: Result<&[(&str, &[&str])], &str>) {
        let models = models.iter().map(|name| found(name, *name == "code")).collect();
        let groups: Vec<ModelGroup> = groups.iter().map(|text| text.parse().unwrap()).collect();
        let planned = workers(models, &groups).map_err(|error| error.to_string());
        match (planned, wanted) {
            (Ok(planned), Ok(wanted)) => {
                let names = |worker: &PlannedWorker| {
                    let models = worker.models.iter().map(|model| model.manifest.name.to_string());
                    (worker.name.to_string(), models.collect::<Vec<_>>())
                };
                let wanted = wanted.iter().map(|(worker, models)| {
                    let models = models.iter().map(ToString::to_string).collect();
                    ((*worker).to_owned(), models)
                });
                let planned: Vec<_> = planned.iter().map(names).collect();
                assert_eq!(planned, wanted.collect::<Vec<(String, Vec<String>)>>());
            }
            (Err(error), Err(wanted)) => assert!(error.contains(wanted), "{error}"),
            (planned, _) => panic!("{planned:?}"),
        }
    }

    #[test]
    fn a_group_is_one_worker_and_the_others_have_their_own() {
        let photo: &[(&str, &[&str])] = &[("photo", &["a", "c"]), ("b", &["b"])];
        check(&["a", "b", "c"], &["photo=c,a"], Ok(photo));
        check(&["a", "code"], &["a=a,b"], Ok(&[("a", &["a"]), ("code", &["code"])]));
    }

    #[test]
    fn what_cannot_be_one_worker_is_said() {
        check(&["a", "b"], &["a=b"], Err("has the name of a model that is not in it"));
        check(&["b", "a"], &["b=a"], Err("has the name of a model that is not in it"));
        check(&["a", "code"], &["photo=a,code"], Err("`code` needs a worker of its own"));
    }
}
