//! The walls between the rooms: who may depend on whom, and that a new model is one new folder.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};
use flota_core::Sha256;
use walkdir::WalkDir;

use crate::harness::project_dir;

/// Which of our crates a crate may use. The domain, `flota-core`, may be known everywhere but in
/// a worker's thin crate.
const MAY_DEPEND_ON: &[(&str, &[&str])] = &[
    ("flota-core", &[]),
    ("flota-api", &["flota-core"]),
    ("flota-client", &["flota-api", "flota-core"]),
    ("flota-engine", &["flota-core"]),
    ("flota-memory", &["flota-core"]),
    ("flota-platform", &["flota-core"]),
    ("flota-deploy", &["flota-core", "flota-platform"]),
    ("flota-worker", &["flota-core", "flota-engine", "flota-platform"]),
    ("flota-server", &["flota-api", "flota-core", "flota-platform"]),
    // The command has the code of our own models, too.
    (
        "flota",
        &[
            "flota-client",
            "flota-core",
            "flota-deploy",
            "flota-image-quality",
            "flota-platform",
            "flota-server",
            "flota-worker",
        ],
    ),
];
/// What the thin crate of a model may use.
const A_MODEL_MAY_DEPEND_ON: &[&str] = &["flota-engine", "flota-worker"];
/// Crates of others that only some rooms may know; a `*` at the end stands for any ending.
const ENTERS_ONLY: &[(&str, &[&str])] = &[
    ("aws-*", &["flota-deploy", "flota-platform"]),
    ("axum", &["flota", "flota-server", "flota-worker"]),
    ("config", &["flota-platform"]),
    ("fax", &["flota-engine"]),
    ("image", &["flota-engine"]),
    ("moxcms", &["flota-engine"]),
    ("reqwest", &["flota", "flota-client", "flota-platform", "flota-worker"]),
    ("jpeg-decoder", &["flota-engine"]),
    ("ort", &["flota-engine"]),
    ("rusqlite", &["flota-platform"]),
    ("tract-onnx", &["flota-engine"]),
    ("turbojpeg", &["flota-engine"]),
    ("weezl", &["flota-engine"]),
    ("zune-jpeg", &["flota-engine"]),
];
/// Crates of others by which the features `aws` and `embedded` of `flota-platform` reach a store.
const OF_A_STORE: &[&str] = &["aws-config", "aws-sdk-*", "libsqlite3-sys", "rusqlite"];
/// The model folder that is copied, and what the copy is called.
const ORIGINAL: &str = "image-quality";
const COPY: &str = "copied-model";
/// The folder of the copied project in which its folders stand. Cargo names what it builds by the
/// path from the workspace's root: at equal paths, the copy and the project would overwrite each
/// other in the target folder that they share.
const INSIDE: &str = "project";

#[test]
fn every_crate_depends_only_on_what_it_may() {
    let metadata = metadata(&project_dir());
    let ours: BTreeSet<_> = metadata.workspace_packages().iter().map(|p| p.name.as_str()).collect();
    let rules: BTreeMap<_, _> = MAY_DEPEND_ON.iter().copied().collect();
    for package in metadata.workspace_packages() {
        let allowed = if is_under(package, "workers") {
            A_MODEL_MAY_DEPEND_ON
        } else if is_under(package, "crates") {
            rules.get(package.name.as_str()).unwrap_or_else(|| {
                panic!("{} has no rule: say in MAY_DEPEND_ON what it may use", package.name)
            })
        } else {
            continue;
        };
        for dependency in dependencies(package).filter(|name| ours.contains(name)) {
            assert!(allowed.contains(&dependency), "{} may not use {dependency}", package.name);
        }
    }
}

#[test]
fn heavy_crates_of_others_stay_in_their_rooms() {
    for package in metadata(&project_dir()).workspace_packages() {
        if !is_under(package, "crates") && !is_under(package, "workers") {
            continue;
        }
        for (name, rooms) in ENTERS_ONLY {
            let uses = dependencies(package).any(|dependency| is_named(dependency, name));
            let may = rooms.contains(&package.name.as_str());
            assert!(!uses || may, "{} may not use {name}", package.name);
        }
    }
}

#[test]
fn domain_and_server_are_tested_without_the_adapters_of_a_store() {
    for package in ["flota-core", "flota-memory", "flota-server"] {
        let tree = Command::new(env!("CARGO"))
            .args(["tree", "--offline", "--locked", "--edges", "normal,build,dev"])
            .args(["--prefix", "none", "--package", package])
            .current_dir(project_dir())
            .output()
            .expect("cargo runs this test and can be run by it");
        assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
        let tree = String::from_utf8_lossy(&tree.stdout);
        assert!(tree.starts_with(package), "{tree}");
        let names = tree.lines().filter_map(|line| line.split(' ').next());
        let heavy: BTreeSet<_> =
            names.filter(|name| OF_A_STORE.iter().any(|of| is_named(name, of))).collect();
        assert!(heavy.is_empty(), "{package} compiles {heavy:?}");
    }
}

#[test]
fn a_copied_worker_folder_builds_and_nothing_else_changes() {
    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join("copied-worker");
    fs::remove_dir_all(&copy).or_else(unless_absent).expect("the copy of before can be removed");
    copy_project(&copy).expect("the project can be copied");
    let workers = copy.join(INSIDE).join("workers");
    let (from, to) = (workers.join(ORIGINAL), workers.join(COPY));
    copy_folder(&from, &to).expect("a model folder can be copied");
    for file in ["Cargo.toml", "model.yaml", "src/main.rs"] {
        let text = fs::read_to_string(to.join(file)).expect("a model folder has it");
        // In Rust a crate's name has underscores.
        let in_rust = [ORIGINAL, COPY].map(|name| name.replace('-', "_"));
        let text = text.replace(ORIGINAL, COPY).replace(&in_rust[0], &in_rust[1]);
        fs::write(to.join(file), text).expect("the copy can be written");
    }
    let before = hashes(&copy);
    // As the tests themselves are built, so that nothing outside the copy is built once more; the engine takes
    // long to be optimised, and is not run. Two binaries have the new folder in them: its own, and the command.
    let worker = format!("flota-{COPY}");
    let build = Command::new(env!("CARGO"))
        .args(["test", "--offline", "--workspace", "--no-run", "--bin", "flota", "--bin", &worker])
        .args(["--config", "profile.dev.package.flota-engine.opt-level=0"])
        .current_dir(&copy)
        .env("CARGO_TARGET_DIR", target_dir())
        .output()
        .expect("cargo runs this test and can be run by it");
    assert!(build.status.success(), "{}", String::from_utf8_lossy(&build.stderr));
    let after = hashes(&copy);
    let changed: Vec<_> = after
        .iter()
        .filter(|(path, hash)| before.get(*path) != Some(hash))
        .map(|(path, _)| path.clone())
        .collect();
    assert_eq!(changed, [PathBuf::from("Cargo.lock")]);
}

fn metadata(root: &Path) -> Metadata {
    let mut command = MetadataCommand::new();
    command.current_dir(root).no_deps().other_options(["--offline".to_owned()]);
    command.exec().expect("cargo can read the workspace")
}

fn dependencies(package: &Package) -> impl Iterator<Item = &str> {
    let counts = |kind| kind != DependencyKind::Development;
    package.dependencies.iter().filter(move |d| counts(d.kind)).map(|d| d.name.as_str())
}

fn is_named(name: &str, pattern: &str) -> bool {
    pattern.strip_suffix('*').map_or(name == pattern, |start| name.starts_with(start))
}

fn is_under(package: &Package, folder: &str) -> bool {
    package.manifest_path.starts_with(project_dir().join(folder))
}

/// The target folder that this test was built into.
fn target_dir() -> PathBuf {
    let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    tmp.parent().expect("it stands in the target folder").to_owned()
}

fn unless_absent(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

fn copy_project(to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    fs::copy(project_dir().join("Cargo.lock"), to.join("Cargo.lock"))?;
    let mut manifest = fs::read_to_string(project_dir().join("Cargo.toml"))?;
    copy_folder(&project_dir().join("examples"), &to.join(INSIDE).join("examples"))?;
    for folder in ["crates", "workers", "tests"] {
        manifest = manifest.replace(&format!("\"{folder}"), &format!("\"{INSIDE}/{folder}"));
        copy_folder(&project_dir().join(folder), &to.join(INSIDE).join(folder))?;
    }
    fs::write(to.join("Cargo.toml"), manifest)
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    for entry in WalkDir::new(from) {
        let entry = entry?;
        let inside = entry.path().strip_prefix(from).expect("a walk stays inside");
        if entry.file_type().is_dir() {
            fs::create_dir_all(to.join(inside))?;
        } else {
            fs::copy(entry.path(), to.join(inside))?;
        }
    }
    Ok(())
}

fn hashes(root: &Path) -> BTreeMap<PathBuf, Sha256> {
    let entries = WalkDir::new(root).into_iter().map(|entry| entry.expect("it can be read"));
    let files = entries.filter(|entry| entry.file_type().is_file());
    let hash = |path: &Path| Sha256::of(&fs::read(path).expect("it can be read"));
    let inside = |path: &Path| path.strip_prefix(root).expect("a walk stays inside").to_owned();
    files.map(|file| (inside(file.path()), hash(file.path()))).collect()
}
