use axum::http::StatusCode;
use flota_core::Code;
use serde_json::json;
use tokio::time::Instant;

use crate::testing::{Fixture, failed, register, sha_of, succeeded, until};

#[tokio::test(start_paused = true)]
async fn an_accepted_request_is_kept_and_its_tasks_are_on_their_queues() {
    let fixture = Fixture::new().await;
    let body = json!({
        "images": [
            {"url": "https://images.example/1.jpg", "id": "front"},
            {"url": "https://images.example/2.jpg"},
        ],
        "models": ["cat", "dog"],
        "priority": "normal",
        "metadata": {"order": 7},
        "callback": {"url": "https://client.example/hook", "events": ["request.finished"]},
    });
    let answer = fixture.post("/v1/requests", &body.to_string()).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    let id = answer.json["id"].as_str().unwrap();
    assert_eq!(answer.headers["location"], format!("/v1/requests/{id}"));
    let view = fixture.get(&format!("/v1/requests/{id}")).await.json;
    assert_eq!(view, answer.json);
    assert_eq!((&view["status"], &view["terminal"]), (&json!("queued"), &json!(false)));
    assert_eq!((&view["counts"]["total"], &view["counts"]["open"]), (&json!(4), &json!(4)));
    assert_eq!(view["metadata"], json!({"order": 7}));

    let cats = fixture.take_tasks("cat").await;
    assert_eq!(cats.len(), 1);
    assert_eq!(cats[0].tasks.iter().map(|task| task.n).collect::<Vec<_>>(), [0, 2]);
    let dogs = fixture.take_tasks("dog").await;
    assert_eq!(dogs[0].tasks.iter().map(|task| task.n).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(dogs[0].tasks[0].image, "https://images.example/1.jpg");
}

#[tokio::test(start_paused = true)]
async fn metadata_comes_back_as_it_was_written() {
    let fixture = Fixture::new().await;
    fixture.start();
    let metadata = r#"{ "id":10000000000000000000000000000001,"b":[1.0, 1e999],"a":"\u00e9" }"#;
    let body = format!(
        r#"{{"images":[{{"url":"https://images.example/1.jpg"}}],"models":["cat"],
            "callback":{{"url":"https://client.example/hook"}},"metadata":{metadata}}}"#
    );
    let answer = fixture.call_raw("POST", "/v1/requests", body).await;
    let wanted = format!(r#""metadata":{metadata},"#);
    assert!(answer.contains(&wanted), "{answer}");
    fixture.work("cat").await;
    until(async || !fixture.receivers.of("client.example").is_empty()).await;
    let callback = fixture.receivers.of("client.example").remove(0);
    let callback = String::from_utf8(callback.body.to_vec()).unwrap();
    assert!(callback.contains(&wanted), "{callback}");
}

#[tokio::test(start_paused = true)]
async fn outcomes_carry_their_predictions_and_come_in_pages() {
    let fixture = Fixture::new().await;
    fixture.start();
    let id = fixture.submit(5, &["cat", "dog"], None).await;
    fixture.work("cat").await;
    let path = format!("/v1/requests/{id}");
    until(async || fixture.get(&path).await.json["counts"]["succeeded"] == 5).await;
    assert_eq!(fixture.get(&path).await.json["status"], "processing");
    let dogs = fixture.take_tasks("dog").await.remove(0);
    fixture.send_outcomes(failed(&dogs, Code::DecodeCorrupt).encode().unwrap()).await;
    until(async || fixture.get(&path).await.json["terminal"] == true).await;

    let view = fixture.get(&format!("{path}?limit=3")).await.json;
    assert_eq!(view["status"], "partially_failed");
    assert!(view["timings"]["duration_ms"].is_u64());
    let outcomes = view["outcomes"].as_array().unwrap();
    assert_eq!((outcomes.len(), &view["next_after"]), (3, &json!(2)));
    let first = &outcomes[0];
    assert_eq!(first["task"], format!("{}-0", id.to_string().replace("req_", "task_")));
    assert_eq!(first["outcome"], "succeeded");
    assert_eq!((&first["model"], &first["version"]), (&json!("cat"), &json!("1")));
    assert_eq!(first["sha256"], sha_of("https://images.example/0.jpg").to_string());
    assert_eq!(first["prediction"]["output"]["scores"][0]["label"], "yes");
    assert_eq!(first["prediction"]["image"]["format"], "jpeg");
    assert_eq!(first["timings"]["infer_ms"], 1.7);
    assert_eq!(
        (&outcomes[1]["outcome"], &outcomes[1]["code"]),
        (&json!("failed"), &json!("DECODE_CORRUPT"))
    );
    let rest = fixture.get(&format!("{path}?after=2")).await.json;
    assert_eq!(rest["outcomes"].as_array().unwrap().len(), 7);
    assert!(rest.get("next_after").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_wait_is_answered_when_the_request_finishes() {
    let fixture = Fixture::new().await;
    fixture.start();
    let body = r#"{"images": [{"url": "https://a.example/1"}], "models": ["cat"]}"#;
    let prefer = [("prefer", "respond-async, wait=30")];
    let submit = fixture.call("POST", "/v1/requests", &prefer, body);
    let work = async {
        let mut tasks = Vec::new();
        until(async || {
            tasks = fixture.take_tasks("cat").await;
            !tasks.is_empty()
        })
        .await;
        fixture.send_outcomes(succeeded(&tasks[0]).encode().unwrap()).await;
    };
    let (answer, ()) = tokio::join!(submit, work);
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.json);
    assert_eq!(answer.headers["preference-applied"], "wait=30");
    assert_eq!(answer.json["outcomes"].as_array().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_in_time_and_when_the_server_stops() {
    let fixture = Fixture::new().await;
    let body = r#"{"images": [{"url": "https://a.example/1"}], "models": ["cat"]}"#;
    let begun = Instant::now();
    let answer = fixture.call("POST", "/v1/requests", &[("prefer", "wait=5")], body).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    assert_eq!(begun.elapsed().as_secs(), 5);
    let path = format!("{}?wait=3600", answer.headers["location"].to_str().unwrap());
    let begun = Instant::now();
    assert_eq!(fixture.get(&path).await.json["terminal"], false);
    assert_eq!(begun.elapsed().as_secs(), 60, "a wait is bounded");
    let absurd = fixture.get(&path.replace("3600", "3601")).await;
    assert_eq!((absurd.status.as_u16(), &absurd.json["code"]), (400, &json!("INVALID_QUERY")));
    let begun = Instant::now();
    fixture.stop.cancel();
    assert_eq!(fixture.get(&path).await.json["terminal"], false);
    assert_eq!(begun.elapsed().as_secs(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_wait_also_ends_when_another_process_finishes_the_request() {
    let fixture = Fixture::new().await;
    let id = fixture.submit(1, &["cat"], None).await;
    fixture.work("cat").await;
    let (stop, others) = crate::testing::roles(&fixture.platform, &fixture.settings);
    let recorder = tokio::spawn(others.recorder.run(stop.clone()));
    let view = fixture.get(&format!("/v1/requests/{id}?wait=30")).await.json;
    assert_eq!(view["terminal"], true);
    stop.cancel();
    recorder.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_known_of_an_image_can_be_asked() {
    let fixture = Fixture::new().await;
    fixture.start();
    let id = fixture.submit(1, &["cat", "dog"], None).await;
    fixture.work("cat").await;
    fixture.work("dog").await;
    until(async || fixture.get(&format!("/v1/requests/{id}")).await.json["terminal"] == true).await;
    let sha256 = sha_of("https://images.example/0.jpg");
    let all = fixture.get(&format!("/v1/predictions?image={sha256}")).await.json;
    assert_eq!(all["predictions"].as_array().unwrap().len(), 2);
    let path = format!("/v1/predictions?image=flota://sha256/{sha256}&model=dog");
    let dogs = fixture.get(&path).await.json;
    assert_eq!(dogs["predictions"][0]["model"], "dog");
    assert_eq!(dogs["predictions"][0]["output"]["kind"], "softmax");
    let unknown = fixture.get(&format!("/v1/predictions?image={}", sha_of("x"))).await.json;
    assert_eq!(unknown["predictions"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn what_is_cached_is_answered_at_submission_without_the_queue() {
    let fixture = Fixture::new().await;
    fixture.start();
    let image = |n: u8| json!({"url": format!("flota://sha256/{}", flota_core::Sha256::of(&[n]))});
    let submit = async |images: &[u8], models: &[&str]| {
        let images: Vec<_> = images.iter().map(|n| image(*n)).collect();
        let callback = json!({"url": "https://client.example/hook"});
        let body = json!({"images": images, "models": models, "callback": callback});
        fixture.post("/v1/requests", &body.to_string()).await.json
    };
    submit(&[1, 2], &["cat"]).await;
    fixture.work("cat").await;
    until(async || fixture.receivers.of("client.example").len() == 1).await;

    let whole = submit(&[2, 1], &["cat"]).await;
    assert_eq!((&whole["status"], &whole["counts"]["succeeded"]), (&json!("succeeded"), &json!(2)));
    let outcome = &whole["outcomes"][0];
    assert_eq!((&outcome["cached"], &outcome["attempts"]), (&json!(true), &json!(0)));
    assert!(outcome["prediction"].is_object(), "{whole}");
    until(async || fixture.receivers.of("client.example").len() == 2).await;

    let part = submit(&[1, 3], &["cat", "dog"]).await;
    assert_eq!(part["counts"]["succeeded"], 1, "{part}");
    let sent = |messages: &[flota_core::TasksMessage]| {
        let tasks = messages.iter().flat_map(|message| &message.tasks);
        tasks.map(|task| task.n).collect::<Vec<_>>()
    };
    assert_eq!(sent(&fixture.take_tasks("cat").await), [2], "only what is not cached");
    assert_eq!(sent(&fixture.take_tasks("dog").await), [1, 3]);

    register(&fixture.platform, "cat", "2", "cat").await;
    tokio::time::advance(std::time::Duration::from_secs(2)).await;
    assert_eq!(submit(&[1], &["cat"]).await["counts"]["succeeded"], 0, "another version");
}
