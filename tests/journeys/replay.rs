use serde_json::Value;

use super::command::{interrupt, run, stderr, stdout};
use crate::harness::{Home, ImageServer, MODEL, Receiver, until};

const REQUESTS: u32 = 10;
const IMAGES: u32 = 10;
/// Slow enough that the replay can be interrupted in its middle.
const RATE_PER_SECOND: &str = "20";

/// A fleet that gives an image up at the first fault of its host, which it never leaves alone.
fn failing_at_once() -> Home {
    let home = Home::new().with("FLOTA__FETCH__RETRY_FOR_MS", "0");
    home.with("FLOTA__FETCH__BREAKER_FAILURES", "100000")
}

/// A hundred tasks fail, for their images cannot be had; then they can. The server that started the replay
/// goes, and its server is killed half-way: it is finished, and every task runs once more.
#[tokio::test]
async fn a_replay_outlives_who_started_it_and_its_server() {
    let home = failing_at_once();
    let (receiver, images) = (Receiver::start().await, ImageServer::start().await);
    let (mut server, _worker) = home.start_fleet(&receiver).await;
    let api = home.api();
    let mut requests = Vec::new();
    for request in 0..REQUESTS {
        let seeds = request * IMAGES..(request + 1) * IMAGES;
        let addresses: Vec<_> =
            seeds.map(|seed| images.url(&format!("/recovers/{seed}"))).collect();
        requests.push(api.submit(&addresses, &receiver.url()).await);
    }
    for request in &requests {
        assert_eq!(api.finished(request).await["counts"]["failed"], IMAGES);
    }
    let url = format!("http://{}", home.address());
    let asked = |args: &[&str]| home.flota(&[&["dead-letters"], args, &["--url", &url]].concat());
    let groups = run(asked(&["groups"])).await;
    assert!(stdout(&groups).contains("100 in total"), "{}", stderr(&groups));

    let args = ["replay", "--model", MODEL, "--rate", RATE_PER_SECOND, "--by", "ann"];
    let mut command = home.start(asked(&args), "replay");
    let half_way = until("the replay to be half-way", || async {
        let replay = api.get("/v1/replays").await.1["replays"][0].clone();
        (replay["counts"]["succeeded"].as_u64()? >= 30).then_some(replay)
    })
    .await;
    let id = half_way["id"].as_str().expect("a replay has an id");
    interrupt(command.id());
    assert_eq!(command.ended().await.code(), Some(130), "{}", command.log());
    assert!(command.log().contains(&format!("{id} continues on the server")), "{}", command.log());
    server.kill();
    let _server = home.serve().await;
    let interrupted = api.get(&format!("/v1/replays/{id}")).await.1;
    assert_eq!(interrupted["state"], "running", "it was over before: {interrupted}");

    let watched = run(asked(&["watch", id, "--json"])).await;
    assert!(watched.status.success(), "{}", stderr(&watched));
    let ended: Value = serde_json::from_str(&stdout(&watched)).expect("it is one JSON object");
    assert_eq!((&ended["state"], &ended["by"]), (&"completed".into(), &"ann".into()), "{ended}");
    assert_eq!(ended["counts"]["succeeded"], REQUESTS * IMAGES, "{ended}");
    for request in &requests {
        let finished = api.finished(request).await;
        assert_eq!(finished["status"], "succeeded", "{finished}");
        let rounds = finished["rounds"].as_array().expect("a request has rounds");
        let again = rounds[1..].iter().map(|round| round["counts"]["total"].as_u64());
        assert_eq!(again.sum::<Option<u64>>(), Some(IMAGES.into()), "each ran once: {finished}");
        until("a callback of every round", || async {
            (receiver.ids_of(request).len() == rounds.len()).then_some(())
        })
        .await;
    }
    let none = run(asked(&["list", "--json"])).await;
    assert_eq!(stdout(&none).trim(), r#"{"dead_letters":[]}"#, "{}", stderr(&none));
    let replays = run(asked(&["replays"])).await;
    assert!(stdout(&replays).contains(id) && stdout(&replays).contains("completed"));
}

#[tokio::test]
async fn dead_letters_are_given_up_only_when_that_is_confirmed() {
    let home = failing_at_once();
    let (receiver, images) = (Receiver::start().await, ImageServer::start().await);
    let _fleet = home.start_fleet(&receiver).await;
    let api = home.api();
    let addresses: Vec<_> = (0..3).map(|n| images.url(&format!("/status/50{n}"))).collect();
    let request = api.submit(&addresses, &receiver.url()).await;
    assert_eq!(api.finished(&request).await["counts"]["failed"], 3);

    let url = format!("http://{}", home.address());
    let asked = |args: &[&str]| home.flota(&[&["dead-letters"], args, &["--url", &url]].concat());
    let dry =
        run(asked(&["replay", "--model", MODEL, "--code", "FETCH_FAILED", "--dry-run"])).await;
    assert!(stdout(&dry).contains("3 in total") && stdout(&dry).contains("/status/500"));

    let nothing = run(asked(&["discard", "--yes"])).await;
    assert_eq!(nothing.status.code(), Some(1), "{}", stdout(&nothing));
    let args = ["discard", "--model", MODEL, "--text", "/status/501", "--since", "1h"];
    let asking = run(asked(&args)).await;
    assert_eq!(asking.status.code(), Some(1), "{}", stdout(&asking));
    assert!(stderr(&asking).contains("--yes"), "{}", stderr(&asking));
    let done = run(asked(&[&args[..], &["--yes"]].concat())).await;
    assert_eq!(stdout(&done).trim(), "1 dead letter discarded", "{}", stderr(&done));
    let left = run(asked(&["list"])).await;
    assert!(stdout(&left).contains("/status/500") && !stdout(&left).contains("/status/501"));

    // The cause stands: what is replayed fails again, and the exit code says so.
    let failed = run(asked(&["replay", "--model", MODEL])).await;
    assert_eq!(failed.status.code(), Some(1), "{}", stderr(&failed));
    assert!(stdout(&failed).contains("0 succeeded, 2 failed again"), "{}", stdout(&failed));
}
