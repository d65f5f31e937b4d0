//! Which callers are accepted, by host, origin, content type and repeated headers.

use axum::http::StatusCode;
use serde_json::json;

use super::bad_input::{body, check};
use crate::testing::Fixture;

const LISTED: &[(&str, &str)] = &[
    ("server.hosts", r#"["flota.internal"]"#),
    ("server.public_url", "https://flota.example/api"),
];

#[tokio::test(start_paused = true)]
async fn a_name_that_is_not_ours_is_refused() {
    let fixture = Fixture::with(LISTED).await;
    for host in [
        "127.0.0.1:8080",
        "10.1.2.3",
        "[::1]:8080",
        "localhost",
        "LOCALHOST:9",
        "a.localhost",
        "flota.internal:8080",
        "Flota.Internal.",
        "flota.example",
    ] {
        let answer = fixture.call("GET", "/v1/models", &[("host", host)], "").await;
        assert_eq!(answer.status, StatusCode::OK, "{host}: {}", answer.json);
    }
    for host in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "example"] {
        for path in ["/v1/models", "/metrics", "/healthz", "/nowhere"] {
            let answer = fixture.call("GET", path, &[("host", host)], "").await;
            check(&answer, 421, "HOST_NOT_ALLOWED");
        }
    }
    let any = Fixture::with(&[("server.hosts", r#"["*"]"#)]).await;
    let answer = any.call("GET", "/v1/models", &[("host", "evil.example")], "").await;
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_host_is_named_exactly_once() {
    let fixture = Fixture::new().await;
    for headers in
        [&[("host", "")][..], &[("host", "127.0.0.1"), ("host", "127.0.0.1")], &[("host", "a b")]]
    {
        let answer = fixture.call("GET", "/v1/models", headers, "").await;
        check(&answer, 400, "INVALID_HEADER");
    }
}

#[tokio::test(start_paused = true)]
async fn pages_of_other_sites_are_refused() {
    let fixture = Fixture::new().await;
    for (name, value, is_taken) in [
        ("origin", "http://127.0.0.1:8080", true),
        ("origin", "https://127.0.0.1:8080", true),
        ("origin", "http://127.0.0.1:3000", false),
        ("origin", "http://localhost:8080", false),
        ("origin", "https://evil.example", false),
        ("origin", "null", false),
        ("origin", "file://127.0.0.1:8080", false),
        ("sec-fetch-site", "cross-site", false),
        ("sec-fetch-site", "same-origin", true),
        ("sec-fetch-site", "none", true),
    ] {
        let answer = fixture.call("POST", "/v1/requests", &[(name, value)], body(|_| ())).await;
        match is_taken {
            true => assert_eq!(answer.status, StatusCode::ACCEPTED, "{name}: {value}"),
            false => check(&answer, 403, "CROSS_ORIGIN"),
        }
        let answer = fixture.call("POST", "/v1/images", &[(name, value)], "x").await;
        assert_eq!(answer.status == StatusCode::CREATED, is_taken, "{name}: {value}");
    }
    let usual_port = [("host", "flota.localhost"), ("origin", "http://flota.localhost:80")];
    let answer = fixture.call("GET", "/v1/models", &usual_port, "").await;
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn json_is_sent_as_json() {
    let fixture = Fixture::new().await;
    for (headers, is_taken) in [
        (&[("content-type", "application/json")][..], true),
        (&[("content-type", "Application/JSON; charset=UTF-8")], true),
        (&[("content-type", "application/json; charset=latin1")], false),
        (&[("content-type", "text/plain")], false),
        (&[("content-type", "application/x-www-form-urlencoded")], false),
        (&[("content-type", "")], false),
        (&[("content-encoding", "gzip")], false),
        (&[("content-encoding", "identity")], true),
    ] {
        let answer = fixture.call("POST", "/v1/requests", headers, body(|_| ())).await;
        match is_taken {
            true => assert_eq!(answer.status, StatusCode::ACCEPTED, "{headers:?}"),
            false => check(&answer, 415, "UNSUPPORTED_MEDIA_TYPE"),
        }
        let answer = fixture.call("POST", "/v1/dead-letters/dead_1/discard", headers, "{}").await;
        assert_eq!(answer.status.as_u16(), if is_taken { 404 } else { 415 }, "{headers:?}");
    }
    let nothing =
        fixture.call("POST", "/v1/dead-letters/dead_1/discard", &[("content-type", "")], "").await;
    check(&nothing, 404, "DEAD_LETTER_NOT_FOUND");
}

#[tokio::test(start_paused = true)]
async fn an_idempotency_key_is_there_once() {
    let fixture = Fixture::new().await;
    let twice = [("idempotency-key", "a"), ("idempotency-key", "b")];
    let answer = fixture.call("POST", "/v1/requests", &twice, body(|_| ())).await;
    check(&answer, 400, "INVALID_HEADER");
    assert!(fixture.take_tasks("cat").await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn no_answer_is_kept_by_caches_or_taken_for_another_type() {
    let fixture = Fixture::new().await;
    for path in ["/v1/models", "/healthz", "/nowhere", "/openapi.json"] {
        let answer = fixture.get(path).await;
        assert_eq!(answer.headers["cache-control"], "no-store", "{path}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff", "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_beyond_the_bound_is_answered_at_once() {
    let fixture = Fixture::with(&[("server.max_waits", "0")]).await;
    let waiting = [("prefer", "wait=60")];
    let began = tokio::time::Instant::now();
    let answer = fixture.call("POST", "/v1/requests", &waiting, body(|_| ())).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    assert!(!answer.headers.contains_key("preference-applied"));
    let path = format!("/v1/requests/{}?wait=60", answer.json["id"].as_str().unwrap());
    assert_eq!(fixture.get(&path).await.json["status"], json!("queued"));
    assert_eq!(began.elapsed(), std::time::Duration::ZERO, "on the paused clock");
}
