use std::sync::Arc;

use flota_core::{
    Code,
    ports::{FetchError, Images},
};
use flota_platform::{
    net::{AddressPolicy, HostLimiter, ImagesByUrl},
    settings::Settings,
};

use crate::{
    server::{Reply, Server, answer_text, redirect},
    web::{MAX_BYTES, images, images_under},
};

const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

/// What comes of an image whose server answers `reply`.
async fn check(reply: Reply) -> Result<Vec<u8>, FetchError> {
    let server = Server::start(move |_| reply.clone()).await;
    images().fetch(&server.url("/a.jpg"), MAX_BYTES).await.map(Vec::from)
}

async fn check_code(reply: Reply, code: Code) {
    let fetched = check(reply).await;
    assert_eq!(fetched.as_ref().map_err(|error| error.code), Err(code), "{fetched:?}");
}

#[tokio::test]
async fn the_bytes_of_an_image_arrive() {
    assert_eq!(check(answer_text("200 OK", &[], "bytes")).await.unwrap(), b"bytes");
    let chunks = format!("{CHUNKED}3\r\nbyt\r\n2\r\nes\r\n0\r\n\r\n");
    assert_eq!(check(Reply::Text(chunks)).await.unwrap(), b"bytes");
    assert_eq!(check(answer_text("200 OK", &[], "")).await.unwrap(), b"");
    let largest = "x".repeat(MAX_BYTES as usize);
    assert_eq!(check(answer_text("200 OK", &[], &largest)).await.unwrap(), largest.as_bytes());
}

/// What Python's zlib makes of `bytes`.
const DEFLATED: &[u8] = b"\x78\x9c\x4b\xaa\x2c\x49\x2d\x06\0\x06\x6c\x02\x28";

#[tokio::test]
async fn a_content_encoding_is_undone_and_not_asked_for() {
    let answer = |encoding: &str, body: &[u8]| {
        let length = body.len();
        let head = format!("content-length: {length}\r\ncontent-encoding: {encoding}\r\n");
        let head = format!("HTTP/1.1 200 OK\r\n{head}connection: close\r\n\r\n");
        Reply::Bytes([head.as_bytes(), body].concat())
    };
    assert_eq!(check(answer("deflate", DEFLATED)).await.unwrap(), b"bytes");
    let twice = "identity\r\ncontent-encoding: deflate";
    assert_eq!(check(answer(twice, DEFLATED)).await.unwrap(), b"bytes");
    check_code(answer("deflate", b"bytes"), Code::DecodeCorrupt).await;
    check_code(answer("zstd", b"bytes"), Code::DecodeUnsupported).await;
    // Two kilobytes of nothing.
    let bomb =
        b"\x78\xda\x63\x60\x18\x05\xa3\x60\x14\x8c\x82\x51\x30\x0a\x46\xc1\x48\x03\0\x08\0\0\x01";
    check_code(answer("deflate", bomb), Code::ImageTooLarge).await;

    let server = Server::start(|_| answer_text("200 OK", &[], "bytes")).await;
    images().fetch(&server.url("/a.jpg"), MAX_BYTES).await.unwrap();
    let request = server.requests().concat().to_lowercase();
    assert!(request.contains("\r\naccept-encoding: identity\r\n"), "{request}");
}

#[tokio::test]
async fn each_status_has_its_code() {
    for (status, code) in [
        ("404 Not Found", Code::FetchNotFound),
        ("410 Gone", Code::FetchNotFound),
        ("400 Bad Request", Code::FetchNotFound),
        ("304 Not Modified", Code::FetchNotFound),
        ("401 Unauthorized", Code::FetchDenied),
        ("403 Forbidden", Code::FetchDenied),
        ("451 Unavailable For Legal Reasons", Code::FetchDenied),
        ("206 Partial Content", Code::FetchFailed),
        ("408 Request Timeout", Code::FetchFailed),
        ("429 Too Many Requests", Code::FetchFailed),
        ("500 Internal Server Error", Code::FetchFailed),
        ("503 Service Unavailable", Code::FetchFailed),
    ] {
        check_code(answer_text(status, &[], "no"), code).await;
    }
}

#[tokio::test]
async fn too_many_bytes_are_refused_as_soon_as_they_are_known() {
    let announced = "HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n".to_owned();
    check_code(Reply::Stall(announced), Code::ImageTooLarge).await;
    let endless = Reply::Endless(CHUNKED.to_owned(), "5\r\nxxxxx\r\n".to_owned());
    check_code(endless, Code::ImageTooLarge).await;
    let unannounced = "HTTP/1.0 200 OK\r\n\r\n".to_owned();
    check_code(Reply::Endless(unannounced, "xxxxx".to_owned()), Code::ImageTooLarge).await;
}

#[tokio::test]
async fn a_body_that_ends_early_is_a_failure_that_time_may_heal() {
    for text in [
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this".to_owned(),
        format!("{CHUNKED}5\r\nbytes\r\n"),
        format!("{CHUNKED}5\r\nby"),
        "HTTP/1.1 200 OK\r\ncontent-le".to_owned(),
        "no HTTP at all\r\n\r\n".to_owned(),
        String::new(),
    ] {
        check_code(Reply::Text(text), Code::FetchFailed).await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_deadline_holds_for_all_of_it() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n".to_owned();
    check_code(Reply::Stall(String::new()), Code::FetchTimeout).await;
    check_code(Reply::Stall(head.clone()), Code::FetchTimeout).await;
    check_code(Reply::Drip(head), Code::FetchTimeout).await;
    check_code(Reply::Drip("HTTP/1.1 200 OK\r\nx-".to_owned()), Code::FetchTimeout).await;
}

#[tokio::test]
async fn redirects_are_followed_to_the_image_up_to_a_number() {
    let hop = |path: &str| match path {
        "/0" => redirect("/1"),
        "/1" => redirect("2?signed=1"),
        "/2?signed=1" => redirect("/3"),
        "/3" => answer_text("200 OK", &[], "bytes"),
        _ => redirect("/0"),
    };
    let server = Server::start(hop).await;
    let images = images();
    let fetched = images.fetch(&server.url("/0"), MAX_BYTES).await;
    assert_eq!(fetched.unwrap().as_ref(), b"bytes");
    let error = images.fetch(&server.url("/other"), MAX_BYTES).await.unwrap_err();
    assert_eq!(error.code, Code::FetchNotFound, "one hop too many: {error}");
    assert!(!error.code.is_transient());
    let hops = server.requests();
    assert!(hops.iter().all(|request| !request.to_lowercase().contains("referer:")), "{hops:?}");
}

#[tokio::test]
async fn a_loop_of_redirects_and_a_port_without_servers_fail_for_good() {
    let server = Server::start(redirect).await;
    for (address, said) in [
        (server.url("/again"), "redirects more than 3 times"),
        ("http://127.0.0.1:0/a.jpg".to_owned(), "port 0"),
        ("http://photos.example:0/a.jpg".to_owned(), "port 0"),
    ] {
        let error = images().fetch(&address, MAX_BYTES).await.unwrap_err();
        assert_eq!(error.code, Code::FetchNotFound, "{address}");
        assert!(error.message.contains(said) && !error.code.is_transient(), "{error}");
    }
    check_code(redirect("http://127.0.0.1:0/"), Code::FetchNotFound).await;
}

#[tokio::test]
async fn every_hop_of_a_redirect_is_checked() {
    for location in [
        "http://10.0.0.1/a.jpg",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]:1/",
        "http://[::ffff:192.168.0.1]/",
        "//192.168.0.1/",
        "http://0xa9fea9fe/",
        "file:///etc/passwd",
        "flota://sha256/00",
        "http://me:pw@127.0.0.1/",
        "http://",
    ] {
        check_code(redirect(location), Code::FetchForbiddenAddress).await;
    }
    check_code(answer_text("302 Found", &[], ""), Code::FetchNotFound).await;
}

#[tokio::test]
async fn loopback_is_refused_unless_it_is_allowed() {
    let server = Server::start(|_| answer_text("200 OK", &[], "bytes")).await;
    let images = images_under(AddressPolicy::default(), &Settings::default());
    let error = images.fetch(&server.url("/"), MAX_BYTES).await.unwrap_err();
    assert_eq!(error.code, Code::FetchForbiddenAddress);
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_server_that_is_not_there_may_come_back() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let error = images().fetch(&address, MAX_BYTES).await.unwrap_err();
    assert_eq!(error.code, Code::FetchFailed);
    assert!(error.source.is_some(), "the log has no cause");
}

#[tokio::test]
async fn the_scheme_leads_to_the_store_or_to_the_web() {
    let clock = Arc::new(flota_memory::ManualClock::new(1));
    let objects = HostLimiter::new(Settings::default().object_limits(), clock.clone());
    let images = ImagesByUrl::new(flota_memory::open(clock).images, objects, images());
    let sha256 = images.put("uploaded".into()).await.unwrap();
    let uploaded = images.fetch(&format!("flota://sha256/{sha256}"), MAX_BYTES).await.unwrap();
    assert_eq!(uploaded.as_ref(), b"uploaded");
    let server = Server::start(|_| answer_text("200 OK", &[], "bytes")).await;
    assert_eq!(images.fetch(&server.url("/"), MAX_BYTES).await.unwrap().as_ref(), b"bytes");
    for address in ["s3://bucket/key", "flota://other/1", "photo.jpg", ""] {
        let error = images.fetch(address, MAX_BYTES).await.unwrap_err();
        assert_eq!(error.code, Code::FetchForbiddenAddress, "{address:?}");
    }
}
