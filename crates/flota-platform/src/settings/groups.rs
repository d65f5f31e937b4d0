use std::{fmt, str::FromStr};

use flota_core::{ModelName, WorkerName};

use super::ModelSettings;

/// Models that one worker serves, written `photo=image-quality,embedded-text`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelGroup {
    /// The worker.
    pub worker: WorkerName,
    /// At least one.
    pub models: Vec<ModelName>,
}

impl ModelGroup {
    /// That of `groups` which names `model`.
    pub fn of<'g>(groups: &'g [Self], model: &ModelName) -> Option<&'g Self> {
        groups.iter().find(|group| group.models.contains(model))
    }

    /// Whether `groups` can be together.
    ///
    /// # Errors
    /// What stands in two places.
    pub fn check(groups: &[Self]) -> Result<(), String> {
        for (index, group) in groups.iter().enumerate() {
            let others = &groups[..index];
            if others.iter().any(|other| other.worker == group.worker) {
                return Err(format!("the worker `{}` stands twice", group.worker));
            }
            let earlier = others.iter().flat_map(|other| &other.models);
            for (index, model) in group.models.iter().enumerate() {
                if earlier.clone().chain(&group.models[..index]).any(|other| other == model) {
                    return Err(format!("the model `{model}` stands twice"));
                }
            }
        }
        Ok(())
    }
}

impl ModelSettings {
    /// The worker that serves `model`: that of its group, or one of its own name.
    pub fn worker_of(&self, model: &ModelName) -> WorkerName {
        let group = ModelGroup::of(&self.groups, model);
        group.map_or_else(|| WorkerName::from(model), |group| group.worker.clone())
    }

    /// Whether a group says who serves `model`.
    pub fn is_grouped(&self, model: &ModelName) -> bool {
        ModelGroup::of(&self.groups, model).is_some()
    }
}

impl FromStr for ModelGroup {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WANTED: &str =
            "a worker's name and its models, as in photo=image-quality,embedded-text";
        let (worker, models) = text.split_once('=').ok_or(WANTED)?;
        let models = models.split(',').map(|model| model.trim().parse().map_err(|_| WANTED));
        Ok(Self {
            worker: worker.trim().parse().map_err(|_| WANTED)?,
            models: models.collect::<Result<_, _>>()?,
        })
    }
}

impl fmt::Display for ModelGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let models: Vec<_> = self.models.iter().map(ModelName::as_str).collect();
        write!(f, "{}={}", self.worker, models.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(texts: &[&str]) -> Vec<ModelGroup> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_group_is_a_worker_and_its_models() {
        let settings = ModelSettings {
            dirs: Vec::new(),
            groups: groups(&["photo = a, b"]),
            planned: Vec::new(),
        };
        assert_eq!(settings.groups[0].to_string(), "photo=a,b");
        let worker_of = |model: &str| settings.worker_of(&model.parse().unwrap()).to_string();
        assert_eq!((worker_of("b"), worker_of("c")), ("photo".to_owned(), "c".to_owned()));
        for wrong in ["photo", "photo=", "photo=a,,b", "Photo=a", "=a"] {
            assert!(wrong.parse::<ModelGroup>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_worker_and_a_model_stand_in_one_group() {
        assert_eq!(ModelGroup::check(&groups(&["photo=a,b", "text=c"])), Ok(()));
        for (texts, twice) in [
            (["photo=a", "photo=b"], "worker `photo`"),
            (["photo=a,b", "text=b"], "model `b`"),
            (["photo=a,a", "text=b"], "model `a`"),
        ] {
            assert_eq!(
                ModelGroup::check(&groups(&texts)),
                Err(format!("the {twice} stands twice"))
            );
        }
    }
}
