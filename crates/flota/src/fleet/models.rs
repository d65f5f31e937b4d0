use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use flota_core::{Asset, LabelSource, Manifest, ModelName, Sha256};
use flota_platform::settings::{ModelGroup, Settings};
use flota_worker::{MANIFEST_FILE, ModelFolder};

use crate::built_in::{self, BuiltInModel, Unpacked};

/// A model folder and what its manifest says.
#[derive(Debug, Clone)]
pub(crate) struct FoundModel {
    /// The folder.
    pub folder: PathBuf,
    /// Its manifest.
    pub manifest: Manifest,
    /// Whether it was compiled into this command.
    pub is_built_in: bool,
}

/// Which of the models that were found are to run.
#[derive(Debug)]
pub(crate) struct Chosen {
    /// Those that run.
    pub models: Vec<FoundModel>,
    /// Those that were left out because their weights would have to be fetched.
    pub left_out: Vec<ModelName>,
    /// The compiled-in ones of those that run, held until this is dropped.
    pub unpacked: Vec<Unpacked>,
}

impl Chosen {
    /// Says which models were left out, and the option that runs all; `None` where none was.
    pub fn left_out_note(&self) -> Option<String> {
        let out: Vec<&str> = self.left_out.iter().map(ModelName::as_str).collect();
        let running = self.models.iter().map(|model| model.manifest.name.as_str());
        let all: Vec<&str> = running.chain(out.iter().copied()).collect();
        (!out.is_empty()).then(|| {
            format!(
                "skipped: {} (weights not downloaded); --models {} downloads them and runs all",
                out.join(", "),
                all.join(",")
            )
        })
    }
}

/// The models that may run: those under the folders of the settings and under `named` ones, see [`find`].
/// Of the compiled-in models the others are added that `wanted` or `groups` name, or all where no folder
/// holds a model; their folders are those that [`unpack`] writes under `unpacked`. A model in a folder goes
/// before the compiled-in one of its name.
///
/// # Errors
/// As of [`find`].
pub(crate) fn find_all(
    settings: &Settings,
    named: &[PathBuf],
    wanted: &[ModelName],
    groups: &[ModelGroup],
    unpacked: &Path,
) -> anyhow::Result<Vec<FoundModel>> {
    let found = find(&settings.models.dirs, named, wanted)?;
    let is_alone = found.is_empty();
    let is_named =
        |name: &ModelName| wanted.contains(name) || ModelGroup::of(groups, name).is_some();
    with_built_in(found, |name| is_alone || is_named(name), unpacked)
}

/// The models that an operator means: those under the folders of the settings and under `named` ones, and the
/// compiled-in ones that `wanted` names; where `wanted` is not empty, no others. Without a name no compiled-in
/// model is taken, so that a binary that is replaced changes nothing in production.
///
/// # Errors
/// As of [`find`], and if a wanted model was not found.
pub(crate) fn find_named(
    settings: &Settings,
    named: &[PathBuf],
    wanted: &[ModelName],
    unpacked: &Path,
) -> anyhow::Result<Vec<FoundModel>> {
    let found = find(&settings.models.dirs, named, wanted)?;
    let found = with_built_in(found, |name| wanted.contains(name), unpacked)?;
    if wanted.is_empty() {
        return Ok(found);
    }
    Ok(choose(found, wanted, &settings.weights_dir())?.models)
}

/// `found` and the compiled-in models that `is_taken` and that are in no folder.
fn with_built_in(
    mut found: Vec<FoundModel>,
    is_taken: impl Fn(&ModelName) -> bool,
    unpacked: &Path,
) -> anyhow::Result<Vec<FoundModel>> {
    for model in built_in::models()? {
        let name = &model.manifest.name;
        let is_found = found.iter().any(|found| found.manifest.name == *name);
        if !is_found && is_taken(name) {
            let folder = model.folder_in(unpacked);
            found.push(FoundModel { folder, manifest: model.manifest, is_built_in: true });
        }
    }
    found.sort_by(|a, b| a.manifest.name.cmp(&b.manifest.name));
    Ok(found)
}

/// Writes the compiled-in ones of `models` under `unpacked`, where they are not there.
///
/// # Errors
/// If they cannot be written.
pub(crate) fn unpack(models: &[FoundModel], unpacked: &Path) -> anyhow::Result<Vec<Unpacked>> {
    let is_wanted = |built_in: &BuiltInModel| {
        let is_it = |model: &FoundModel| model.manifest.name == built_in.manifest.name;
        models.iter().any(|model| model.is_built_in && is_it(model))
    };
    let built_in = built_in::models()?;
    built_in.iter().filter(|model| is_wanted(model)).map(|model| model.unpack(unpacked)).collect()
}

/// The models under `usual` folders, which may be absent, and under `named` ones, which may not.
/// A folder is a model, or holds models. Where `wanted` is not empty, the manifests of other
/// folders are not read if they cannot be.
///
/// # Errors
/// If a manifest is wrong, two models have one name, or a named folder holds no model.
fn find(
    usual: &[PathBuf],
    named: &[PathBuf],
    wanted: &[ModelName],
) -> anyhow::Result<Vec<FoundModel>> {
    let mut folders = Vec::new();
    for dir in usual {
        folders.extend(model_folders(dir)?);
    }
    for dir in named {
        let found = model_folders(dir)?;
        if found.is_empty() {
            bail!("no {MANIFEST_FILE} in {} or its subfolders", dir.display());
        }
        folders.extend(found);
    }
    let mut by_name: BTreeMap<ModelName, FoundModel> = BTreeMap::new();
    for folder in folders {
        let folder = folder.canonicalize().unwrap_or(folder);
        let model = match read(&folder) {
            Ok(model) => model,
            Err(_) if is_of_another(&folder, wanted) => continue,
            Err(error) => return Err(error),
        };
        let name = model.manifest.name.clone();
        match by_name.get(&name) {
            Some(other) if other.folder != model.folder => bail!(
                "{} and {} both have the name `{name}`: rename one in its {MANIFEST_FILE}",
                other.folder.display(),
                model.folder.display()
            ),
            _ => by_name.insert(name, model),
        };
    }
    Ok(by_name.into_values().collect())
}

/// Takes the `wanted` models out of `found`; where none is wanted, those whose weights and labels
/// are on this machine already.
///
/// # Errors
/// If a wanted model was not found, or if nothing is left to run.
pub(crate) fn choose(
    found: Vec<FoundModel>,
    wanted: &[ModelName],
    cache_dir: &Path,
) -> anyhow::Result<Chosen> {
    let known: Vec<_> = found.iter().map(|model| model.manifest.name.to_string()).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    if let Some(unknown) =
        wanted.iter().find(|name| !found.iter().any(|m| m.manifest.name == **name))
    {
        bail!("no model `{unknown}`; found: {known}; --model-dir DIR adds more");
    }
    let (models, others): (Vec<_>, Vec<_>) = if wanted.is_empty() {
        found.into_iter().partition(|model| is_at_hand(&model.manifest, cache_dir))
    } else {
        (found.into_iter().filter(|model| wanted.contains(&model.manifest.name)).collect(), vec![])
    };
    let left_out: Vec<_> = others.into_iter().map(|model| model.manifest.name).collect();
    if let (true, Some(name)) = (models.is_empty(), left_out.first()) {
        bail!("no model has downloaded weights; to download them, name a model: --models {name}");
    }
    if models.is_empty() {
        bail!("no model found: name a model folder with --model-dir DIR");
    }
    Ok(Chosen { models, left_out, unpacked: Vec::new() })
}

/// Has everything that `models` need on this machine, fetching with a progress bar what is missing,
/// so that what is wrong with one is said before anything is started.
///
/// # Errors
/// What is missing, wrong or not to be had, with file, line and cure.
pub(crate) async fn prepare(models: &[FoundModel], settings: &Settings) -> anyhow::Result<()> {
    for model in models {
        ModelFolder::open(&model.folder, &settings.weights_dir()).await?;
    }
    Ok(())
}

fn model_folders(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if dir.join(MANIFEST_FILE).is_file() {
        return Ok(vec![dir.to_owned()]);
    }
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", dir.display())),
    };
    let mut folders = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("cannot read {}", dir.display()))?.path();
        if path.join(MANIFEST_FILE).is_file() {
            folders.push(path);
        }
    }
    Ok(folders)
}

fn read(folder: &Path) -> anyhow::Result<FoundModel> {
    let path = folder.join(MANIFEST_FILE);
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let manifest = Manifest::parse(&path.display().to_string(), &text)?;
    Ok(FoundModel { folder: folder.to_owned(), manifest, is_built_in: false })
}

fn is_of_another(folder: &Path, wanted: &[ModelName]) -> bool {
    let name = folder.file_name().unwrap_or_default();
    !wanted.is_empty() && wanted.iter().all(|wanted| wanted.as_str() != name)
}

fn is_at_hand(manifest: &Manifest, cache_dir: &Path) -> bool {
    let labels = match &manifest.labels {
        Some(LabelSource::Lines(lines)) => Some(&lines.asset),
        Some(LabelSource::Inline(_) | LabelSource::Metadata(_)) | None => None,
    };
    manifest.weights.assets().chain(labels).all(|asset| match asset {
        Asset::File { .. } => true,
        Asset::Url { sha256, .. } => is_cached(cache_dir, sha256),
    })
}

fn is_cached(cache_dir: &Path, sha256: &Sha256) -> bool {
    cache_dir.join(sha256.to_string()).is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: &str = "labels: [a]
input: {name: i, layout: nchw, width: 8, height: 8, resize: {mode: exact},
  filter: bilinear_antialias, color: rgb}
output: {name: o, kind: regression}";

    fn put(dir: &Path, name: &str, weights: &str) {
        let folder = dir.join(name);
        fs::create_dir_all(&folder).unwrap();
        let text = format!("name: {name}\nversion: '1'\nweights: {weights}\n{REST}\n");
        fs::write(folder.join(MANIFEST_FILE), text).unwrap();
    }

    fn names(models: &[FoundModel]) -> Vec<&str> {
        models.iter().map(|model| model.manifest.name.as_str()).collect()
    }

    #[test]
    fn models_whose_weights_are_elsewhere_run_only_when_named_or_fetched_before() {
        let (dir, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let hash = Sha256::of(b"weights");
        put(dir.path(), "near", "{file: w.onnx}");
        put(dir.path(), "far", &format!("{{url: 'https://a/w.onnx', sha256: {hash}}}"));
        let found = find(&[dir.path().to_owned()], &[], &[]).unwrap();
        assert_eq!(names(&found), ["far", "near"]);

        let chosen = choose(found.clone(), &[], cache.path()).unwrap();
        assert_eq!((names(&chosen.models), chosen.left_out.len()), (vec!["near"], 1));
        let note = chosen.left_out_note().unwrap();
        assert!(
            note.starts_with("skipped: far (") && note.contains("--models near,far "),
            "{note}"
        );
        let far = ["far".parse().unwrap()];
        assert_eq!(names(&choose(found.clone(), &far, cache.path()).unwrap().models), ["far"]);
        fs::write(cache.path().join(hash.to_string()), "weights").unwrap();
        assert_eq!(choose(found, &[], cache.path()).unwrap().models.len(), 2);
    }

    #[test]
    fn compiled_in_models_run_where_there_are_no_others_and_where_they_are_named() {
        let (dir, unpacked) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut settings = Settings::default();
        settings.models.dirs = vec![dir.path().join("workers")];
        let found = |settings: &Settings, named: &[PathBuf], wanted: &[&str], groups: &[&str]| {
            let wanted: Vec<ModelName> = wanted.iter().map(|name| name.parse().unwrap()).collect();
            let groups: Vec<ModelGroup> = groups.iter().map(|text| text.parse().unwrap()).collect();
            let found = find_all(settings, named, &wanted, &groups, unpacked.path()).unwrap();
            unpack(&found, unpacked.path()).unwrap();
            assert!(found.iter().all(|model| model.folder.join(MANIFEST_FILE).is_file()));
            let name = |model: &FoundModel| (model.manifest.name.to_string(), model.is_built_in);
            found.iter().map(name).collect::<Vec<_>>()
        };
        let all = found(&settings, &[], &[], &[]);
        assert!(all.contains(&("image-quality".to_owned(), true)), "{all:?}");

        put(dir.path(), "mine", "{file: w.onnx}");
        let mine = ("mine".to_owned(), false);
        let named = [dir.path().join("mine")];
        assert_eq!(found(&settings, &named, &[], &[]), std::slice::from_ref(&mine));
        let quality = ("image-quality".to_owned(), true);
        let both = [quality, mine.clone()];
        assert_eq!(found(&settings, &named, &["image-quality"], &[]), both);
        assert_eq!(found(&settings, &named, &[], &["photo=mine,image-quality"]), both);

        // One of the same name in a folder goes before it.
        put(&dir.path().join("workers"), "image-quality", "{file: w.onnx}");
        let theirs = ("image-quality".to_owned(), false);
        assert_eq!(found(&settings, &named, &["image-quality"], &[]), [theirs, mine]);
    }

    #[test]
    fn an_operator_gets_compiled_in_models_by_their_names_alone() {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = Settings::default();
        settings.models.dirs = vec![dir.path().join("workers")];
        settings.models.groups = vec!["photo=image-quality,embedded-text".parse().unwrap()];
        let find = |settings: &Settings, wanted: &[&str]| {
            let wanted: Vec<ModelName> = wanted.iter().map(|name| name.parse().unwrap()).collect();
            let found = find_named(settings, &[], &wanted, dir.path());
            found.map(|found| names(&found).into_iter().map(str::to_owned).collect::<Vec<_>>())
        };
        assert!(find(&settings, &[]).unwrap().is_empty(), "nobody named one");
        assert_eq!(find(&settings, &["image-quality"]).unwrap(), ["image-quality"]);
        put(&dir.path().join("workers"), "mine", "{file: w.onnx}");
        assert_eq!(find(&settings, &[]).unwrap(), ["mine"]);
        assert_eq!(find(&settings, &["image-quality"]).unwrap(), ["image-quality"]);
        let both = ["image-quality", "mine"];
        assert_eq!(find(&settings, &both).unwrap(), both);
        let error = find(&settings, &["no-such-model"]).unwrap_err().to_string();
        assert!(error.contains("no model `no-such-model`"), "{error}");
    }

    #[test]
    fn what_cannot_run_is_said() {
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), "good", "{file: w.onnx}");
        put(dir.path(), "broken", "{fil: w.onnx}");
        let dirs = [dir.path().to_owned()];
        let good = ["good".parse().unwrap()];
        assert!(find(&dirs, &[], &[]).unwrap_err().to_string().contains("model.yaml:3"));
        let found = find(&dirs, &[], &good).unwrap();
        assert_eq!(names(&found), ["good"]);
        let error = choose(found, &["bad".parse().unwrap()], dir.path()).unwrap_err();
        assert!(error.to_string().contains("no model `bad`; found: good"), "{error}");
        let none = find(&[], &[dir.path().join("good/none")], &[]).unwrap_err();
        assert!(none.to_string().starts_with("no model.yaml in "), "{none}");
    }
}
