//! Files that may not grow any more, and databases that are made small.

use reqwest::StatusCode;
use serde_json::json;

use crate::harness::{Home, MODEL, Receiver, image, until};

/// The bit of SIGXFSZ, signal 25, in the masks of `/proc`.
const SIGXFSZ: u64 = 1 << 24;

#[tokio::test]
async fn every_process_ignores_the_signal_of_the_limit_of_file_size() {
    let (home, receiver) = (Home::new(), Receiver::start().await);
    let (server, worker) = home.start_fleet(&receiver).await;
    for process in [&server, &worker] {
        let id = i32::try_from(process.id()).expect("process ids are small");
        let status = procfs::process::Process::new(id).and_then(|process| process.status());
        let ignored = status.expect("the process is there").sigign;
        assert_ne!(ignored & SIGXFSZ, 0, "{ignored:x}: {}", process.log());
    }
}

#[tokio::test]
async fn a_server_whose_files_may_not_grow_says_so_and_goes_on() {
    let (home, receiver) = (Home::new(), Receiver::start().await);
    // So that the model is known; what is submitted here is never looked at.
    drop(home.start_fleet(&receiver).await);
    // Blocks of 512 or 1,024 bytes, as the shell has it.
    let program = home.flota(&[]).get_program().to_string_lossy().into_owned();
    let script = format!("ulimit -f 3000; exec '{program}' serve");
    let mut server = home.start(home.command("sh", &["-c", &script]), "limited");
    let api = home.api();
    until("the server to answer", || async { api.is_ready().await.then_some(()) }).await;
    let small = api.upload(image(1)).await;
    let accepted = api.submit(&[small], &receiver.url()).await;

    // A file of its own.
    let large = "x".repeat(4 << 20);
    let (status, problem) = api.post_text("/v1/images", &[], &large).await;
    assert_eq!(
        (status, &problem["code"]),
        (StatusCode::INSUFFICIENT_STORAGE, &json!("STORAGE_FULL"))
    );
    // The log of the database: requests of a megabyte each, until it may not grow.
    let url = |n: usize| json!({"url": format!("https://images.example/{n}/{}", "x".repeat(950))});
    let large = json!({"images": (0..1000).map(url).collect::<Vec<_>>(), "models": [MODEL]});
    let mut refused = None;
    for _ in 0..20 {
        let (status, answer) = api.post("/v1/requests", &large).await;
        match status {
            StatusCode::ACCEPTED => {}
            _ => {
                refused = Some((status, answer));
                break;
            }
        }
    }
    let (status, problem) = refused.expect("the log grows beyond the limit");
    assert_eq!(
        (status, &problem["code"]),
        (StatusCode::INSUFFICIENT_STORAGE, &json!("STORAGE_FULL"))
    );
    assert!(server.is_running(), "{}", server.log());
    let (status, _) = api.get(&format!("/v1/requests/{accepted}")).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn what_is_old_is_gone_after_a_while_and_the_databases_are_sound() {
    const MONTH: i64 = 31 * 24 * 60 * 60;
    let home = Home::new().with("FLOTA__RETENTION__INTERVAL_MS", "100");
    let receiver = Receiver::start().await;
    let (server, worker) = home.start_fleet(&receiver).await;
    let api = home.api();
    let (old, young) = (image(1), image(2));
    let mut requests = Vec::new();
    for bytes in [&old, &young] {
        let request = api.submit(&[api.upload(bytes.clone()).await], &receiver.url()).await;
        api.finished(&request).await;
        receiver.callback_of(&request).await;
        requests.push(request);
    }
    until("the callbacks to be logged", || async {
        let delivered = api.request(&requests[0]).await["callbacks"][0]["state"] == "delivered";
        delivered.then_some(())
    })
    .await;
    drop((server, worker));

    // As if a month had passed for the first of them.
    let records = rusqlite::Connection::open(home.data_dir().join("records.sqlite"));
    let records = records.expect("the database is there");
    let nanos = MONTH * 1_000_000_000;
    let id = requests[0].trim_start_matches("req_");
    let round = "UPDATE rounds SET finished_at = finished_at - ?1 WHERE hex(request) = upper(?2)";
    assert_eq!(records.execute(round, (nanos, id)), Ok(1));
    let sha256 = flota_core::Sha256::of(&old).to_string();
    let prediction = "UPDATE predictions SET used_at = used_at - ?1 WHERE sha256 = ?2";
    assert_eq!(records.execute(prediction, (nanos, &sha256)), Ok(1));
    drop(records);
    let (folder, name) = sha256.split_at(2);
    let file = home.data_dir().join("images").join(folder).join(name);
    let month = std::time::Duration::from_secs(MONTH.unsigned_abs());
    let aged = std::fs::File::open(&file).expect("it was uploaded");
    aged.set_modified(std::time::SystemTime::now() - month).expect("it is ours");

    let server = home.serve().await;
    until("what is old to be gone", || async {
        let (status, _) = api.get(&format!("/v1/requests/{}", requests[0])).await;
        let is_gone = status == StatusCode::NOT_FOUND && !file.exists();
        (is_gone && api.prediction(&old).await.is_none()).then_some(())
    })
    .await;
    assert_eq!(api.request(&requests[1]).await["status"], "succeeded");
    assert!(api.prediction(&young).await.is_some());
    drop(server);
    for command in [vec!["vacuum"], vec!["doctor", "--all"]] {
        let mut command = home.flota(&command);
        let output = tokio::task::spawn_blocking(move || command.output()).await;
        let output = output.expect("it does not panic").expect("the command can be run");
        assert!(output.status.success(), "{output:?}");
    }
}
