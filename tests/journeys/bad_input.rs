use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Api, Home, ImageServer, MODEL, Receiver, free_port, image};

/// Posts `body` as a request and looks at the problem that comes back.
async fn check(api: &Api, body: &str, status: u16, code: &str, named: &str) {
    let headers = [("content-type", "application/json")];
    let (found, problem) = api.post_text("/v1/requests", &headers, body).await;
    assert_eq!(found.as_u16(), status, "{body}: {problem}");
    assert_eq!(problem["code"], code, "{body}: {problem}");
    assert!(problem.to_string().contains(named), "`{named}` is not named: {problem}");
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_named() {
    let (home, receiver) = (Home::new(), Receiver::start().await);
    let _fleet = home.start_fleet(&receiver).await;
    let api = home.api();
    let with =
        |images: Value, models: Value| json!({ "images": images, "models": models }).to_string();
    let one = json!([{ "url": "https://example.org/a.jpg" }]);
    let many: Value = (0..1001).map(|n| json!({ "url": format!("https://a/{n}") })).collect();
    let long = json!([{ "url": format!("https://a/{}", "x".repeat(2048)) }]);

    check(&api, "{", 400, "MALFORMED_JSON", "").await;
    check(&api, r#"{"images":[],"model":[]}"#, 400, "INVALID_FIELD", "model").await;
    check(&api, &with(json!("a"), json!([MODEL])), 400, "INVALID_FIELD", "images").await;
    check(&api, &with(one.clone(), json!(["no-such"])), 422, "UNKNOWN_MODEL", MODEL).await;
    check(&api, &with(json!([]), json!([MODEL])), 422, "INVALID_VALUE", "images").await;
    check(&api, &with(many, json!([MODEL])), 422, "LIMIT_EXCEEDED", "1000").await;
    check(&api, &with(long, json!([MODEL])), 422, "INVALID_VALUE", "images[0].url").await;
    let huge = with(json!([{ "url": "x".repeat(8_000_000) }]), json!([MODEL]));
    check(&api, &huge, 413, "BODY_TOO_LARGE", "").await;
    let file = json!([{ "url": "file:///etc/passwd" }]);
    check(&api, &with(file, json!([MODEL])), 422, "INVALID_VALUE", "images[0].url").await;
    let (status, problem) = api.get("/v1/requests/req_0").await;
    assert_eq!((status, &problem["code"]), (StatusCode::NOT_FOUND, &json!("REQUEST_NOT_FOUND")));
}

#[tokio::test]
async fn images_that_cannot_be_had_or_read_are_outcomes_and_harm_no_other() {
    let home = Home::new().with("FLOTA__WORKER__FETCH_TIMEOUT_MS", "300");
    // All servers are one host here, and some cases are to fail while others succeed.
    let home = home.with("FLOTA__FETCH__BREAKER_FAILURES", "1000");
    let home = home.with("FLOTA__FETCH__RETRY_FOR_MS", "4000");
    let (receiver, images) = (Receiver::start().await, ImageServer::start().await);
    let _fleet = home.start_fleet(&receiver).await;
    let api = home.api();
    let whole = image(1);
    let cases = [
        (api.upload(whole.clone()).await, None),
        (api.upload(b"this is no picture".to_vec()).await, Some("DECODE_UNSUPPORTED")),
        (api.upload(whole[..whole.len() / 2].to_vec()).await, Some("DECODE_CORRUPT")),
        (images.url("/status/200"), Some("IMAGE_EMPTY")),
        (api.upload(bomb()).await, Some("IMAGE_TOO_LARGE")),
        (images.url("/status/404"), Some("FETCH_NOT_FOUND")),
        (images.url("/status/403"), Some("FETCH_DENIED")),
        ("http://10.0.0.1/a.png".to_owned(), Some("FETCH_FORBIDDEN_ADDRESS")),
        ("http://169.254.169.254/latest".to_owned(), Some("FETCH_FORBIDDEN_ADDRESS")),
        (format!("flota://sha256/{}", "0".repeat(64)), Some("FETCH_NOT_FOUND")),
        (images.url("/hangs"), Some("FETCH_TIMEOUT")),
        (format!("http://127.0.0.1:{}/a.png", free_port()), Some("FETCH_FAILED")),
        (images.url("/recovers/5"), None),
    ];
    let addresses: Vec<_> = cases.iter().map(|(address, _)| address.clone()).collect();
    let request = api.submit(&addresses, &receiver.url()).await;

    let finished = api.finished(&request).await;
    assert_eq!(finished["status"], "partially_failed");
    let outcomes = api.outcomes(&request).await;
    for (n, (address, code)) in cases.iter().enumerate() {
        let outcome = &outcomes[&(n as u64)];
        match code {
            None => assert_eq!(outcome["outcome"], "succeeded", "{address}: {outcome}"),
            Some(code) => check_failure(address, outcome, code),
        }
    }
    receiver.callback_of(&request).await;
}

/// What time may heal keeps its code when the time is up, and counts no attempts.
#[track_caller]
fn check_failure(address: &str, outcome: &Value, code: &str) {
    assert_eq!(outcome["outcome"], "failed", "{address}: {outcome}");
    assert!(outcome["message"].as_str().is_some_and(|message| !message.is_empty()));
    assert_eq!(outcome["code"], code, "{address}: {outcome}");
    assert_eq!(outcome["attempts"], 1, "{address}: {outcome}");
}

/// A PNG of a few bytes whose header promises an image of 60,000 x 60,000.
fn bomb() -> Vec<u8> {
    let mut bytes = image(1);
    let header = 16..24;
    bytes[header].copy_from_slice(&[60_000_u32.to_be_bytes(), 60_000_u32.to_be_bytes()].concat());
    // The header's checksum follows it.
    let checksum = crc32(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&checksum.to_be_bytes());
    bytes
}

/// CRC-32 as PNG uses it (ISO 3309), bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 };
    !bytes
        .iter()
        .fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
}
