//! The house style, as far as a program can see it.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use cargo_metadata::MetadataCommand;
use walkdir::{DirEntry, WalkDir};

use crate::harness::project_dir;

/// Most lines of a file of Rust, its tests included.
const MAX_LINES: usize = 500;
/// Fewest lines of Rust in a crate under `crates/`.
const MIN_CRATE_LINES: usize = 300;
/// Largest file in bytes.
const MAX_FILE_BYTES: u64 = 1024 * 1024;
/// Files that may be larger: weights that are committed.
const LARGE_FILES: &[&str] = &[];
/// Folders and modules that say nothing of what is in them.
const EMPTY_NAMES: [&str; 8] =
    ["utils", "util", "common", "helpers", "helper", "manager", "misc", "shared"];
/// What is not ours to keep tidy.
const NOT_OURS: [&str; 6] =
    ["target", ".git", "flota-data", "__pycache__", ".venv", "node_modules"];

#[test]
fn no_file_of_rust_is_longer_than_a_reader_bears() {
    let long = rust_files().into_iter().filter(|path| line_count(path) > MAX_LINES);
    assert_none(long, "have more than 500 lines: split them by idea");
}

#[test]
fn no_crate_is_dust() {
    let crates = fs::read_dir(project_dir().join("crates")).expect("there are crates");
    for folder in crates.map(|entry| entry.expect("it can be read").path()) {
        let sources = files_under(&folder.join("src")).into_iter().filter(|path| is_rust(path));
        let lines: usize = sources.map(|path| line_count(&path)).sum();
        assert!(lines >= MIN_CRATE_LINES, "{} has only {lines} lines", folder.display());
    }
}

#[test]
fn nothing_is_unwrapped_outside_tests() {
    let mut places = Vec::new();
    for path in rust_files() {
        if is_test(&path) {
            continue;
        }
        let text = fs::read_to_string(&path).expect("source is text");
        let is_of_tests =
            |part: &&str| part.starts_with("mod tests") || part.starts_with("pub(crate) mod tests");
        let parts = text.split("#[cfg(test)]\n");
        let code: Vec<&str> = parts.take_while(|part| !is_of_tests(part)).collect();
        let code = code.join("#[cfg(test)]\n");
        let lines = code.lines().enumerate().filter(|(_, line)| line.contains(".unwrap()"));
        places.extend(lines.map(|(n, _)| format!("{}:{}", inside(&path), n + 1)));
    }
    assert!(places.is_empty(), "say by `expect` why it cannot happen: {places:#?}");
}

#[test]
fn names_of_files_and_folders_say_what_is_in_them() {
    let named = |path: &PathBuf| {
        let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        EMPTY_NAMES.contains(&name)
    };
    let folders = walk(&project_dir()).filter(|entry| entry.file_type().is_dir());
    let all = folders.map(DirEntry::into_path).chain(rust_files());
    assert_none(all.filter(named), "say nothing of what is in them: name them by their idea");
}

#[test]
fn every_metric_is_described() {
    let sources = rust_files().into_iter().filter(|path| inside(path).starts_with("crates/"));
    let text = sources.filter(|path| !is_test(path)).map(fs::read_to_string);
    let text = text.collect::<Result<Vec<_>, _>>().expect("source is text").concat();
    let names = |before: &str| {
        let after = text.split(before).skip(1);
        let names =
            after.filter_map(|rest| rest.trim_start().strip_prefix("\"flota_")?.split('"').next());
        names.map(|name| format!("flota_{name}")).collect::<BTreeSet<_>>()
    };
    let all = |befores: &[&str]| befores.iter().flat_map(|before| names(before)).collect();
    let used: BTreeSet<String> = all(&["counter!(", "gauge!(", "histogram!("]);
    let described: BTreeSet<String> =
        all(&["Metric::counter(", "Metric::gauge(", "Metric::histogram("]);
    let missing: Vec<_> = used.difference(&described).collect();
    assert!(!used.is_empty() && missing.is_empty(), "have no help text: {missing:?}");
}

#[test]
fn the_rust_that_the_readme_asks_for_is_the_one_that_is_needed() {
    let host = Command::new("rustc").arg("-vV").output().expect("cargo has a rustc beside it");
    let host = String::from_utf8(host.stdout).expect("it is text");
    let host =
        host.lines().find_map(|line| line.strip_prefix("host: ")).expect("rustc says its host");
    let options = ["--offline", "--filter-platform", host].map(ToOwned::to_owned);
    let mut command = MetadataCommand::new();
    let metadata = command.current_dir(project_dir()).other_options(options).exec();
    let metadata = metadata.expect("what the tests were built of is there");
    let members = metadata.workspace_packages();
    let ours = members[0].rust_version.clone().expect("Cargo.toml has a rust-version");
    assert!(members.iter().all(|package| package.rust_version.as_ref() == Some(&ours)));
    let readme = fs::read_to_string(project_dir().join("README.md")).expect("there is one");
    let wanted = format!("Rust {}.{} or later", ours.major, ours.minor);
    assert!(readme.contains(&wanted), "README.md does not say `{wanted}`");
    let later =
        metadata.packages.iter().filter(|package| package.rust_version > Some(ours.clone()));
    let later: Vec<_> = later.map(|package| (&package.name, &package.rust_version)).collect();
    assert!(later.is_empty(), "need a later Rust than Cargo.toml says: {later:?}");
}

#[test]
fn licences_stand_beside_the_code() {
    for file in ["LICENSE-MIT", "LICENSE-APACHE"] {
        assert!(project_dir().join(file).is_file(), "{file} is missing");
    }
}

#[test]
fn no_large_file_is_kept() {
    let is_large = |path: &PathBuf| {
        let size_bytes = path.metadata().expect("it can be read").len();
        size_bytes > MAX_FILE_BYTES && !LARGE_FILES.contains(&inside(path).as_str())
    };
    let large = files_under(&project_dir()).into_iter().filter(is_large);
    assert_none(large, "are larger than 1 MiB: fetch them, or list them in LARGE_FILES");
}

#[test]
fn no_file_names_a_place_on_one_machine() {
    // Joined here, so that this file does not find itself.
    let places = ["root", "home", "Users", "work"].map(|folder| format!("/{folder}/"));
    let starts = ['"', '\'', ' ', '`', '=', '(', ':'];
    let names_one = |path: &PathBuf| {
        let Ok(text) = fs::read_to_string(path) else { return false };
        starts
            .iter()
            .any(|start| places.iter().any(|place| text.contains(&format!("{start}{place}"))))
    };
    let naming = files_under(&project_dir()).into_iter().filter(names_one);
    assert_none(naming, "name a folder of somebody's machine");
}

/// Words of our own that gave way to the field's, with what stands for them. A file that must read what an earlier
/// version wrote, or refuse it by name, is listed with the word.
const RETIRED: &[(&str, &str, &[&str])] = &[
    ("bell", "notification", &["workers/image-quality/train/net.py"]),
    ("crash net", "dead-letter queue", &[]),
    ("crash_net", "dlq", &[]),
    ("crash_nets", "dlq", &[]),
    ("crash nets", "dead-letter queues", &[]),
    ("crash_nets_interval_ms", "a constant", &["crates/flota-platform/src/settings/schema.rs"]),
    ("calibrate_ms", "autotune_ms", &["crates/flota-platform/src/settings/schema.rs"]),
    ("decided_at", "resolved_at", &[]),
    ("decided_by", "resolved_by", &[]),
    ("doubtful", "warning", &[]),
    ("found out", "isolated, or found", &[]),
    ("give_back", "release", &[]),
    ("given back", "released", &[]),
    ("in hand", "in flight", &[]),
    ("in_hand", "in_flight", &["crates/flota-core/src/replay.rs"]),
    ("intake", "submission", &[]),
    ("keep_graphs", "cache_graphs", &["crates/flota-platform/src/settings/schema.rs"]),
    ("keeper", "supervisor", &[]),
    ("kept graph", "optimized-graph cache", &[]),
    (
        "lane",
        "priority",
        &[
            "crates/flota-core/src/request.rs",
            "crates/flota-core/src/subject.rs",
            "crates/flota-core/src/wire.rs",
        ],
    ),
    ("lest", "so that … not", &[]),
    ("life_ms", "heartbeat_ms", &["crates/flota-platform/src/settings/schema.rs"]),
    ("line of life", "heartbeat", &[]),
    ("lines of life", "heartbeats", &[]),
    (
        "lost_after_ms",
        "time_out_after_ms",
        &[
            "crates/flota-platform/src/settings/schema.rs",
            "crates/flota-platform/tests/settings.rs",
        ],
    ),
    ("made images", "generated images", &[]),
    ("made pictures", "generated images", &[]),
    ("outbox", "batching sender", &[]),
    ("patience", "linger", &[]),
    ("patience_ms", "a constant", &["crates/flota-platform/src/settings/schema.rs"]),
    ("put away", "dead-lettered", &[]),
    ("rung", "notified", &[]),
    ("settle", "acknowledge", &[]),
    ("settles", "acknowledges", &[]),
    ("suspect", "isolated", &[]),
    ("suspects", "isolated", &[]),
    ("whoever", "anyone who", &[]),
];

/// Files of which words are held to [`RETIRED`]. The changelog says what things were called before.
fn is_worded(path: &Path) -> bool {
    let endings = ["md", "py", "rs", "sh", "toml", "yaml", "yml"];
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    endings.contains(&ending) && !["CHANGELOG.md", "tests/tidy.rs"].contains(&inside(path).as_str())
}

#[test]
fn retired_words_stay_away() {
    let mut places = Vec::new();
    for path in files_under(&project_dir()).into_iter().filter(|path| is_worded(path)) {
        let text = fs::read_to_string(&path).expect("it is text").to_lowercase();
        for (n, line) in text.lines().enumerate() {
            let found = RETIRED.iter().filter(|(word, _, _)| has_word(line, word));
            let found = found.filter(|(_, _, files)| !files.contains(&inside(&path).as_str()));
            places.extend(found.map(|(word, instead, _)| {
                format!("{}:{}: `{word}`: write `{instead}`", inside(&path), n + 1)
            }));
        }
    }
    assert!(places.is_empty(), "{places:#?}");
}

/// Whether `word` stands in `line` by itself, not as a part of another one.
fn has_word(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + word.len()..]);
        !before.ends_with(is_part) && !after.starts_with(is_part)
    })
}

fn assert_none(paths: impl Iterator<Item = PathBuf>, what: &str) {
    let names: Vec<_> = paths.map(|path| inside(&path)).collect();
    assert!(names.is_empty(), "these {what}: {names:#?}");
}

fn rust_files() -> Vec<PathBuf> {
    files_under(&project_dir()).into_iter().filter(|path| is_rust(path)).collect()
}

fn files_under(folder: &Path) -> Vec<PathBuf> {
    let files = walk(folder).filter(|entry| entry.file_type().is_file());
    files.map(DirEntry::into_path).collect()
}

fn walk(folder: &Path) -> impl Iterator<Item = DirEntry> + use<> {
    let is_ours = |entry: &DirEntry| !NOT_OURS.iter().any(|name| entry.file_name() == *name);
    let entries = WalkDir::new(folder).sort_by_file_name().into_iter().filter_entry(is_ours);
    entries.map(|entry| entry.expect("it can be read"))
}

fn is_rust(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "rs")
}

fn is_test(path: &Path) -> bool {
    let inside = inside(path);
    let folders = ["tests/", "benches/", "examples/"];
    let is_in_one =
        |folder: &&str| inside.starts_with(*folder) || inside.contains(&format!("/{folder}"));
    folders.iter().any(is_in_one)
        || inside.ends_with("/tests.rs")
        || inside.ends_with("_tests.rs")
        || inside.ends_with("/testing.rs")
}

fn inside(path: &Path) -> String {
    let inside = path.strip_prefix(project_dir()).unwrap_or(path);
    inside.display().to_string()
}

fn line_count(path: &Path) -> usize {
    fs::read_to_string(path).expect("source is text").lines().count()
}
