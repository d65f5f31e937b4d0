use std::{
    ffi::OsString,
    iter,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;

use super::{PlannedWorker, child::ChildSpec, models::FoundModel, supervisor::SERVER};
use crate::built_in;

/// What a fleet is made of.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The workers that run.
    pub workers: Vec<PlannedWorker>,
    /// The settings file that the children read too.
    pub config: Option<PathBuf>,
    /// Settings of the children that go over the file and the environment: key and value.
    pub set: Vec<(String, String)>,
    /// The data folder of a store on this machine.
    pub data_dir: Option<PathBuf>,
    /// How long a child may drain.
    pub drain: Duration,
    /// Where the children's logs go; our standard error where there is no folder.
    pub logs: Option<PathBuf>,
}

impl Plan {
    /// How the server is started.
    pub fn server(&self) -> anyhow::Result<ChildSpec> {
        let mut args: Vec<OsString> = vec!["serve".into()];
        let planned: Vec<_> =
            self.workers.iter().map(|worker| worker.group().to_string()).collect();
        let planned = serde_json::to_string(&planned).context("cannot encode the workers")?;
        args.extend(set("models.planned", &planned));
        self.spec(SERVER, own_executable()?, args)
    }

    /// How `worker` is started: by the executable of its only model where that stands beside ours,
    /// else by ours.
    ///
    /// # Errors
    /// If a model needs code that is in neither.
    pub fn worker(&self, worker: &PlannedWorker) -> anyhow::Result<ChildSpec> {
        let name = worker.name.as_str();
        let own = own_executable()?;
        let mut folders = worker.models.iter().map(|model| model.folder.clone().into());
        if worker.is_usual() {
            let file = format!("flota-{name}{}", std::env::consts::EXE_SUFFIX);
            let special = own.with_file_name(file);
            if special.is_file() {
                let args = iter::once("--model-dir".into()).chain(folders);
                return self.spec(name, special, args.collect());
            }
        }
        for FoundModel { manifest, .. } in &worker.models {
            let missing = || format!("`flota worker` cannot serve `{}`", manifest.name);
            built_in::codes().check(manifest).with_context(missing)?;
        }
        let mut args: Vec<OsString> = vec!["worker".into()];
        args.extend(&mut folders);
        args.extend(["--name".into(), name.into()]);
        self.spec(name, own, args)
    }

    fn spec(
        &self,
        name: &str,
        program: PathBuf,
        mut args: Vec<OsString>,
    ) -> anyhow::Result<ChildSpec> {
        args.push("--stop-on-stdin-close".into());
        if let Some(config) = &self.config {
            args.extend(["--config".into(), config.clone().into()]);
        }
        args.extend(self.set.iter().flat_map(|(key, value)| set(key, value)));
        let log_file = self.logs.as_deref().map(|logs| log_file(logs, name));
        Ok(ChildSpec { name: name.to_owned(), program, args, log_file })
    }
}

fn own_executable() -> anyhow::Result<PathBuf> {
    std::env::current_exe().context("cannot find the path of this executable")
}

/// What sets `key` on a child's command line.
pub(super) fn set(key: &str, value: &str) -> [OsString; 2] {
    ["--set".into(), format!("{key}={value}").into()]
}

/// The log file of a child.
pub(super) fn log_file(logs: &Path, child: &str) -> PathBuf {
    logs.join(format!("{child}.log"))
}

#[cfg(test)]
mod tests {
    use flota_core::Manifest;

    use super::*;

    #[test]
    fn a_model_whose_code_is_nowhere_is_refused_with_the_program_that_has_it() {
        let text = "{name: odd, version: '1', weights: {file: w}, labels: [a], code: {revision: 4}, \
            input: {width: 8, height: 8, resize: {mode: exact}}, output: {kind: regression}}";
        let manifest = Manifest::parse("model.yaml", text).unwrap();
        let name = (&manifest.name).into();
        let model = FoundModel { folder: "odd".into(), manifest, is_built_in: false };
        let plan = Plan {
            workers: vec![PlannedWorker { name, models: vec![model] }],
            config: None,
            set: Vec::new(),
            data_dir: None,
            drain: Duration::ZERO,
            logs: None,
        };
        let error = format!("{:#}", plan.worker(&plan.workers[0]).err().unwrap());
        for part in ["cannot serve `odd`", "revision 4", "`flota-odd --model-dir DIR`"] {
            assert!(error.contains(part), "{error}");
        }
    }
}
