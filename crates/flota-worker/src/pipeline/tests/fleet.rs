//! A worker under test: a real model folder's preprocessing and labels, and a session that does as
//! the colour of an image says.

use std::{
    io::Cursor,
    iter,
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use axum::Router;
use flota_core::{
    ClientName, Ending, Manifest, OutcomesMessage, Priority, QueueName, QueueNames, RequestId,
    Sha256, TaskMessage, TaskOutcome, TaskSource, TasksMessage, WorkerName,
    consume::{ConsumeSettings, Consumer},
    limits::MAX_QUEUE_BATCH,
    ports::{Clock, NewMessage, UPLOADED_PREFIX},
};
use flota_engine::{InferError, Model, NamedTensors, Runtime, Session, Tensor};
use flota_platform::{Platform, SystemClock, settings::Settings};
use image::{ImageFormat, RgbImage};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    executor::{Executor, OsExecutor},
    pipeline::{BatchSession, LoadedModel, Parts, Pipeline},
};

pub(super) type Color = [u8; 3];

/// A batch with an image of this colour fails.
pub(super) const REFUSED: Color = [255, 0, 0];
/// A batch with an image of this colour waits until it is let go.
pub(super) const HELD: Color = [0, 0, 255];

/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(600);
const MEANS: &[u8] = include_bytes!("../../../../flota-engine/tests/fixtures/means.onnx");
const SIDE: u32 = 4;

pub(super) struct Fleet {
    pub(super) platform: Platform,
    pub(super) settings: Settings,
    pub(super) manifest: Manifest,
    /// Of the models that the worker serves beside that one.
    pub(super) beside: Vec<Manifest>,
    pub(super) stop: CancellationToken,
    /// The colours of each batch, in the order in which they were run.
    pub(super) batches: Arc<Mutex<Vec<Vec<Color>>>>,
    hold: Option<mpsc::Sender<()>>,
    held: Arc<Mutex<mpsc::Receiver<()>>>,
}

/// An empty platform in this process's memory.
pub(super) fn memory_platform(settings: &Settings, clock: Arc<dyn Clock>) -> Platform {
    Platform::over(flota_memory::open(clock.clone()), settings, clock).unwrap()
}

impl Fleet {
    pub(super) fn new(version: &str, batch_size: u32) -> Self {
        let mut settings = Settings::default();
        settings.network.allow = vec!["127.0.0.0/8".parse().unwrap()];
        settings.worker.retry_base = Duration::from_millis(1);
        settings.worker.retry_cap = Duration::from_millis(1);
        let text = format!(
            "{{name: means, version: '{version}', weights: {{file: means.onnx}}, labels: [r, g, b], \
             input: {{width: {SIDE}, height: {SIDE}, scale: 1.0, resize: {{mode: exact}}}}, \
             output: {{name: means, kind: regression}}, \
             batch: {{max_size: {batch_size}, max_wait_ms: 5}}, attempts: 3}}"
        );
        let (hold, held) = mpsc::channel();
        Self {
            platform: memory_platform(&settings, Arc::new(SystemClock)),
            settings,
            manifest: Manifest::parse("model.yaml", &text).unwrap(),
            beside: Vec::new(),
            stop: CancellationToken::new(),
            batches: Arc::default(),
            hold: Some(hold),
            held: Arc::new(Mutex::new(held)),
        }
    }

    /// The same over an empty platform of the settings as they are now.
    pub(super) fn reopened(self) -> Self {
        let platform = memory_platform(&self.settings, Arc::new(SystemClock));
        Self { platform, ..self }
    }

    /// Starts the worker; the handle ends when it has drained.
    pub(super) fn start(&self) -> JoinHandle<()> {
        let sessions = || {
            let (batches, held) = (self.batches.clone(), self.held.clone());
            let session: Box<dyn Session> = Box::new(Scripted { batches, held });
            vec![Box::new(session) as Box<dyn BatchSession>]
        };
        self.start_in(Arc::new(OsExecutor), sessions)
    }

    /// Starts the worker in a process of that kind, with `sessions` of each model.
    pub(super) fn start_in(
        &self,
        executor: Arc<dyn Executor>,
        sessions: impl Fn() -> Vec<Box<dyn BatchSession>>,
    ) -> JoinHandle<()> {
        let manifests = iter::once(&self.manifest).chain(&self.beside);
        let loaded = |manifest: &Manifest| LoadedModel {
            batch_size: manifest.batch.max_size,
            model: Arc::new(load(manifest)),
            threads: 1,
            sessions: sessions(),
        };
        let pipeline = Pipeline::start(Parts {
            platform: self.platform.clone(),
            worker: self.worker(),
            queue_names: self.queue_names(),
            settings: self.settings.worker.clone(),
            copied_after: self.settings.sweeper.resend,
            fetch: self.settings.fetch.clone(),
            objects: self.settings.objects.clone(),
            models: manifests.map(loaded).collect(),
            throughput: Arc::default(),
            executor,
        });
        let capacity = self.settings.worker.capacity_tasks;
        let settings = ConsumeSettings {
            wait: Duration::from_millis(20),
            drain: LONG,
            ..self.settings.queue.consume(vec![self.tasks_queue().into()], capacity)
        };
        let Platform { queue, dead_letters, clock, .. } = self.platform.clone();
        let pipeline = Arc::new(pipeline.unwrap());
        let consumer = Consumer::new(queue, dead_letters, clock, settings, pipeline);
        tokio::spawn(consumer.run(self.stop.clone()))
    }

    /// Lets every batch go on that waits, or would.
    pub(super) fn let_all_go(&mut self) {
        self.hold = None;
    }

    pub(super) fn worker(&self) -> WorkerName {
        WorkerName::from(&self.manifest.name)
    }

    pub(super) fn queue_names(&self) -> QueueNames {
        self.settings.queue_names()
    }

    pub(super) fn tasks_queue(&self) -> QueueName {
        self.queue_names().tasks(&self.worker(), Priority::Normal)
    }

    pub(super) async fn upload(&self, color: Color) -> String {
        let sha256 = self.platform.images.put(png(color).into()).await.unwrap();
        format!("{UPLOADED_PREFIX}{sha256}")
    }

    pub(super) async fn send(&self, message: &TasksMessage) {
        self.send_body(message.encode().unwrap()).await;
    }

    pub(super) async fn send_body(&self, body: String) {
        let message = NewMessage::new(body, "default");
        let sent = self.platform.queue.send(&self.tasks_queue(), &[message]).await.unwrap();
        assert!(sent.iter().all(Result::is_ok));
    }

    /// The messages on the tasks' queue that are not in flight, which are left there.
    pub(super) async fn receive_once(&self) -> Vec<TasksMessage> {
        self.receive_from(self.tasks_queue(), Duration::ZERO).await
    }

    /// The messages that come onto a queue within `wait`, which are left there.
    pub(super) async fn receive_from(&self, name: QueueName, wait: Duration) -> Vec<TasksMessage> {
        let queue = &self.platform.queue;
        let received = queue.receive(&name, MAX_QUEUE_BATCH, wait, LONG).await.unwrap();
        let receipts: Vec<_> = received.iter().map(|delivery| delivery.receipt.clone()).collect();
        queue.extend(&name, &receipts, Duration::ZERO).await.unwrap();
        received.iter().map(|delivery| TasksMessage::decode(&delivery.body).unwrap()).collect()
    }

    /// Waits for messages with `count` outcomes in all.
    pub(super) async fn outcomes(&self, count: usize) -> Vec<OutcomesMessage> {
        let name = self.queue_names().outcomes();
        let wait = Duration::from_secs(20);
        let mut messages: Vec<OutcomesMessage> = Vec::new();
        while messages.iter().map(|message| message.outcomes.len()).sum::<usize>() < count {
            let received = self.platform.queue.receive(&name, 1, wait, LONG).await.unwrap();
            assert!(!received.is_empty(), "only {} messages came", messages.len());
            messages.extend(received.iter().map(|d| OutcomesMessage::decode(&d.body).unwrap()));
        }
        messages
    }

    pub(super) fn batches(&self) -> Vec<Vec<Color>> {
        self.batches.lock().unwrap().clone()
    }
}

fn load(manifest: &Manifest) -> Model {
    let labels = ["r", "g", "b"].map(str::to_owned).to_vec();
    Model::load(&Runtime::Tract, manifest.clone(), &MEANS.into(), labels).unwrap()
}

/// A pack of request `request` with a task for each of `images`.
pub(crate) fn pack(request: u128, images: &[&str]) -> TasksMessage {
    let task = |(n, image): (usize, &&str)| TaskMessage {
        n: u32::try_from(n).unwrap(),
        image: (*image).to_owned(),
        model: "means".parse().unwrap(),
        tries: 0,
        faults: Vec::new(),
        fetch_retries: None,
    };
    TasksMessage {
        source: TaskSource::Request(RequestId(Uuid::from_u128(request))),
        round: 1,
        pack: 0,
        copy: 0,
        client: ClientName::default(),
        priority: Priority::Normal,
        deadline: None,
        tasks: images.iter().enumerate().map(task).collect(),
    }
}

/// `succeeded`, `cached` or the code of each outcome, by the task's number.
pub(super) fn endings(messages: &[OutcomesMessage]) -> Vec<(u32, String)> {
    let ending = |task: &TaskOutcome| match &task.outcome.ending {
        Ending::Succeeded { cached: false, .. } => (task.n, "succeeded".to_owned()),
        Ending::Succeeded { cached: true, .. } => (task.n, "cached".to_owned()),
        Ending::Failed { code, .. } => (task.n, code.to_string()),
        other => panic!("{other:?} is no worker's ending"),
    };
    let mut endings: Vec<_> =
        messages.iter().flat_map(|message| &message.outcomes).map(ending).collect();
    endings.sort();
    endings
}

/// `endings`, as they are written in tests.
pub(super) fn wanted(endings: &[(u32, &str)]) -> Vec<(u32, String)> {
    endings.iter().map(|(n, ending)| (*n, (*ending).to_owned())).collect()
}

pub(super) fn png(color: Color) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    RgbImage::from_pixel(SIDE, SIDE, image::Rgb(color))
        .write_to(&mut bytes, ImageFormat::Png)
        .unwrap();
    bytes.into_inner()
}

pub(super) fn sha256(color: Color) -> Sha256 {
    Sha256::of(&png(color))
}

/// Serves `router` on loopback and returns its address.
pub(super) async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

struct Scripted {
    batches: Arc<Mutex<Vec<Vec<Color>>>>,
    held: Arc<Mutex<mpsc::Receiver<()>>>,
}

impl Session for Scripted {
    fn run(&mut self, batch: &[NamedTensors]) -> Result<Vec<NamedTensors>, InferError> {
        let colors: Vec<Color> = batch.iter().map(color_of).collect();
        self.batches.lock().unwrap().push(colors.clone());
        if colors.contains(&HELD) {
            // Nothing is ever sent: it ends when the sender is dropped.
            let _ = self.held.lock().unwrap().recv();
        }
        if colors.contains(&REFUSED) {
            return Err(InferError::Panicked);
        }
        Ok(colors.iter().map(|color| means(color.map(f32::from).to_vec())).collect())
    }
}

/// What the network would answer.
pub(super) fn means(numbers: Vec<f32>) -> NamedTensors {
    NamedTensors::one("means".into(), Tensor::row(numbers))
}

fn color_of(inputs: &NamedTensors) -> Color {
    let numbers = inputs.get("image").and_then(Tensor::floats).unwrap();
    let plane = (SIDE * SIDE) as usize;
    [0, 1, 2].map(|channel| numbers[channel * plane] as u8)
}
