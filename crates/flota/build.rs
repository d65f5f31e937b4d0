//! Compiles the models of `workers/` and the example images into the command: it lists their files for
//! `src/built_in.rs`, so that a model stays one new folder.

use std::{
    env, fmt, fs, io,
    path::{Path, PathBuf},
};

/// What makes a folder of `workers/` a model.
const MANIFEST: &str = "model.yaml";
/// What stands in a model's folder beside what is served.
const NOT_SERVED: [&str; 6] = ["Cargo.toml", "golden", "plots", "src", "target", "train"];

/// A file to compile in: its path in its folder, with `/`, and where it is.
type Entry = (String, PathBuf);

fn main() {
    let project = PathBuf::from(variable("CARGO_MANIFEST_DIR")).join("../..");
    let (workers, images) = (project.join("workers"), project.join("examples/images"));
    let models = listed(&workers, is_model).into_iter().map(|(name, folder)| {
        let mut files = Vec::new();
        collect(&folder, "", &mut files);
        (name, files)
    });
    let models: Vec<(String, Vec<Entry>)> = models.collect();
    let images = listed(&images, Path::is_file);
    let out = PathBuf::from(variable("OUT_DIR")).join("built_in.rs");
    fs::write(&out, source(&models, &images).expect("text takes what is written"))
        .unwrap_or_else(|error| panic!("cannot write {}: {error}", out.display()));
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"))
}

fn is_model(path: &Path) -> bool {
    path.join(MANIFEST).is_file()
}

/// The entries of `folder` that are not hidden, by name. Where there is no such folder, as in a container
/// that leaves it out, the command is built without.
fn listed(folder: &Path, is_wanted: impl Fn(&Path) -> bool) -> Vec<Entry> {
    println!("cargo::rerun-if-changed={}", folder.display());
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            println!(
                "cargo::warning={} is not there, the command is built without",
                folder.display()
            );
            return Vec::new();
        }
        Err(error) => panic!("cannot read {}: {error}", folder.display()),
    };
    let entries = entries.map(|entry| entry.expect("an entry of a folder can be read"));
    let named = entries.map(|entry| {
        let name = entry.file_name().into_string().expect("names in the project are UTF-8");
        (name, entry.path())
    });
    let mut wanted: Vec<Entry> =
        named.filter(|(name, path)| !name.starts_with('.') && is_wanted(path)).collect();
    wanted.sort();
    wanted
}

/// Adds the files of a model's `folder` that are served.
fn collect(folder: &Path, inside: &str, files: &mut Vec<Entry>) {
    let is_served = |name: &str| {
        let is_left_out = inside.is_empty() && NOT_SERVED.contains(&name);
        !is_left_out && !name.ends_with(".md") && !name.starts_with("__")
    };
    for (name, path) in listed(folder, |_| true) {
        match path.is_dir() {
            _ if !is_served(&name) => {}
            true => collect(&path, &format!("{inside}{name}/"), files),
            false => files.push((format!("{inside}{name}"), path)),
        }
    }
}

fn source(models: &[(String, Vec<Entry>)], images: &[Entry]) -> Result<String, fmt::Error> {
    use fmt::Write;
    let mut text = String::new();
    let list = |text: &mut String, files: &[Entry]| {
        files.iter().try_for_each(|(name, path)| {
            let path = path.canonicalize().unwrap_or_else(|_| path.clone());
            writeln!(text, "    ({name:?}, include_bytes!({path:?})),")
        })
    };
    writeln!(text, "const MODELS: &[(&str, &[File])] = &[")?;
    for (name, files) in models {
        writeln!(text, "  ({name:?}, &[")?;
        list(&mut text, files)?;
        writeln!(text, "  ]),")?;
    }
    writeln!(text, "];\nconst IMAGES: &[File] = &[")?;
    list(&mut text, images)?;
    writeln!(text, "];")?;
    Ok(text)
}
