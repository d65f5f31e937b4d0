use flota_core::Sha256;

use crate::harness::{Home, Process, Receiver, image, model_dir, until};

/// How often a task may be begun in this journey.
const ATTEMPTS: u64 = 3;
/// Which of the images is the poison.
const POISON: u64 = 13;

#[tokio::test]
async fn an_image_that_crashes_its_worker_is_found_and_its_mates_succeed() {
    let home = Home::new().with("FLOTA__WORKER__ATTEMPTS", &ATTEMPTS.to_string());
    let receiver = Receiver::start().await;
    let _server = home.serve().await;
    receiver.trust(&home.secret());
    let mut worker = poison_worker(&home);
    home.model_known().await;
    let api = home.api();
    let mut addresses = Vec::new();
    for n in 0..32 {
        addresses.push(api.upload(image(n)).await);
    }
    let request = api.submit(&addresses, &receiver.url()).await;
    let finished = until("the request to finish, worker after worker", || {
        if !worker.is_running() {
            worker = poison_worker(&home);
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

    // The cure is an ordinary worker.
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

fn poison_worker(home: &Home) -> Process {
    let folder = model_dir();
    let folder = folder.to_str().expect("the project's path is plain text");
    let mut command = home.command(env!("CARGO_BIN_EXE_poison_worker"), &[folder]);
    let poison = Sha256::of(&image(u32::try_from(POISON).expect("it is small")));
    command.env("POISON_SHA256", poison.to_string());
    home.start(command, "poison-worker")
}
