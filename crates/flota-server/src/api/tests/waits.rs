//! Many calls that wait for one request.

use axum::Router;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{
    connections::{Served, serve},
    testing::Fixture,
};

const COUNT: usize = 200;

#[tokio::test]
async fn all_that_wait_hear_of_the_end_and_stop_nobody_until_then() {
    let fixture = Fixture::new().await;
    let id = fixture.submit(1, &["cat"], None).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = Served { all: fixture.router.clone(), reserve: Router::new() };
    let (settings, stop) = (fixture.settings.server.clone(), fixture.stop.clone());
    let serving = tokio::spawn(async move { serve(listener, served, &settings, stop).await });
    let open = async |path: &str| {
        let mut connection = TcpStream::connect(address).await.unwrap();
        let call = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        connection.write_all(call.as_bytes()).await.unwrap();
        connection
    };
    let read = async |mut connection: TcpStream| {
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let mut waiting = Vec::new();
    for _ in 0..COUNT {
        waiting.push(open(&format!("/v1/requests/{id}?wait=60")).await);
    }
    let health = read(open("/healthz").await).await;
    assert!(health.starts_with("HTTP/1.1 200"), "{health}");
    let roles = fixture.start();
    fixture.work("cat").await;
    for connection in waiting {
        let answer = read(connection).await;
        assert!(answer.contains(r#""status":"succeeded""#), "{answer}");
    }
    fixture.stop.cancel();
    serving.await.unwrap();
    for role in roles {
        role.await.unwrap();
    }
}
