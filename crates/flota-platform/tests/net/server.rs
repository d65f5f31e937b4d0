//! A web server on loopback that answers what a test tells it to, HTTP or not.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What an endless reply ends after: far beyond every limit, so that a client without one fails its test and does
/// not read for ever.
const ENDLESS_BYTES: usize = 256 * 1024 * 1024;

/// What the server does with a request.
#[derive(Clone)]
pub enum Reply {
    /// Writes this and closes the connection.
    Text(String),
    /// Writes these bytes and closes the connection.
    Bytes(Vec<u8>),
    /// Writes this and then nothing, for ever.
    Stall(String),
    /// Writes this, then this again and again, [far too often](ENDLESS_BYTES).
    Endless(String, String),
    /// Writes this, then a byte a second, for ever.
    Drip(String),
}

/// A running server.
pub struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Starts a server that answers a path as `reply` says.
    pub async fn start(reply: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        Self::answering(move |request| reply(request.split(' ').nth(1).unwrap_or_default())).await
    }

    /// Starts a server that answers a request, head and body, as `reply` says.
    pub async fn answering(reply: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, reply) = (requests.clone(), Arc::new(reply));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, seen.clone(), reply.clone()));
            }
        });
        Self { address, requests }
    }

    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Every request so far, head and body.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// An answer with a status line such as `200 OK`, headers and a body.
pub fn answer_text(status: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    let mut text = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    Reply::Text(format!("{text}connection: close\r\n\r\n{body}"))
}

/// A redirect.
pub fn redirect(location: &str) -> Reply {
    answer_text("302 Found", &[("location", location)], "")
}

async fn answer(
    mut stream: TcpStream,
    seen: Arc<Mutex<Vec<String>>>,
    reply: Arc<impl Fn(&str) -> Reply>,
) {
    let request = read_request(&mut stream).await;
    let reply = reply(&request);
    seen.lock().unwrap().push(request);
    // The client may leave at any time: what cannot be written is not written.
    let _ = write_reply(&mut stream, reply).await;
}

async fn read_request(stream: &mut TcpStream) -> String {
    let mut request = String::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some((head, body)) = request.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                line.to_lowercase().strip_prefix("content-length: ")?.parse().ok()
            });
            if body.len() >= length.unwrap_or(0) {
                return request;
            }
        }
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return request,
            Ok(read) => request.push_str(std::str::from_utf8(&buffer[..read]).unwrap()),
        }
    }
}

async fn write_reply(stream: &mut TcpStream, reply: Reply) -> std::io::Result<()> {
    match reply {
        Reply::Text(text) => stream.write_all(text.as_bytes()).await,
        Reply::Bytes(bytes) => stream.write_all(&bytes).await,
        Reply::Stall(text) => {
            stream.write_all(text.as_bytes()).await?;
            std::future::pending().await
        }
        Reply::Endless(head, again) => {
            stream.write_all(head.as_bytes()).await?;
            for _ in 0..ENDLESS_BYTES / again.len() {
                stream.write_all(again.as_bytes()).await?;
            }
            Ok(())
        }
        Reply::Drip(head) => {
            stream.write_all(head.as_bytes()).await?;
            let mut second = tokio::time::interval(std::time::Duration::from_secs(1));
            loop {
                second.tick().await;
                stream.write_all(b"x").await?;
            }
        }
    }
}
