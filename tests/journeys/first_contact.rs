//! The command in an empty folder, as somebody first meets it.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    path::PathBuf,
    process::Command,
};

use flota_core::Manifest;
use serde_json::{Value, json};

use super::command::{interrupt, run, stderr, stdout};
use crate::harness::{Home, project_dir, until};

/// A command that has neither a home folder nor anything else in its folder.
fn alone(home: &Home, args: &[&str]) -> Command {
    let mut command = home.flota(args);
    let folder = home.path().join("empty");
    fs::create_dir_all(&folder).expect("the folder can be made");
    command.current_dir(folder).env("HOME", "/dev/null").env_remove("XDG_CACHE_HOME");
    command.env("XDG_STATE_HOME", "/dev/null");
    command
}

/// The manifests of the models in the repository, all of which are compiled in, by name.
fn manifests() -> Vec<Manifest> {
    let mut manifests: Vec<Manifest> = entries("workers")
        .into_iter()
        .map(|folder| folder.join("model.yaml"))
        .filter_map(|file| Some((fs::read_to_string(&file).ok()?, file)))
        .map(|(text, file)| {
            Manifest::parse(&file.display().to_string(), &text).expect("our manifests are sound")
        })
        .collect();
    manifests.sort_by(|a, b| a.name.cmp(&b.name));
    manifests
}

/// The name and version of one of them, as the command prints them.
fn named(model: &str) -> String {
    let manifests = manifests();
    let manifest = manifests.iter().find(|manifest| manifest.name.as_str() == model);
    let manifest = manifest.unwrap_or_else(|| panic!("{model} is in workers/"));
    format!("{} {}", manifest.name, manifest.version)
}

/// What a folder of the project holds.
fn entries(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(project_dir().join(folder)).expect("the folder is there");
    entries.map(|entry| entry.expect("it can be read").path()).collect()
}

#[tokio::test]
async fn the_demo_works_in_an_empty_folder_and_leaves_it_empty() {
    let home = Home::new();
    let temporary = home.path().join("tmp");
    fs::create_dir(&temporary).expect("the folder can be made");
    let mut command = alone(&home, &["demo"]);
    command.env("TMPDIR", &temporary);
    let output = run(command).await;
    let (shown, said) = (stdout(&output), stderr(&output));
    assert!(output.status.success(), "{said}");
    let all = "--models embedded-text,image-quality,image-category downloads them";
    assert!(said.contains(all), "{said}");
    assert!(shown.starts_with("embedded-text\ttext\tcovered\t"), "{shown}");
    assert!(!shown.contains(['│', '\u{1b}']), "{shown}");
    let images = entries("examples/images");
    for image in &images {
        let name = image.file_name().expect("it is a file").to_string_lossy();
        assert!(shown.contains(&format!("\n{name}\t")), "{name}: {shown}");
    }
    // One of our models has its weights elsewhere.
    let task_count = images.len() * (manifests().len() - 1);
    assert!(shown.contains(&format!("{task_count} succeeded, 0 failed")), "{shown}");
    for folder in [home.path().join("empty"), temporary] {
        let left: Vec<_> = fs::read_dir(&folder).expect("it is there").collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[tokio::test]
async fn up_says_what_to_paste_before_its_workers_are_ready_and_it_works_at_once() {
    let home = Home::new().with("FLOTA__ENGINE__AUTOTUNE_MS", "10");
    // Holding this lock keeps workers from measuring, and so from being ready.
    let calibrations = home.data_dir().join("weights/calibrations");
    fs::create_dir_all(&calibrations).expect("the folder can be made");
    let lock = File::create(calibrations.join("lock")).expect("it can be made");
    lock.lock().expect("nobody holds it");
    let command = alone(&home, &["up", "--models", "image-quality"]);
    let (mut up, output) = home.start_heard(command, "up");
    let mut lines = BufReader::new(output).lines().map(|line| line.expect("it is text"));
    let greeting: Vec<String> =
        lines.by_ref().take_while(|line| !line.starts_with("Ctrl-C")).collect();
    let greeting = greeting.join("\n");
    let between = |start: &str, end: &str| {
        let (_, rest) = greeting.split_once(start).unwrap_or_else(|| panic!("{greeting}"));
        rest.split_once(end).unwrap_or_else(|| panic!("{greeting}")).0.to_owned()
    };
    let quality = named("image-quality");
    assert!(greeting.contains(&format!("models: {quality} (compiled in)")), "{greeting}");

    let api = home.api();
    let (_, known) = api.get("/v1/models").await;
    assert_eq!(known["models"][0]["name"], "image-quality", "it is registered: {known}");
    assert_eq!(known["models"][0]["workers_alive"], 0, "its worker is not ready");
    let folder = between(" submit ", " ");
    assert!(greeting.contains(&format!(" --url http://{} --wait", home.address())), "{greeting}");
    assert!(fs::read_dir(folder).is_ok_and(|images| images.count() > 1), "{greeting}");
    let image = fs::read(between("data-binary @", " ")).expect("the example is there");
    let uploaded = api.upload(image).await;
    let request: Value = serde_json::from_str(&between("-d '", "'")).expect("it is JSON");
    assert_eq!(request["images"][0]["url"], uploaded);
    let http = reqwest::Client::builder().no_proxy().build().expect("the options are fixed");
    let url = format!("http://{}/v1/requests", home.address());
    let answer = http.post(&url).json(&request).send().await.expect("the server answers");
    assert_eq!(answer.status(), 202);
    let answer: Value = answer.json().await.expect("it is JSON");

    drop(lock);
    let ready = tokio::task::spawn_blocking(move || lines.next()).await.expect("it does not panic");
    let ready = ready.expect("a worker is ready");
    let wanted = format!("worker image-quality is ready: {quality} on tract, ");
    assert!(ready.starts_with(&wanted) && ready.contains("session"), "{ready}");
    let id = answer["id"].as_str().expect("a request has an id");
    until("the request to be finished", async || {
        let state =
            http.get(format!("{url}/{id}")).send().await.ok()?.json::<Value>().await.ok()?;
        (state["status"] == "succeeded").then_some(())
    })
    .await;
    interrupt(up.id());
    assert!(up.ended().await.success(), "{}", up.log());
}

#[tokio::test]
async fn compiled_in_models_go_by_their_names() {
    let home = Home::new();
    let checked = run(alone(&home, &["model", "check", "image-quality", "--json"])).await;
    assert!(checked.status.success(), "{}", stderr(&checked));
    let report: Value = serde_json::from_str(&stdout(&checked)).expect("it is JSON");
    assert_eq!(report["model"], "image-quality");
    let checked = run(alone(&home, &["model", "check", "image-quality"])).await;
    let shown = stdout(&checked);
    assert!(shown.contains("generated images: 16, no mistake found\n"), "{shown}");
    assert_eq!(shown.lines().last(), Some("ok"), "{shown}");
    let unknown = run(alone(&home, &["demo", "--models", "no-such-model"])).await;
    let said = stderr(&unknown);
    let names: Vec<_> = manifests().iter().map(|manifest| manifest.name.to_string()).collect();
    assert!(said.contains(&format!("found: {}", names.join(", "))), "{said}");
    let unknown = run(alone(&home, &["up", "--models", "no-such-model"])).await;
    assert_eq!(unknown.status.code(), Some(1));
    assert!(!home.data_dir().exists(), "nothing is unpacked for a name that is not known");
    let left: Vec<_> = fs::read_dir(home.path().join("empty")).expect("it is there").collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn an_operator_makes_a_compiled_in_model_known_by_its_name_alone() {
    let home = Home::new();
    let provisioned = async |args: &[&str]| -> Value {
        let output = run(alone(&home, &[&["provision", "--format", "json"], args].concat())).await;
        assert!(output.status.success(), "{}", stderr(&output));
        let report: Value = serde_json::from_str(&stdout(&output)).expect("it is JSON");
        report["models"].clone()
    };
    assert_eq!(provisioned(&[]).await, json!([]), "a binary alone makes nothing known");
    let version = named("image-quality");
    let version = version.split_once(' ').expect("a version follows the name").1;
    assert_eq!(
        provisioned(&["--models", "image-quality"]).await,
        json!([{"name": "image-quality", "version": version, "state": "registered"}])
    );
    let doctor = run(alone(&home, &["doctor", "--all"])).await;
    assert!(stderr(&doctor).contains("with --models NAME"), "{}", stderr(&doctor));
    assert!(!stdout(&doctor).contains("model embedded-text"), "{}", stdout(&doctor));
}

#[tokio::test]
async fn every_shell_has_completions() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = run(home.flota(&["completions", shell])).await;
        assert!(output.status.success(), "{shell}: {}", stderr(&output));
        let script = stdout(&output);
        assert!(script.contains("dead-letters") && script.contains("flota"), "{shell}: {script}");
    }
    let other = run(home.flota(&["completions", "csh"])).await;
    assert_eq!(other.status.code(), Some(2));
}
