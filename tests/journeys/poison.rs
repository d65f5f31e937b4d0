use std::{fs, path::Path};

use tempfile::TempDir;

use crate::harness::{Home, Process, Receiver, image, image_of, model_dir, until};

/// How often a task may be begun in this journey.
const ATTEMPTS: u64 = 3;
/// Which of the images is the poison, and how wide it is: no other is.
const POISON: u64 = 13;
const POISON_WIDTH: u32 = 64;

#[tokio::test]
async fn an_image_that_crashes_its_worker_is_found_and_its_mates_succeed() {
    let home = Home::new().with("FLOTA__WORKER__ATTEMPTS", &ATTEMPTS.to_string());
    let receiver = Receiver::start().await;
    let _server = home.serve().await;
    receiver.trust(&home.secret());
    let folder = poisoned_model();
    let mut worker = poison_worker(&home, &folder);
    home.model_known().await;
    let api = home.api();
    let mut addresses = Vec::new();
    for n in 0..32 {
        let is_poison = u64::from(n) == POISON;
        let picture = if is_poison { image_of(POISON_WIDTH, n) } else { image(n) };
        addresses.push(api.upload(picture).await);
    }
    let request = api.submit(&addresses, &receiver.url()).await;
    let finished = until("the request to finish, worker after worker", || {
        if !worker.is_running() {
            worker = poison_worker(&home, &folder);
        }
        let (api, request) = (api.clone(), request.clone());
        async move {
            let request = api.request(&request).await;
            (request["terminal"] == true).then_some(request)
        }
    })
    .await;
    assert_eq!(finished["status"], "partially_failed");
    assert_eq!(finished["counts"]["succeeded"], 31, "{finished}");
    let outcome = &api.outcomes(&request).await[&POISON];
    assert_eq!(outcome["code"], "WORKER_CRASHED", "{outcome}");
    assert_eq!(outcome["attempts"], ATTEMPTS, "{outcome}");
    receiver.callback_of(&request).await;
    worker.kill();

    let (_, page) = api.get("/v1/dead-letters").await;
    let letters = page["dead_letters"].as_array().expect("a page has dead letters").clone();
    assert_eq!(letters.len(), 1, "{page}");
    assert_eq!(letters[0]["reason"], "WORKER_CRASHED");
    let id = letters[0]["id"].as_str().expect("a dead letter has an id");
    let (status, answer) = api.post_text(&format!("/v1/dead-letters/{id}/replay"), &[], "").await;
    assert!(status.is_success(), "{answer}");

    // The cure is a version without the fault.
    let _worker = home.work();
    let request = until("the new round to finish", || async {
        let now = api.request(&request).await;
        (now["terminal"] == true && now["rounds"][1]["finished_at"].is_string()).then_some(now)
    })
    .await;
    assert_eq!(request["status"], "succeeded", "{request}");
    let id = request["id"].as_str().expect("a request has an id");
    until("the callback of the new round", || async {
        (receiver.ids_of(id).len() == 2).then_some(())
    })
    .await;
    let bare = id.trim_start_matches("req_");
    let wanted = [format!("msg_{bare}-1"), format!("msg_{bare}-2")];
    assert_eq!(receiver.ids_of(id).into_iter().collect::<Vec<_>>(), wanted);
}

/// The model of the journeys in a version that has code.
fn poisoned_model() -> TempDir {
    let folder = TempDir::new().expect("there is a temporary folder");
    for file in ["model.yaml", "means.onnx"] {
        let bytes = fs::read(model_dir().join(file)).expect("the model has it");
        fs::write(folder.path().join(file), bytes).expect("it can be written");
    }
    let manifest = folder.path().join("model.yaml");
    let text = fs::read_to_string(&manifest).expect("it was written");
    let version = "version: \"1\"";
    assert!(text.contains(version), "{text}");
    let poisoned = text.replace(version, "version: 1-poisoned\ncode: {revision: 1}");
    fs::write(manifest, poisoned).expect("it can be written");
    folder
}

fn poison_worker(home: &Home, folder: &TempDir) -> Process {
    let folder: &Path = folder.path();
    let folder = folder.to_str().expect("a temporary path is plain text");
    let mut command = home.command(env!("CARGO_BIN_EXE_poison_worker"), &[folder]);
    command.env("POISON_WIDTH", POISON_WIDTH.to_string());
    home.start(command, "poison-worker")
}
