//! `flota submit`: what is given, what fails, and what is resumed.

use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    process::{Command, Output, Stdio},
    sync::{Arc, Mutex, MutexGuard},
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use flota_core::Sha256;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::AbortHandle};

use super::command::{interrupt, run, stderr, stdout};
use crate::harness::{Home, MODEL, Receiver, image, until};

async fn fed(mut command: Command, input: Vec<u8>) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let running = tokio::task::spawn_blocking(move || {
        let mut child = command.spawn().expect("the executable was built with this test");
        let mut stdin = child.stdin.take().expect("it is piped");
        stdin.write_all(&input).expect("it reads what it is fed");
        drop(stdin);
        child.wait_with_output().expect("it is our child")
    });
    running.await.expect("it does not panic")
}

fn requests(output: &Output) -> Vec<Value> {
    let text = stdout(output);
    text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

#[tokio::test]
async fn images_come_from_standard_input_and_lists_and_one_that_is_missing_stops_no_other() {
    let (home, receiver) = (Home::new(), Receiver::start().await);
    let _fleet = home.start_fleet(&receiver).await;
    let asked = |args: &[&str]| {
        let mut command = home.flota(args);
        command.env("FLOTA_URL", format!("http://{}", home.address()));
        command
    };
    let piped = fed(asked(&["submit", "-", "--model", MODEL, "--wait", "--json"]), image(1)).await;
    assert!(piped.status.success(), "{}", stderr(&piped));
    let request = &requests(&piped)[0];
    assert_eq!((&request["status"], &request["image_count"]), (&json!("succeeded"), &json!(1)));
    assert_eq!(request["outcomes"][0]["image"]["id"], "-");

    fs::write(home.path().join("a b.png"), image(2)).expect("it can be written");
    let list = "a b.png\nmissing.png\n".as_bytes().to_vec();
    let listed_args = ["submit", "--from-file", "-", "--model", MODEL, "--wait", "--json"];
    let listed = fed(asked(&listed_args), list.clone()).await;
    let said = stderr(&listed);
    assert_eq!(listed.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot read missing.png: "), "{said}");
    assert!(said.contains("1 image in 1 request submitted, 1 could not be submitted"), "{said}");
    assert_eq!(requests(&listed)[0]["counts"]["succeeded"], 1);

    // The server refuses one, and takes the others.
    let refused = b"https://exa mple.org/a.png\na b.png\n".to_vec();
    let refused = fed(asked(&listed_args), refused).await;
    let said = stderr(&refused);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(
        said.contains("cannot submit https://exa mple.org/a.png, line 1 of standard input: "),
        "{said}"
    );
    assert!(said.contains("1 image in 1 request submitted, 1 could not be submitted"), "{said}");
    assert_eq!(requests(&refused)[0]["counts"]["succeeded"], 1);

    let mistaken = fed(asked(&["submit", "-", "--model", MODEL]), list).await;
    assert_eq!(mistaken.status.code(), Some(1));
    assert!(stderr(&mistaken).contains("use --from-file -"), "{}", stderr(&mistaken));
    let unknown = run(asked(&["submit", "a b.png", "--model", "no-such-model"])).await;
    assert!(stderr(&unknown).contains(&format!("the fleet has {MODEL}")), "{}", stderr(&unknown));

    // The same command, once finished, is another request.
    let submit = ["submit", "a b.png", "--model", MODEL, "--quiet"];
    let ids = [run(asked(&submit)).await, run(asked(&submit)).await].map(|output| stdout(&output));
    assert!(ids[0].starts_with("req_") && ids[0] != ids[1], "{ids:?}");
}

const CREATED_AT: &str = "2026-11-21T10:00:00Z";

/// An API that takes everything, and notes it.
struct Fake {
    address: String,
    noted: Arc<Mutex<Noted>>,
    serving: AbortHandle,
}

#[derive(Default)]
struct Noted {
    /// How many uploads came.
    upload_count: usize,
    /// Those that found no room once.
    refused: BTreeSet<Sha256>,
    /// The keys of requests, with how many uploads came before.
    requests: Vec<(String, usize)>,
    /// Requests beyond so many are never answered.
    answered_count: usize,
}

impl Fake {
    async fn start() -> Self {
        let noted = Arc::new(Mutex::new(Noted::default()));
        let routes = Router::new()
            .route("/v1/models", get(models))
            .route("/v1/images", post(take_image))
            .route("/v1/requests", post(take_request))
            .layer(DefaultBodyLimit::disable())
            .with_state(Arc::clone(&noted));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a port");
        let address = format!("http://{}", listener.local_addr().expect("it has an address"));
        let serving = tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { address, noted, serving: serving.abort_handle() }
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().expect("nothing panics under this lock")
    }

    /// What came since the last call; from now on `answered_count` requests are answered.
    fn turn(&self, answered_count: usize) -> Noted {
        std::mem::replace(&mut self.noted(), Noted { answered_count, ..Noted::default() })
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn models() -> Json<Value> {
    let queue = json!({"ready": 0, "in_flight": 0, "delayed": 0});
    let model = json!({"name": MODEL, "version": "1", "digest": "0".repeat(64), "worker": MODEL,
        "workers_alive": 1, "alive_by_version": {"1": 1}, "queue": queue, "backlog": null,
        "registered_at": CREATED_AT, "manifest": {}});
    Json(json!({"models": [model], "missing_workers": []}))
}

async fn take_image(State(noted): State<Arc<Mutex<Noted>>>, body: Bytes) -> Response {
    let mut noted = noted.lock().expect("nothing panics under this lock");
    let sha256 = Sha256::of(&body);
    // Some find no room at first.
    if sha256.as_bytes()[0].is_multiple_of(64) && noted.refused.insert(sha256) {
        return (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "0")]).into_response();
    }
    noted.upload_count += 1;
    let url = format!("flota://sha256/{sha256}");
    let uploaded = json!({"url": url, "sha256": sha256.to_string(), "size_bytes": body.len()});
    (StatusCode::CREATED, Json(uploaded)).into_response()
}

async fn take_request(
    State(noted): State<Arc<Mutex<Noted>>>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Json<Value> {
    let key = headers.get("idempotency-key").expect("each request has a key");
    let key = key.to_str().expect("it is ASCII").to_owned();
    let is_answered = {
        let mut noted = noted.lock().expect("nothing panics under this lock");
        let upload_count = noted.upload_count;
        noted.requests.push((key.clone(), upload_count));
        noted.requests.len() <= noted.answered_count
    };
    if !is_answered {
        std::future::pending::<()>().await;
    }
    let total = body["images"].as_array().map_or(0, Vec::len);
    let counts = json!({"total": total, "open": total, "succeeded": 0, "failed": 0, "expired": 0,
        "canceled": 0});
    Json(json!({"id": format!("req_{}", &key[..32]), "status": "queued", "terminal": false,
        "counts": counts, "models": [MODEL], "image_count": total, "priority": "normal",
        "timings": {"created_at": CREATED_AT}, "rounds": [], "callbacks": [], "outcomes": []}))
}

#[tokio::test]
async fn an_interrupted_submission_is_resumed_and_nothing_is_submitted_twice() {
    let (home, fleet) = (Home::new(), Fake::start().await);
    let folder = home.path().join("many");
    fs::create_dir(&folder).expect("the folder can be made");
    for n in 0..2_500 {
        let file = folder.join(format!("{n:04}.png"));
        fs::write(file, n.to_string()).expect("it can be written");
    }
    let command = || {
        let mut command = home.flota(&["submit", "many", "--model", MODEL]);
        command.env("FLOTA_URL", &fleet.address);
        command
    };
    fleet.turn(1);
    let mut first = home.start(command(), "first");
    until("the second request", async || (fleet.noted().requests.len() == 2).then_some(())).await;
    interrupt(first.id());
    assert_eq!(first.ended().await.code(), Some(130));
    let said = first.log();
    assert!(said.contains("1000 images in 1 request submitted"), "{said}");
    assert!(said.contains("Run the same command again"), "{said}");
    let before = fleet.turn(usize::MAX);
    // Where the first request waited for all uploads, each would have come before.
    assert!((1_000..2_500).contains(&before.requests[0].1), "{:?}", before.requests);
    assert!(!before.refused.is_empty(), "the upload without room was made again");

    let second = run(command()).await;
    let said = stderr(&second);
    assert!(second.status.success(), "{said}");
    assert!(said.contains("which submitted 1 request"), "{said}");
    assert!(said.contains("2500 images in 3 requests submitted"), "{said}");
    assert_eq!(stdout(&second).lines().count(), 3);
    let resumed = fleet.turn(usize::MAX);
    assert_eq!(resumed.upload_count, 1_500, "what was accepted is not uploaded again");
    let keys = |noted: &Noted| noted.requests.iter().map(|(key, _)| key.clone()).collect();
    let (before, resumed): (Vec<String>, Vec<String>) = (keys(&before), keys(&resumed));
    assert_eq!(resumed.len(), 2);
    assert!(resumed.contains(&before[1]), "the server knows the key again");

    assert!(run(command()).await.status.success());
    let anew: Vec<String> = keys(&fleet.turn(usize::MAX));
    assert_eq!(anew.len(), 3);
    assert!(anew.iter().all(|key| !before.contains(key) && !resumed.contains(key)));
}
