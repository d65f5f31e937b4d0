use axum::{body::Body, http::StatusCode};
use flota_core::limits::MAX_API_BODY_BYTES;
use serde_json::{Value, json};

use crate::testing::{Answer, Fixture};

pub(super) fn body(change: impl FnOnce(&mut Value)) -> String {
    let mut body = json!({"images": [{"url": "https://images.example/1.jpg"}], "models": ["cat"]});
    change(&mut body);
    body.to_string()
}

#[track_caller]
pub(super) fn check(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status.as_u16(), status, "{}", answer.json);
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    assert_eq!(answer.json["code"], code, "{}", answer.json);
    assert_eq!(answer.json["status"], status);
    for text in ["title", "detail", "type"] {
        assert!(answer.json[text].as_str().is_some_and(|text| !text.is_empty()), "{}", answer.json);
    }
}

pub(super) async fn refused(body: &str, status: u16, code: &str, field: &str) -> Value {
    let fixture = Fixture::new().await;
    let answer = fixture.post("/v1/requests", body).await;
    check(&answer, status, code);
    if !field.is_empty() {
        assert_eq!(answer.json["errors"][0]["field"], field, "{}", answer.json);
        assert!(answer.json["detail"].as_str().unwrap().contains(field), "{}", answer.json);
    }
    assert!(fixture.take_tasks("cat").await.is_empty());
    answer.json
}

#[tokio::test(start_paused = true)]
async fn what_is_not_json_is_refused() {
    for text in ["", "{", "not json", r#"{"images": [}"#, "\u{0}"] {
        refused(text, 400, "MALFORMED_JSON", "").await;
    }
    let twice = body(|_| ()) + "{}";
    refused(&twice, 400, "MALFORMED_JSON", "").await;
}

#[tokio::test(start_paused = true)]
async fn unknown_fields_and_wrong_types_are_named_with_their_path() {
    let code = "INVALID_FIELD";
    refused(&body(|b| b["foo"] = json!(1)), 400, code, "foo").await;
    refused(&body(|b| b["images"][0]["urll"] = json!("x")), 400, code, "images[0].urll").await;
    refused(&body(|b| b["images"][0]["url"] = json!(7)), 400, code, "images[0].url").await;
    refused(
        &body(|b| b["callback"] = json!({"url": "https://a.example", "x": 1})),
        400,
        code,
        "callback.x",
    )
    .await;
    refused(
        &body(|b| b["callback"] = json!({"url": "https://a.example", "events": ["x"]})),
        400,
        code,
        "callback.events[0]",
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_unknown_model_is_named_with_the_known_ones() {
    let problem =
        refused(&body(|b| b["models"] = json!(["cat", "bird"])), 422, "UNKNOWN_MODEL", "models[1]")
            .await;
    assert!(problem["detail"].as_str().unwrap().contains("bird"));
    assert_eq!(problem["known"], json!(["cat", "dog"]));
}

#[tokio::test(start_paused = true)]
async fn an_object_is_taken_where_there_is_s3_and_spelled_as_an_address() {
    let aws = [("backend", "aws"), ("aws.bucket", "uploads")];
    for (backend, url, is_taken) in [
        (&aws[..], "s3://photos/größe%20%2B.jpg", true),
        (&aws[..], "s3://photos/a?versionId=1", true),
        (&aws[..], "s3://photos/a?x=1", false),
        (&aws[..], "s3://photos/a b", false),
        (&aws[..], "s3://photos", false),
        (&[], "s3://photos/a", false),
    ] {
        let fixture = Fixture::with(backend).await;
        let answer =
            fixture.post("/v1/requests", &body(|b| b["images"][0]["url"] = json!(url))).await;
        if is_taken {
            assert_eq!(answer.status, StatusCode::ACCEPTED, "{url}: {}", answer.json);
        } else {
            check(&answer, 422, "INVALID_VALUE");
            assert_eq!(answer.json["errors"][0]["field"], "images[0].url");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn values_that_cannot_be_are_named() {
    let code = "INVALID_VALUE";
    refused(&body(|b| b["images"] = json!([])), 422, code, "images").await;
    refused(&body(|b| b["models"] = json!([])), 422, code, "models").await;
    refused(&body(|b| b["models"] = json!(["cat", "cat"])), 422, code, "models[1]").await;
    for url in [
        "ftp://a.example/1.jpg",
        "nothing",
        "",
        "flota://sha256/123",
        "s3://bucket/key",
        "https://",
        "file:///etc/passwd",
        "https://a.example/\"",
        "https://a.example/ b",
        &format!("https://a.example/{}", "x".repeat(2048)),
    ] {
        refused(&body(|b| b["images"][0]["url"] = json!(url)), 422, code, "images[0].url").await;
    }
    refused(&body(|b| b["images"][0]["id"] = json!("x".repeat(129))), 422, code, "images[0].id")
        .await;
    refused(&body(|b| b["images"][0]["id"] = json!("")), 422, code, "images[0].id").await;
    refused(&body(|b| b["metadata"] = json!({"x": "y".repeat(4096)})), 422, code, "metadata").await;
    let events = json!({"url": "https://a.example", "events": []});
    refused(&body(|b| b["callback"] = events), 422, code, "callback.events").await;
    for url in [
        "http://127.0.0.1/",
        "http://localhost:9/",
        "http://[::1]/",
        "http://169.254.169.254/latest/meta-data",
        "http://0x7f000001/",
        "ftp://a.example/",
        "https://user:password@a.example/",
    ] {
        refused(&body(|b| b["callback"] = json!({"url": url})), 422, code, "callback.url").await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_supported_yet_is_said() {
    let code = "NOT_SUPPORTED";
    refused(&body(|b| b["priority"] = json!("high")), 422, code, "priority").await;
    let deadline = json!("2026-01-02T00:00:00Z");
    refused(&body(|b| b["deadline"] = deadline), 422, code, "deadline").await;
}

#[tokio::test(start_paused = true)]
async fn limits_are_told() {
    let image = json!({"url": "https://a.example/"});
    let images = |count| body(|b| b["images"] = Value::Array(vec![image.clone(); count]));
    let problem = refused(&images(1001), 422, "LIMIT_EXCEEDED", "").await;
    assert_eq!(problem["limit"], 1000);
    let both = images(501).replace(r#"["cat"]"#, r#"["cat","dog"]"#);
    refused(&both, 422, "LIMIT_EXCEEDED", "").await;
    let large = body(|b| b["metadata"] = json!({"x": "y".repeat(MAX_API_BODY_BYTES)}));
    let problem = refused(&large, 413, "BODY_TOO_LARGE", "").await;
    assert_eq!(problem["limit"], MAX_API_BODY_BYTES);

    let fixture = Fixture::new().await;
    assert_eq!(fixture.post("/v1/requests", &images(1000)).await.status, StatusCode::ACCEPTED);
}

#[tokio::test(start_paused = true)]
async fn an_upload_stops_at_its_limit_announced_or_not() {
    let fixture = Fixture::with(&[("server.max_upload_bytes", "1024")]).await;
    let chunks = |count: usize| {
        let chunks = (0..count).map(|_| Ok::<_, std::io::Error>(vec![7_u8; 256]));
        Body::from_stream(futures::stream::iter(chunks))
    };
    let answer = fixture.call("POST", "/v1/images", &[], chunks(5)).await;
    check(&answer, 413, "BODY_TOO_LARGE");
    assert_eq!(answer.json["limit"], 1024);
    let announced = [("content-length", "1025")];
    let answer = fixture.call("POST", "/v1/images", &announced, Body::from(vec![7; 1025])).await;
    check(&answer, 413, "BODY_TOO_LARGE");
    let answer = fixture.call("POST", "/v1/images", &[], chunks(4)).await;
    assert_eq!((answer.status.as_u16(), &answer.json["size_bytes"]), (201, &json!(1024)));
}

#[tokio::test(start_paused = true)]
async fn an_upload_in_a_content_encoding_counts_by_what_comes_out() {
    // The output of Python's zlib for `bytes`, and for two kilobytes of zeros.
    const DEFLATED: &[u8] = b"\x78\x9c\x4b\xaa\x2c\x49\x2d\x06\0\x06\x6c\x02\x28";
    const BOMB: &[u8] =
        b"\x78\xda\x63\x60\x18\x05\xa3\x60\x14\x8c\x82\x51\x30\x0a\x46\xc1\x48\x03\0\x08\0\0\x01";
    let fixture = Fixture::with(&[("server.max_upload_bytes", "1024")]).await;
    let upload = |encoding: &'static str, body: &'static [u8]| {
        let fixture = &fixture;
        async move {
            let headers = [("content-encoding", encoding)];
            fixture.call("POST", "/v1/images", &headers, Body::from(body)).await
        }
    };
    let answer = upload("deflate", DEFLATED).await;
    let plain = fixture.post("/v1/images", "bytes").await;
    assert_eq!((answer.status.as_u16(), &answer.json), (201, &plain.json));
    assert_eq!(answer.json["size_bytes"], 5);
    let answer = upload("deflate", BOMB).await;
    check(&answer, 413, "BODY_TOO_LARGE");
    assert_eq!(answer.json["limit"], 1024);
    check(&upload("br", b"bytes").await, 400, "CONTENT_ENCODING_DAMAGED");
    check(&upload("zstd", b"bytes").await, 415, "CONTENT_ENCODING_UNKNOWN");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_a_problem_too() {
    let fixture = Fixture::new().await;
    check(&fixture.get("/v1/nothing").await, 404, "NOT_FOUND");
    let wrong_method = fixture.call("DELETE", "/v1/requests", &[], "").await;
    check(&wrong_method, 405, "METHOD_NOT_ALLOWED");
    assert_eq!(wrong_method.headers["allow"], "POST");
    let unknown = "/v1/requests/req_00000000000000000000000000000007";
    check(&fixture.get(unknown).await, 404, "REQUEST_NOT_FOUND");
    check(&fixture.get("/v1/requests/7").await, 404, "REQUEST_NOT_FOUND");
    check(&fixture.get("/v1/requests/%ff").await, 404, "NOT_FOUND");
    let redelivery = fixture.post(&format!("{unknown}/callback"), "").await;
    check(&redelivery, 404, "REQUEST_NOT_FOUND");
    check(&fixture.get("/v1/dead-letters/dead_1").await, 404, "DEAD_LETTER_NOT_FOUND");
    check(&fixture.get("/v1/dead-letters?reason=x").await, 400, "INVALID_QUERY");
    check(&fixture.get("/v1/dead-letters?sort=x").await, 400, "INVALID_QUERY");
    check(&fixture.get(&format!("{unknown}?wait=soon")).await, 400, "INVALID_QUERY");
    check(&fixture.get("/v1/predictions?image=x").await, 400, "INVALID_QUERY");
    check(&fixture.get("/v1/predictions").await, 400, "INVALID_QUERY");
    for unnamed in ["s3://photos/a", "s3://photos/a%3Fetag=1", "s3://photos"] {
        let path = format!("/v1/predictions?image={unnamed}");
        check(&fixture.get(&path).await, 400, "INVALID_QUERY");
    }
    let id = fixture.submit(1, &["cat"], None).await;
    let no_callback = fixture.post(&format!("/v1/requests/{id}/callback"), "").await;
    check(&no_callback, 404, "CALLBACK_NOT_FOUND");
    for round in [0, 2, 99] {
        let no_round = fixture.get(&format!("/v1/requests/{id}?round={round}")).await;
        check(&no_round, 404, "ROUND_NOT_FOUND");
        assert_eq!(no_round.json["detail"], "the request has round 1 alone");
    }
    let first = fixture.get(&format!("/v1/requests/{id}?round=1")).await;
    assert_eq!(first.status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_repeated_submission_is_the_same_one_and_another_is_refused() {
    let fixture = Fixture::new().await;
    let key = [("idempotency-key", "order-7")];
    let first = fixture.call("POST", "/v1/requests", &key, body(|_| ())).await;
    let written_otherwise = r#" {"models": ["cat"], "metadata": null,
        "images": [{"url": "https://images.example/1.jpg"}]} "#;
    let again = fixture.call("POST", "/v1/requests", &key, written_otherwise).await;
    assert_eq!(again.status, StatusCode::ACCEPTED);
    assert_eq!(again.json["id"], first.json["id"]);
    assert_eq!(again.headers["location"], first.headers["location"]);
    assert_eq!(again.headers["idempotent-replayed"], "true");
    assert_eq!(fixture.take_tasks("cat").await.len(), 1);
    let other = body(|b| b["models"] = json!(["dog"]));
    let other = fixture.call("POST", "/v1/requests", &key, other).await;
    check(&other, 422, "IDEMPOTENCY_KEY_REUSED");
    for key in ["", &"x".repeat(256)] {
        let headers = [("idempotency-key", key)];
        let answer = fixture.call("POST", "/v1/requests", &headers, body(|_| ())).await;
        check(&answer, 400, "INVALID_HEADER");
    }
}
