//! Servers that close connections without saying so.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use flota_core::{
    Code,
    ports::{Images, PostRequest, Poster},
};
use flota_platform::net::{GuardedClient, HttpPoster};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::web::{MAX_BYTES, images, loopback};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nbytes";

/// A server that answers so many requests of each connection, takes one more, and closes. Its address,
/// and how many requests it got.
async fn serve(answer_count: usize) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = requests.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let counted = counted.clone();
            tokio::spawn(async move {
                for n in 0.. {
                    let mut head = [0; 4096];
                    match stream.read(&mut head).await {
                        Ok(0) | Err(_) => return,
                        Ok(_) => counted.fetch_add(1, Ordering::SeqCst),
                    };
                    if n == answer_count {
                        return;
                    }
                    let _ = stream.write_all(ANSWER).await;
                }
            });
        }
    });
    (format!("http://{address}/a"), requests)
}

#[tokio::test]
async fn a_reused_connection_that_dies_first_is_no_failure_of_an_image() {
    let (url, requests) = serve(1).await;
    let images = images();
    for n in 1..=20 {
        assert!(images.fetch(&url, MAX_BYTES).await.is_ok(), "the {n}th");
    }
    assert!(requests.load(Ordering::SeqCst) <= 40, "each was sent twice at most");
}

#[tokio::test]
async fn a_fresh_connection_that_dies_first_is_tried_once() {
    let (url, requests) = serve(0).await;
    let error = images().fetch(&url, MAX_BYTES).await.unwrap_err();
    assert_eq!(error.code, Code::FetchFailed);
    assert_eq!(requests.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_reused_connection_that_dies_first_is_no_failure_of_a_callback() {
    let (url, _) = serve(1).await;
    let poster = HttpPoster::new(GuardedClient::new(loopback()).unwrap());
    for _ in 0..10 {
        let request = PostRequest {
            url: url.clone(),
            headers: vec![("webhook-id".to_owned(), "msg_1".to_owned())],
            body: b"{}".to_vec(),
            deadline: Duration::from_secs(15),
        };
        assert_eq!(poster.post(request).await.unwrap().status, 200);
    }
}
