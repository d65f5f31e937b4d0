//! Hosts that fail, are silent, drip or flood: what it costs, and what is said.

use std::{sync::Arc, time::Duration};

use flota_core::{
    Code,
    limits::MAX_MESSAGE_DELAY,
    ports::{FetchError, Images, Retry},
};
use flota_platform::settings::Settings;
use futures::future::join_all;

use crate::{
    server::{Reply, Server, answer_text, redirect},
    web::{MAX_BYTES, images, images_under, loopback},
};

const HEAD: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

async fn fetch(reply: Reply) -> Result<Vec<u8>, FetchError> {
    let server = Server::start(move |_| reply.clone()).await;
    images().fetch(&server.url("/a.jpg"), MAX_BYTES).await.map(Vec::from)
}

#[tokio::test]
async fn a_failing_host_gets_few_requests_and_others_are_told_when_to_come() {
    let server = Server::start(|_| answer_text("500 Internal Server Error", &[], "")).await;
    let images = images();
    let url = server.url("/a");
    let mut errors = Vec::new();
    for _ in 0..200 {
        errors.push(images.fetch(&url, MAX_BYTES).await.unwrap_err());
    }
    assert_eq!(server.requests().len(), 5, "the breaker lets none through");
    let last = errors.last().unwrap();
    assert_eq!(last.code, Code::FetchFailed);
    assert!(last.message.contains("500"), "the last real failure is said: {}", last.message);
    let waits: Vec<Duration> = errors[5..]
        .iter()
        .map(|error| match error.retry {
            Retry::Open { after } => after,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(waits[0] > Duration::from_secs(8), "{waits:?}");
    assert!(waits[194] - waits[0] > Duration::from_secs(3), "all come again at once");
    let other = Server::start(|_| answer_text("200 OK", &[], "bytes")).await;
    let other = other.url("/a").replace("127.0.0.1", "127.0.0.2");
    let refused = images.fetch(&other, MAX_BYTES).await;
    // Nobody listens there, but it was tried: a host is no other's.
    assert!(matches!(refused.unwrap_err().retry, Retry::Later { .. }));
}

#[tokio::test]
async fn a_host_that_says_when_is_asked_again_then() {
    let asked = [("retry-after", "15")];
    let server = Server::start(move |_| answer_text("503 Service Unavailable", &asked, "")).await;
    let images = images();
    let first = images.fetch(&server.url("/a"), MAX_BYTES).await.unwrap_err();
    assert!(matches!(first.retry, Retry::Later { after } if after.as_secs() >= 14));
    let second = images.fetch(&server.url("/b"), MAX_BYTES).await.unwrap_err();
    assert!(matches!(second.retry, Retry::Open { after } if after.as_secs() >= 14));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_wish_for_ever_is_cut() {
    let asked = [("retry-after", "Tue, 31 Dec 2199 23:59:59 GMT")];
    let error = fetch(answer_text("429 Too Many Requests", &asked, "")).await.unwrap_err();
    let Retry::Later { after } = error.retry else { panic!("{:?}", error.retry) };
    assert_eq!(after, MAX_MESSAGE_DELAY);
}

#[tokio::test]
async fn what_time_does_not_heal_is_not_tried_again() {
    for status in ["404 Not Found", "403 Forbidden"] {
        let error = fetch(answer_text(status, &[("retry-after", "5")], "")).await.unwrap_err();
        assert_eq!(error.retry, Retry::Never);
    }
}

#[tokio::test]
async fn a_silent_host_has_a_quarter_of_the_fetches_and_holds_up_no_other() {
    let silent = Server::start(|_| Reply::Stall(String::new())).await;
    let images = Arc::new(images());
    let urls: Vec<String> = (0..200).map(|n| silent.url(&format!("/{n}"))).collect();
    let waiting = {
        let images = images.clone();
        tokio::spawn(
            async move { join_all(urls.iter().map(|url| images.fetch(url, MAX_BYTES))).await },
        )
    };
    while silent.requests().len() < 4 {
        tokio::task::yield_now().await;
    }
    let other = "http://127.0.0.2:1024/a";
    let tried = images.fetch(other, MAX_BYTES).await.unwrap_err();
    assert!(matches!(tried.retry, Retry::Later { .. }), "it had no place: {tried}");
    let mut parked = 0;
    for fetched in waiting.await.unwrap() {
        parked += usize::from(matches!(fetched.unwrap_err().retry, Retry::Busy { .. }));
    }
    assert_eq!(silent.requests().len(), 4, "more than a quarter of 16");
    assert_eq!(parked, 196);
}

#[tokio::test(start_paused = true)]
async fn the_first_byte_has_a_time_of_its_own() {
    let error = fetch(Reply::Stall(String::new())).await.unwrap_err();
    assert_eq!(error.code, Code::FetchTimeout);
    assert!(error.message.contains("did not answer within 5000 ms"), "{}", error.message);
}

#[tokio::test(start_paused = true)]
async fn a_body_slower_than_the_least_rate_is_given_up_before_the_deadline() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n".to_owned();
    let error = fetch(Reply::Drip(head)).await.unwrap_err();
    assert_eq!(error.code, Code::FetchTimeout);
    assert!(error.message.contains("slower than 1024 bytes a second"), "{}", error.message);
    assert!(matches!(error.retry, Retry::Later { .. }));
}

#[tokio::test]
async fn a_body_in_chunks_of_a_byte_ends_soon() {
    let server = Server::start(|_| Reply::Endless(HEAD.to_owned(), "1\r\nx\r\n".to_owned())).await;
    let error = images().fetch(&server.url("/a"), 1 << 30).await.unwrap_err();
    assert!(error.message.contains("chunks of a few bytes"), "{}", error.message);
    assert_eq!(error.retry, Retry::Never);
}

#[tokio::test]
async fn interim_answers_are_bounded() {
    let early = "HTTP/1.1 103 Early Hints\r\n\r\n";
    let ok = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nbytes";
    let some = fetch(Reply::Text(format!("{}{ok}", early.repeat(3)))).await;
    assert_eq!(some.unwrap(), b"bytes");
    let error = fetch(Reply::Endless(String::new(), early.to_owned())).await.unwrap_err();
    assert!(error.message.contains("interim answers"), "{}", error.message);
    assert_eq!(error.retry, Retry::Never);
}

#[tokio::test]
async fn answers_are_read_as_browsers_read_them() {
    let many: String = (0..300).map(|n| format!("x-{n}: y\r\n")).collect();
    let folded = "x-folded: one\r\n  two\r\n";
    for headers in [many.as_str(), folded, "x spaced : y\r\n", "no header\r\n"] {
        let answer = format!(
            "HTTP/1.1 200 OK\r\n{headers}content-length: 5\r\nconnection: close\r\n\r\nbytes"
        );
        let fetched = fetch(Reply::Text(answer)).await;
        assert_eq!(fetched.expect(headers), b"bytes");
    }
    let endless: String = (0..2_000).map(|n| format!("x-{n}: y\r\n")).collect();
    let error = fetch(Reply::Text(format!("HTTP/1.1 200 OK\r\n{endless}\r\n"))).await.unwrap_err();
    assert!(error.message.contains("more headers than are read"), "{}", error.message);
    assert_eq!(error.retry, Retry::Never);
}

#[tokio::test]
async fn a_redirect_in_raw_utf_8_is_followed() {
    let server = Server::start(|path| match path {
        "/a" => redirect("/größe/ł.jpg?q=ü"),
        "/gr%C3%B6%C3%9Fe/%C5%82.jpg?q=%C3%BC" => answer_text("200 OK", &[], "bytes"),
        other => panic!("{other}"),
    })
    .await;
    let fetched = images().fetch(&server.url("/a"), MAX_BYTES).await;
    assert_eq!(fetched.unwrap().as_ref(), b"bytes");
}

#[tokio::test]
async fn a_redirect_leads_to_a_host_with_its_own_breaker() {
    let server = Server::start(|path| match path {
        "/broken" => answer_text("500 Internal Server Error", &[], ""),
        _ => redirect("http://127.0.0.2:1024/a"),
    })
    .await;
    let images = images();
    for _ in 0..5 {
        let error = images.fetch(&server.url("/away"), MAX_BYTES).await.unwrap_err();
        assert!(matches!(error.retry, Retry::Later { .. }), "{error}");
    }
    let error = images.fetch(&server.url("/away"), MAX_BYTES).await.unwrap_err();
    assert!(matches!(error.retry, Retry::Open { .. }), "the second host is asked again");
    let error = images.fetch(&server.url("/broken"), MAX_BYTES).await.unwrap_err();
    assert!(error.message.contains("500"), "the first host answers: {error}");
}

#[tokio::test]
async fn only_some_ports_are_called() {
    for (url, said) in [("http://127.0.0.1:22/", "port 22"), ("https://127.0.0.1:25/", "port 25")] {
        let error = images().fetch(url, MAX_BYTES).await.unwrap_err();
        assert_eq!(error.code, Code::FetchForbiddenAddress);
        assert!(error.message.contains(said), "{}", error.message);
    }
    let server = Server::start(|_| answer_text("200 OK", &[], "bytes")).await;
    let narrow = loopback().on_ports(vec!["443".parse().unwrap()]);
    let images = images_under(narrow, &Settings::default());
    let refused = images.fetch(&server.url("/"), MAX_BYTES).await;
    assert_eq!(refused.unwrap_err().code, Code::FetchForbiddenAddress);
}
