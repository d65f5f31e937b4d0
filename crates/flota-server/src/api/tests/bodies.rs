//! Request bodies that arrive slowly, stall, break off, or need more memory than there is.

use std::{io, time::Duration};

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use futures::{StreamExt, stream};
use serde_json::json;
use tokio::time::Instant;
use tower::ServiceExt;

use super::bad_input::{body, check};
use crate::{
    shares::Peer,
    testing::{Answer, Fixture, sha_of},
};

const MIB: usize = 1024 * 1024;
/// Memory for four bodies of a megabyte, and for three of one peer.
const SMALL: &[(&str, &str)] =
    &[("server.max_upload_bytes", "1048576"), ("server.max_body_bytes", "4194304")];

/// A body of `burst_bytes` that arrive at once, followed by a byte per second for ever.
fn dripping(burst_bytes: usize) -> Body {
    let burst = stream::iter([vec![7_u8; burst_bytes]]);
    let drops = stream::repeat(()).then(|()| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        vec![7_u8]
    });
    Body::from_stream(burst.chain(drops).map(Ok::<_, io::Error>))
}

/// Uploads `body` from the peer with this IP address.
async fn upload_from(fixture: &Fixture, address: &str, body: Body) -> Answer {
    let request = Request::post("/v1/images")
        .header("host", "127.0.0.1:8080")
        .extension(Peer::of(address.parse().unwrap()))
        .body(body)
        .unwrap();
    Answer::of(fixture.router.clone().oneshot(request).await.unwrap()).await
}

#[tokio::test(start_paused = true)]
async fn uploads_that_drip_hold_only_what_has_arrived_and_not_for_long() {
    let fixture = Fixture::new().await;
    let began = Instant::now();
    let drips = futures::future::join_all((0..64).map(|_| {
        fixture.call("POST", "/v1/images", &[("content-length", "33554432")], dripping(1024))
    }));
    let honest = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let answer = fixture.call("POST", "/v1/images", &[], vec![1_u8; 32 * MIB]).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.json);
        assert_eq!(began.elapsed(), Duration::from_secs(1), "on the paused clock");
    };
    let (drips, ()) = tokio::join!(drips, honest);
    for answer in drips {
        check(&answer, 408, "BODY_TIMEOUT");
    }
    assert_eq!(began.elapsed(), Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn what_arrived_at_once_buys_no_time_to_stall() {
    let fixture = Fixture::new().await;
    let began = Instant::now();
    check(&fixture.call("POST", "/v1/images", &[], dripping(8 * MIB)).await, 408, "BODY_TIMEOUT");
    assert_eq!(began.elapsed(), Duration::from_secs(20));
    let json = fixture.call("POST", "/v1/requests", &[], dripping(1024)).await;
    check(&json, 408, "BODY_TIMEOUT");
}

#[tokio::test(start_paused = true)]
async fn a_slow_client_that_goes_on_is_waited_for() {
    let fixture = Fixture::new().await;
    let chunks = stream::iter(0..100).then(|n| async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok::<_, io::Error>(vec![n; 20 * 1024])
    });
    let answer = fixture.call("POST", "/v1/images", &[], Body::from_stream(chunks)).await;
    assert_eq!((answer.status.as_u16(), &answer.json["size_bytes"]), (201, &json!(2_048_000)));
}

#[tokio::test(start_paused = true)]
async fn a_peer_has_a_share_of_the_room_and_others_the_rest() {
    let fixture = Fixture::with(SMALL).await;
    let began = Instant::now();
    let greedy = (0..4).map(|_| upload_from(&fixture, "192.0.2.1", dripping(MIB - 100)));
    let greedy = futures::future::join_all(greedy);
    let other = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let answer = upload_from(&fixture, "192.0.2.2", vec![1_u8; MIB].into()).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.json);
        assert_eq!(began.elapsed(), Duration::from_secs(1), "on the paused clock");
    };
    let (mut greedy, ()) = tokio::join!(greedy, other);
    greedy.sort_by_key(|answer| answer.status);
    for answer in &greedy[..3] {
        check(answer, 408, "BODY_TIMEOUT");
    }
    check(&greedy[3], 503, "OVERLOADED");
    assert_eq!(greedy[3].headers["retry-after"], "1");
    let answer = upload_from(&fixture, "192.0.2.1", vec![1_u8; MIB].into()).await;
    assert_eq!(answer.status, StatusCode::CREATED, "what was held is free again");
}

#[tokio::test(start_paused = true)]
async fn who_goes_away_leaves_nothing_behind() {
    let fixture = Fixture::with(SMALL).await;
    for _ in 0..5 {
        let chunks = stream::iter([Ok(vec![7_u8; MIB / 2]), Err(io::Error::other("reset"))]);
        let answer = fixture.call("POST", "/v1/images", &[], Body::from_stream(chunks)).await;
        check(&answer, 400, "BODY_INCOMPLETE");
        let gone = fixture.call("POST", "/v1/images", &[], dripping(MIB / 2));
        tokio::time::timeout(Duration::from_secs(3), gone).await.unwrap_err();
    }
    for _ in 0..3 {
        let answer = fixture.call("POST", "/v1/images", &[], vec![1_u8; MIB]).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.json);
    }
}

#[tokio::test(start_paused = true)]
async fn an_image_that_went_to_a_file_is_the_same_image() {
    let fixture = Fixture::new().await;
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let answer = fixture.call("POST", "/v1/images", &[], bytes.clone()).await;
    let sha256 = flota_core::Sha256::of(&bytes).to_string();
    let url = format!("flota://sha256/{sha256}");
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.json);
    assert_eq!(answer.json, json!({"url": url, "sha256": sha256, "size_bytes": 3_000_000}));
    assert_eq!(fixture.platform.images.fetch(&url, 3_000_000).await.unwrap(), bytes);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_an_image_is_refused() {
    let fixture = Fixture::new().await;
    check(&fixture.call("POST", "/v1/images", &[], "").await, 422, "INVALID_VALUE");
    // The output of Python's gzip for an empty input.
    let nothing: &[u8] = b"\x1f\x8b\x08\0\0\0\0\0\x02\x03\x03\0\0\0\0\0\0\0\0\0";
    let encoded = [("content-encoding", "gzip")];
    let answer = fixture.call("POST", "/v1/images", &encoded, nothing).await;
    check(&answer, 422, "INVALID_VALUE");
    for form in ["multipart/form-data; boundary=x", "Multipart/Mixed"] {
        let answer = fixture.call("POST", "/v1/images", &[("content-type", form)], "--x").await;
        check(&answer, 415, "UNSUPPORTED_MEDIA_TYPE");
    }
    for kind in ["image/jpeg", "application/x-www-form-urlencoded", ""] {
        let answer = fixture.call("POST", "/v1/images", &[("content-type", kind)], "bytes").await;
        assert_eq!(answer.status, StatusCode::CREATED, "{kind}");
        assert_eq!(answer.json["sha256"], sha_of("bytes").to_string());
    }
}

#[tokio::test(start_paused = true)]
async fn json_takes_of_the_same_room() {
    let fixture = Fixture::with(SMALL).await;
    let held = futures::future::join_all(
        (0..3).map(|_| fixture.call("POST", "/v1/images", &[], dripping(MIB - 20))),
    );
    let refused = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let answer = fixture.call("POST", "/v1/requests", &[], body(|_| ())).await;
        check(&answer, 503, "OVERLOADED");
    };
    tokio::join!(held, refused);
    let answer = fixture.call("POST", "/v1/requests", &[], body(|_| ())).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
}
