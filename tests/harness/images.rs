use std::{
    collections::HashMap,
    io::Cursor,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use image::{ImageFormat, RgbImage};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinHandle};

/// How wide [`image`]s are, in pixels.
const WIDTH: u32 = 48;

/// A small photo-like PNG; another `seed`, other bytes.
pub fn image(seed: u32) -> Vec<u8> {
    image_of(WIDTH, seed)
}

/// An [`image`] of another width.
pub fn image_of(width: u32, seed: u32) -> Vec<u8> {
    let pixel = |x: u32, y: u32| {
        let mix = (seed.wrapping_mul(2_654_435_761) >> 8).wrapping_add(x * 7 + y * 13);
        image::Rgb([(mix % 251) as u8, ((mix / 3) % 241) as u8, ((x * y + seed) % 239) as u8])
    };
    let picture = RgbImage::from_fn(width, 40, pixel);
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png).expect("memory takes what is written");
    bytes.into_inner()
}

/// A server of images on loopback, good and bad:
/// `/image/SEED` an image; `/gated/SEED` the same, once the gate lets it through;
/// `/status/CODE` that status; `/recovers/SEED` 500 at first, then an image; `/hangs` nothing.
pub struct ImageServer {
    address: String,
    state: Arc<Served>,
    task: JoinHandle<()>,
}

struct Served {
    gate: Semaphore,
    waiting_count: AtomicUsize,
    gated_count: AtomicUsize,
    recovering: Mutex<HashMap<u32, u32>>,
}

/// More images than a test asks for.
const MANY: usize = 1_000_000;
/// How often `/recovers` answers 500 before it recovers.
const FAILURES_BEFORE_RECOVERY: u32 = 1;

impl ImageServer {
    /// Starts one, its gate shut.
    pub async fn start() -> Self {
        let state = Arc::new(Served {
            gate: Semaphore::new(0),
            waiting_count: AtomicUsize::new(0),
            gated_count: AtomicUsize::new(0),
            recovering: Mutex::default(),
        });
        let routes = Router::new()
            .route("/image/{seed}", get(|Path(seed): Path<u32>| async move { image(seed) }))
            .route("/gated/{seed}", get(gated))
            .route("/status/{code}", get(status))
            .route("/recovers/{seed}", get(recovers))
            .route("/hangs", get(std::future::pending::<()>))
            .with_state(Arc::clone(&state));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = format!("http://{}", listener.local_addr().expect("it is bound"));
        let task = tokio::spawn(async move {
            axum::serve(listener, routes).await.expect("serving ends with the test");
        });
        Self { address, state, task }
    }

    /// The address of `path`.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    /// Lets every gated image through, also those whose asker was killed meanwhile.
    pub fn open(&self) {
        self.open_for(MANY);
    }

    /// Lets `count` gated images through.
    pub fn open_for(&self, count: usize) {
        self.state.gate.add_permits(count);
    }

    /// Shuts the gate again, whatever it was opened for.
    pub fn shut(&self) {
        self.state.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    /// Whether so many gated images were asked for.
    pub fn is_waiting(&self, count: usize) -> bool {
        self.state.waiting_count.load(Ordering::SeqCst) >= count
    }

    /// How many gated images went through.
    pub fn gated_count(&self) -> usize {
        self.state.gated_count.load(Ordering::SeqCst)
    }
}

impl Drop for ImageServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn gated(State(served): State<Arc<Served>>, Path(seed): Path<u32>) -> Vec<u8> {
    served.waiting_count.fetch_add(1, Ordering::SeqCst);
    served.gate.acquire().await.expect("the gate is never closed for good").forget();
    served.gated_count.fetch_add(1, Ordering::SeqCst);
    image(seed)
}

async fn status(Path(code): Path<u16>) -> StatusCode {
    StatusCode::from_u16(code).expect("tests ask for statuses that exist")
}

async fn recovers(State(served): State<Arc<Served>>, Path(seed): Path<u32>) -> Response {
    let mut recovering = served.recovering.lock().expect("no holder panics");
    let failures = recovering.entry(seed).or_default();
    if *failures < FAILURES_BEFORE_RECOVERY {
        *failures += 1;
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    image(seed).into_response()
}
