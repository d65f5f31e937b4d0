use std::sync::Arc;

use async_trait::async_trait;
use axum::{Router, http::StatusCode, response::IntoResponse, routing::get};
use bytes::Bytes;
use flota_core::{
    PortError, PortResult, Sha256,
    ports::{FetchError, Images},
};
use serde_json::json;
use strum::IntoEnumIterator;
use tower::ServiceExt;

use crate::{
    api::{
        guard::Hosts,
        problem::{Problem, ProblemCode},
        router::guarded,
    },
    testing::{Fixture, roles, sha_of, until},
};

const GUIDE: &str = include_str!("../../../../../docs/API.md");

#[tokio::test(start_paused = true)]
async fn an_upload_has_the_address_of_its_content() {
    let fixture = Fixture::new().await;
    let sha256 = sha_of("some bytes").to_string();
    for _ in 0..2 {
        let answer = fixture.post("/v1/images", "some bytes").await;
        assert_eq!(answer.status, StatusCode::CREATED);
        let url = format!("flota://sha256/{sha256}");
        assert_eq!(answer.json, json!({"url": url, "sha256": sha256, "size_bytes": 10}));
    }
    let kept = fixture.platform.images.fetch(&format!("flota://sha256/{sha256}"), 100).await;
    assert_eq!(&kept.unwrap()[..], b"some bytes");
}

/// An image store whose disk is full.
struct FullImages;

#[async_trait]
impl Images for FullImages {
    async fn put(&self, _: Bytes) -> PortResult<Sha256> {
        Err(PortError::full("keeping an image: the disk is full", "no space"))
    }

    async fn fetch(&self, _: &str, _: u64) -> Result<Bytes, FetchError> {
        unreachable!("nothing was kept")
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_is_said_to_be_full() {
    let mut fixture = Fixture::new().await;
    fixture.platform.images = Arc::new(FullImages);
    fixture.router = roles(&fixture.platform, &fixture.settings).1.router;
    let answer = fixture.post("/v1/images", "some bytes").await;
    assert_eq!((answer.status.as_u16(), &answer.json["code"]), (507, &json!("STORAGE_FULL")));
    assert!(answer.json["detail"].as_str().unwrap().contains("disk"), "{}", answer.json);
    let other = Problem::from(PortError::permanent("keeping an image", "no luck"));
    assert_eq!(other.into_response().status(), StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test(start_paused = true)]
async fn models_are_listed_with_their_queues() {
    let fixture = Fixture::new().await;
    fixture.submit(21, &["dog"], None).await;
    let models = fixture.get("/v1/models").await.json;
    assert_eq!(models["models"][0]["name"], "cat");
    let dog = &models["models"][1];
    assert_eq!(
        (&dog["name"], &dog["version"], &dog["worker"]),
        (&json!("dog"), &json!("1"), &json!("dog"))
    );
    assert_eq!(dog["queue"]["ready"], 2);
    assert_eq!(dog["workers_alive"], 0);
    assert_eq!(dog["manifest"]["output"]["kind"], "softmax");
}

#[tokio::test(start_paused = true)]
async fn readiness_is_the_age_of_the_recorders_last_poll() {
    let fixture = Fixture::new().await;
    assert_eq!(fixture.get("/healthz").await.json, json!({"status": "ok"}));
    let unready = fixture.get("/readyz").await;
    assert_eq!((unready.status.as_u16(), &unready.json["code"]), (503, &json!("NOT_READY")));
    let handles = fixture.start();
    until(async || fixture.get("/readyz").await.status == StatusCode::OK).await;
    for handle in &handles {
        handle.abort();
    }
    until(async || fixture.get("/readyz").await.status == StatusCode::SERVICE_UNAVAILABLE).await;
}

#[tokio::test(start_paused = true)]
async fn metrics_tell_the_depths_of_the_queues() {
    let fixture = Fixture::with(&[("prefix", "depths")]).await;
    fixture.submit(1, &["cat"], None).await;
    let answer = fixture.get("/metrics").await;
    let text = answer.json.as_str().unwrap();
    let line = r#"flota_queue_messages{queue="depths-tasks-cat-normal",state="ready"} 1"#;
    assert!(text.contains(line), "{text}");
    for line in [
        "flota_requests_accepted_total ",
        "# HELP flota_requests_accepted_total Requests accepted.",
        r#"flota_callbacks_total{result="failed"} 0"#,
        r#"flota_workers_alive{model="cat",worker="cat"} 0"#,
        "flota_dead_letters_open 0",
        "flota_callbacks_pending 0",
        r#"flota_http_request_seconds_count{method="POST",route="/v1/requests",status="202"} "#,
    ] {
        assert!(text.contains(line), "{line} is missing in:\n{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_document_describes_every_call() {
    let fixture = Fixture::new().await;
    let document = fixture.get("/openapi.json").await.json;
    let mut calls = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, call) in methods.as_object().unwrap() {
            assert!(call["summary"].is_string(), "{method} {path} says nothing");
            let responses: Vec<&str> =
                call["responses"].as_object().unwrap().keys().map(String::as_str).collect();
            calls.push(format!("{method} {path} -> {}", responses.join(" ")));
        }
    }
    insta::assert_snapshot!(calls.join("\n"), @r"
    get /healthz -> 200
    get /metrics -> 200
    get /readyz -> 200 503
    get /v1/dead-letters -> 200 400 403 421 500 503
    post /v1/dead-letters/discard -> 200 400 403 408 409 413 415 421 422 500 503 507
    get /v1/dead-letters/groups -> 200 400 403 421 500 503
    post /v1/dead-letters/replay -> 200 202 400 403 408 409 413 415 421 422 500 503 507
    get /v1/dead-letters/{id} -> 200 400 403 404 421 500 503
    post /v1/dead-letters/{id}/discard -> 200 400 403 404 408 409 413 415 421 422 500 503 507
    post /v1/dead-letters/{id}/replay -> 200 400 403 404 408 409 413 415 421 422 500 503 507
    post /v1/images -> 201 400 403 408 409 413 415 421 422 500 503 507
    get /v1/models -> 200 400 403 421 500 503
    get /v1/predictions -> 200 400 403 421 500 503
    get /v1/replays -> 200 400 403 421 500 503
    get /v1/replays/{id} -> 200 400 403 404 421 500 503
    post /v1/replays/{id}/stop -> 200 400 403 404 408 409 413 415 421 422 500 503 507
    post /v1/requests -> 200 202 400 403 408 409 413 415 421 422 500 503 507
    get /v1/requests/{id} -> 200 400 403 404 421 500 503
    post /v1/requests/{id}/callback -> 202 400 403 404 409 421 500 503 507
    ");
    for call in calls {
        let path = call.split(' ').nth(1).unwrap();
        assert!(GUIDE.contains(path), "docs/API.md does not tell of {path}");
    }
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for reference in document.to_string().split("#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "{name} is referred to and not described");
    }
}

#[test]
fn the_guide_tells_of_every_problem_and_code() {
    for code in ProblemCode::iter() {
        let code: &'static str = code.into();
        assert!(GUIDE.contains(&format!("`{code}`")), "docs/API.md does not tell of {code}");
    }
    for code in flota_core::Code::iter() {
        assert!(GUIDE.contains(&format!("`{code}`")), "docs/API.md does not tell of {code}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_problem_and_the_server_goes_on() {
    let fixture = Fixture::new().await;
    async fn panics() {
        panic!("on purpose");
    }
    let hosts = Hosts::of(&fixture.settings.server);
    let router = guarded(Router::new().route("/panic", get(panics)), hosts);
    let request = axum::http::Request::get("/panic")
        .header("host", "localhost")
        .body(axum::body::Body::empty())
        .unwrap();
    let response = router.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    assert_eq!(fixture.get("/healthz").await.status, StatusCode::OK);
}
