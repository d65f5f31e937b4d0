use std::time::Duration;

use flota_core::ports::{PostAnswer, PostError, PostRequest, Poster};
use flota_platform::net::{AddressPolicy, GuardedClient, HttpPoster};

use crate::server::{Reply, Server, answer_text, redirect};

fn poster() -> HttpPoster {
    let policy = AddressPolicy::new(vec!["127.0.0.0/8".parse().unwrap()]);
    HttpPoster::new(GuardedClient::new(policy).unwrap())
}

fn request(url: String) -> PostRequest {
    let headers = [("webhook-id", "msg_1"), ("content-type", "application/json")];
    PostRequest {
        url,
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        body: br#"{"done": true}"#.to_vec(),
        deadline: Duration::from_secs(15),
    }
}

/// What comes of a POST to a server that answers `reply`.
async fn check(reply: Reply) -> Result<PostAnswer, PostError> {
    let server = Server::start(move |_| reply.clone()).await;
    poster().post(request(server.url("/hook"))).await
}

#[tokio::test]
async fn the_exact_bytes_and_headers_are_posted() {
    let server = Server::start(|_| answer_text("204 No Content", &[], "")).await;
    let answer = poster().post(request(server.url("/hook?key=1"))).await.unwrap();
    assert_eq!(answer, PostAnswer { status: 204, retry_after: None });
    let requests = server.requests();
    let [posted] = requests.as_slice() else { panic!("{requests:?}") };
    assert!(posted.starts_with("POST /hook?key=1 HTTP/1.1\r\n"), "{posted}");
    assert!(posted.contains("webhook-id: msg_1\r\n"), "{posted}");
    assert!(posted.ends_with("\r\n\r\n{\"done\": true}"), "{posted}");
}

#[tokio::test]
async fn every_status_is_an_answer_and_no_redirect_is_followed() {
    let server = Server::start(|path| match path {
        "/moved" => redirect("/hook"),
        _ => answer_text("503 Service Unavailable", &[("retry-after", "120")], "later"),
    })
    .await;
    let moved = poster().post(request(server.url("/moved"))).await.unwrap();
    assert_eq!(moved.status, 302);
    assert_eq!(server.requests().len(), 1);
    let busy = poster().post(request(server.url("/hook"))).await.unwrap();
    assert_eq!(busy, PostAnswer { status: 503, retry_after: Some("120".to_owned()) });
}

#[tokio::test]
async fn a_body_without_end_is_not_read_to_the_end() {
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_owned();
    let answer = check(Reply::Endless(head, "5\r\nxxxxx\r\n".to_owned())).await.unwrap();
    assert_eq!(answer.status, 200);
}

#[tokio::test(start_paused = true)]
async fn one_deadline_holds_until_the_answer_is_known() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n".to_owned();
    for reply in [Reply::Stall(String::new()), Reply::Drip("HTTP/1.1 200 OK\r\nx-".to_owned())] {
        let answer = check(reply).await;
        assert!(matches!(answer, Err(PostError::Timeout(_))), "{answer:?}");
    }
    let begun = tokio::time::Instant::now();
    for reply in [Reply::Stall(head.clone()), Reply::Drip(head)] {
        assert_eq!(check(reply).await.unwrap().status, 200, "the status says it all");
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "the body was waited for");
}

#[tokio::test]
async fn what_breaks_is_a_failure_that_does_not_tell_the_address() {
    for text in ["", "no HTTP\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-len"] {
        match check(Reply::Text(text.to_owned())).await {
            Err(PostError::Failed(message)) => assert!(!message.contains("/hook"), "{message}"),
            other => panic!("{text:?} came to {other:?}"),
        }
    }
    let mut unsendable = request("http://127.0.0.1:1024/hook".to_owned());
    unsendable.headers.push(("x-line".to_owned(), "a\nb".to_owned()));
    let answer = poster().post(unsendable).await;
    assert!(matches!(answer, Err(PostError::Failed(_))), "{answer:?}");
}

#[tokio::test]
async fn an_answer_counts_whatever_becomes_of_its_body() {
    for (status, code) in [("200 OK", 200), ("503 Service Unavailable", 503)] {
        let cut = format!("HTTP/1.1 {status}\r\ncontent-length: 100\r\n\r\nshort");
        assert_eq!(check(Reply::Text(cut)).await.unwrap().status, code);
    }
}

#[tokio::test]
async fn forbidden_receivers_are_not_posted_to() {
    for address in [
        "http://10.0.0.1/hook",
        "http://[::1]/hook",
        "http://169.254.169.254/",
        "http://me:pw@127.0.0.1/",
        "ftp://127.0.0.1/",
        "hook",
    ] {
        let answer = poster().post(request(address.to_owned())).await;
        assert!(matches!(answer, Err(PostError::ForbiddenAddress(_))), "{address}: {answer:?}");
    }
}
