//! Several models in one worker, and models that move from one worker to another.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};

use crate::harness::{Api, Home, MODEL, Process, image, model_dir, until};

const TWIN: &str = "mean-twin";

/// The usual model under another name.
fn twin_dir(home: &Home) -> PathBuf {
    let folder = home.path().join(TWIN);
    fs::create_dir_all(&folder).expect("the folder can be made");
    let manifest = fs::read_to_string(model_dir().join("model.yaml")).expect("the model has one");
    let manifest = manifest.replace(MODEL, TWIN);
    fs::write(folder.join("model.yaml"), manifest).expect("it can be written");
    fs::copy(model_dir().join("means.onnx"), folder.join("means.onnx")).expect("it can be copied");
    folder
}

fn text(path: PathBuf) -> String {
    path.into_os_string().into_string().expect("the path is plain text")
}

/// Starts the worker `name` of the usual model and its twin, and waits until it is registered.
async fn work_together(home: &Home, name: &str) -> Process {
    let (usual, twin) = (text(model_dir()), text(twin_dir(home)));
    let worker = home.start(home.flota(&["worker", &usual, &twin, "--name", name]), name);
    served_by(&home.api(), name).await;
    worker
}

/// Waits until a live worker `name` serves both models.
async fn served_by(api: &Api, name: &str) {
    until(&format!("the worker {name} to serve both models"), || async {
        if !api.is_ready().await {
            return None;
        }
        let models = api.get("/v1/models").await.1["models"].as_array()?.clone();
        let is_served = |model: &&Value| model["worker"] == name && model["workers_alive"] == 1;
        (models.iter().filter(is_served).count() == 2).then_some(())
    })
    .await;
}

async fn submit(api: &Api, count: u32) -> String {
    let mut images = Vec::new();
    for n in 0..count {
        images.push(json!({ "url": api.upload(image(n)).await }));
    }
    let body = json!({ "images": images, "models": [MODEL, TWIN] });
    let (_, answer) = api.post("/v1/requests", &body).await;
    answer["id"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

#[tokio::test]
async fn models_of_a_group_share_a_worker_its_fetches_and_its_decodes() {
    let home = Home::new();
    let (usual, twin) = (text(model_dir()), text(twin_dir(&home)));
    let group = format!("photo={TWIN},{MODEL}");
    let args = ["up", "--model-dir", &usual, "--model-dir", &twin, "--group", &group];
    let mut fleet = home.start(home.flota(&args), "up");
    let api = home.api();
    served_by(&api, "photo").await;
    let request = submit(&api, 11).await;
    let finished = api.finished(&request).await;
    assert_eq!(finished["counts"]["succeeded"], 22, "{finished}");
    let outcomes = api.outcomes(&request).await;
    let outcomes: Vec<&Value> = outcomes.values().collect();
    let is_shared =
        |pair: &&[&Value]| pair[0]["timings"]["fetch_ms"] == pair[1]["timings"]["fetch_ms"];
    assert!(outcomes.chunks(2).all(|pair| is_shared(&pair)), "{outcomes:?}");
    fleet.terminate();
    assert!(fleet.ended().await.success(), "{}", fleet.log());
}

#[tokio::test]
async fn models_that_move_between_workers_lose_no_task() {
    let home = Home::new();
    let server = home.serve().await;
    let api = home.api();
    // Accepted for one worker, done by the next, again and again.
    let mut requests = Vec::new();
    for name in ["first", "second", "third"] {
        let mut worker = work_together(&home, name).await;
        worker.kill();
        requests.push(submit(&api, 15).await);
    }
    let _usual = home.work();
    let _twin = home.start(home.flota(&["worker", &text(twin_dir(&home))]), TWIN);
    for name in [MODEL, TWIN] {
        until(&format!("{name} to have its own worker"), || async {
            let models = api.get("/v1/models").await.1["models"].as_array()?.clone();
            models
                .iter()
                .any(|model| model["name"] == name && model["worker"] == name)
                .then_some(())
        })
        .await;
    }
    drop(server);
    let _server = home.serve().await;
    for request in &requests {
        let finished = api.finished(request).await;
        assert_eq!(finished["counts"]["succeeded"], 30, "{finished}");
    }
}

#[tokio::test]
async fn a_group_that_cannot_be_is_said_before_anything_starts() {
    let home = Home::new();
    let (usual, twin) = (text(model_dir()), text(twin_dir(&home)));
    let both = ["--model-dir", &usual, "--model-dir", &twin];
    let refused = |args: &[&str]| {
        let output = home.flota(args).output().expect("the executable was built with this test");
        assert!(!output.status.success());
        String::from_utf8(output.stderr).expect("it is plain text")
    };
    let typo = refused(&[&["up", "--group", "photo=mean-colour"], &both[..]].concat());
    assert!(typo.contains("`photo` names an unknown model `mean-colour`"), "{typo}");
    let taken = format!("{TWIN}={MODEL}");
    let taken = refused(&[&["up", "--group", &taken], &both[..]].concat());
    assert!(taken.contains("has the name of a model that is not in it"), "{taken}");
    let nameless = refused(&["worker", &usual, &twin]);
    assert!(nameless.contains("--name NAME"), "{nameless}");
    let twice = refused(&["worker", &usual, &usual, "--name", "photo"]);
    assert!(twice.contains("given twice"), "{twice}");
}
