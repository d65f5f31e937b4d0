use std::{
    collections::HashMap,
    fs,
    process::{Command, Output},
    sync::atomic::{AtomicU32, Ordering},
};

use aws_sdk_s3::{
    config::Credentials,
    primitives::ByteStream,
    types::{BucketVersioningStatus, VersioningConfiguration},
};
use aws_sdk_sqs::types::{Message, QueueAttributeName, SendMessageBatchRequestEntry};
use flota_platform::{aws::Clients, settings::Settings};
use serde_json::Value;

use super::{Home, MODEL, Process, Receiver, emulator::Emulator, model_dir, until};

/// What callbacks are signed with: on several hosts it cannot be made by one of them.
const SECRET: &str = "whsec_Zmxvd2VycyBvZiB0aGUgZm91cnRoIHNlYXNvbg==";
/// Every part of a fleet that is a process of its own.
pub const PARTS: [&str; 6] = ["api", "recorder", "sweeper", "notifier", "ingest", "worker"];
/// What differs from one machine: SQS counts in whole seconds, and every look for what is due asks
/// all parts of an index.
const SETTINGS: &[(&str, &str)] = &[
    ("AWS_EC2_METADATA_DISABLED", "true"),
    ("AWS_SECRET_ACCESS_KEY", "secret"),
    ("FLOTA__AWS__CALL_TIMEOUT_MS", "2000"),
    ("FLOTA__AWS__REGION", "us-east-1"),
    ("FLOTA__BACKEND", "aws"),
    ("FLOTA__NOTIFIER__INTERVAL_MS", "500"),
    ("FLOTA__NOTIFIER__SECRETS", SECRET),
    ("FLOTA__QUEUE__LEASE_MS", "3000"),
    ("FLOTA__QUEUE__POLL_WAIT_MS", "1000"),
    ("FLOTA__SWEEPER__INTERVAL_MS", "500"),
];

/// A home whose queues, records and images are on the emulator, in an account of its own.
pub struct Cloud {
    /// What its processes are started with.
    pub home: Home,
    /// The bucket whose uploads are events: no two accounts have buckets of one name.
    photos: String,
    clients: Clients,
}

/// A fleet each of whose parts is a process of its own.
pub struct Fleet {
    parts: HashMap<&'static str, Process>,
}

impl Cloud {
    /// An empty one.
    pub async fn new() -> Self {
        Self::behind(Emulator::shared().endpoint()).await
    }

    /// An empty one whose processes find AWS at `endpoint`.
    pub async fn behind(endpoint: &str) -> Self {
        static ACCOUNTS: AtomicU32 = AtomicU32::new(1);
        let account = format!("{:012}", ACCOUNTS.fetch_add(1, Ordering::Relaxed));
        let home = SETTINGS.iter().fold(Home::new(), |home, (name, value)| home.with(name, value));
        let home = home.with("AWS_ACCESS_KEY_ID", &account).with("FLOTA__AWS__ENDPOINT", endpoint);
        let home = home.with("FLOTA__AWS__BUCKET", &format!("kept-{account}"));
        let direct = [
            ("aws.region".to_owned(), "us-east-1".to_owned()),
            ("aws.endpoint".to_owned(), Emulator::shared().endpoint().to_owned()),
        ];
        let settings = Settings::from_sources(None, [], &direct).expect("the settings are right");
        let credentials = Credentials::new(&account, "secret", None, None, "journey");
        let clients = Clients::with_credentials(&settings.aws, credentials).await;
        let clients = clients.expect("the region is set");
        Self { home, photos: format!("photos-{account}"), clients }
    }

    /// With one setting more.
    pub fn with(self, variable: &str, value: &str) -> Self {
        Self { home: self.home.with(variable, value), ..self }
    }

    /// Makes everything the fleet needs, as an operator would, with the bucket of uploads. What is
    /// put under `uploads/` is looked at, and where somebody is to be told, what is put under
    /// `told/` too.
    pub async fn provision(&self, told: Option<&Receiver>) {
        let (s3, photos) = (&self.clients.s3, &self.photos);
        s3.create_bucket().bucket(photos).send().await.expect("a bucket can be made");
        let versioning =
            VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
        let call = s3.put_bucket_versioning().bucket(photos).versioning_configuration(versioning);
        call.send().await.expect("a bucket can be versioned");
        let rule = |prefix: &str| {
            format!(
                "[[ingest.rules]]\nbucket = '{photos}'\nprefix = '{prefix}'\nmodels = ['{MODEL}']\n"
            )
        };
        let mut rules = rule("uploads/");
        if let Some(receiver) = told {
            rules += &format!("{}callback = '{}'\n", rule("told/"), receiver.url());
        }
        fs::write(self.home.path().join("flota.toml"), rules).expect("the home can be written");
        let model = model_dir();
        let model = model.to_str().expect("the project's path is plain text");
        let output = run(self.home.flota(&["provision", "--model-dir", model])).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// What its callbacks are signed with.
    pub fn secret() -> String {
        SECRET.to_owned()
    }

    /// Starts every part of a fleet and lets `receiver` trust it.
    pub async fn start_fleet(&self, receiver: &Receiver) -> Fleet {
        receiver.trust(SECRET);
        let mut parts = HashMap::new();
        for part in PARTS {
            parts.insert(part, self.start(part).await);
        }
        self.home.model_known().await;
        Fleet { parts }
    }

    /// Starts one server of all roles and a worker, and lets `receiver` trust them.
    pub async fn start_pair(&self, receiver: &Receiver) -> (Process, Process) {
        receiver.trust(SECRET);
        let server = self.home.serve().await;
        let worker = self.home.work();
        self.home.model_known().await;
        (server, worker)
    }

    /// Puts an object into the bucket of uploads.
    pub async fn upload(&self, key: &str, bytes: Vec<u8>) {
        let put = self.clients.s3.put_object().bucket(&self.photos).key(key);
        let put = put.body(ByteStream::from(bytes));
        put.send().await.expect("the emulator takes objects");
    }

    /// Deletes an object from the bucket of uploads.
    pub async fn delete(&self, key: &str) {
        let delete = self.clients.s3.delete_object().bucket(&self.photos).key(key);
        delete.send().await.expect("the emulator deletes objects");
    }

    /// How many messages a queue has, those that are being worked on included.
    pub async fn message_count(&self, queue: &str) -> usize {
        let counts = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
            QueueAttributeName::ApproximateNumberOfMessagesDelayed,
        ];
        let call = self.clients.sqs.get_queue_attributes().queue_url(self.url(queue).await);
        let answer = call.set_attribute_names(Some(counts.to_vec())).send().await;
        let attributes = answer.expect("the queue is there").attributes.unwrap_or_default();
        attributes.values().filter_map(|count| count.parse::<usize>().ok()).sum()
    }

    /// Waits until every queue is empty, and says that the dead-letter queues are.
    pub async fn drained(&self) {
        for queue in ["flota-tasks-mean-color-normal", "flota-outcomes", "flota-events"] {
            until(&format!("{queue} to be empty"), || async {
                (self.message_count(queue).await == 0).then_some(())
            })
            .await;
            assert_eq!(self.message_count(&format!("{queue}-dead")).await, 0, "{queue}-dead");
        }
    }

    /// Receives up to ten messages, each for `visibility_s`.
    pub async fn receive(&self, queue: &str, visibility_s: i32) -> Vec<Message> {
        let call = self.clients.sqs.receive_message().queue_url(self.url(queue).await);
        let call = call.max_number_of_messages(10).visibility_timeout(visibility_s);
        let answer = call.wait_time_seconds(0).send().await.expect("the queue is there");
        answer.messages.unwrap_or_default()
    }

    /// Deletes a message that was received.
    pub async fn ack(&self, queue: &str, message: &Message) {
        let call = self.clients.sqs.delete_message().queue_url(self.url(queue).await);
        let call = call.set_receipt_handle(message.receipt_handle.clone());
        call.send().await.expect("the message is ours");
    }

    /// Has a queue give a message up that was received so often.
    pub async fn give_up_after(&self, queue: &str, receive_count: u32) {
        let (sqs, url) = (&self.clients.sqs, self.url(queue).await);
        let asked = sqs.get_queue_attributes().queue_url(&url);
        let asked = asked.attribute_names(QueueAttributeName::RedrivePolicy).send().await;
        let attributes = asked.expect("the queue is there").attributes.unwrap_or_default();
        let policy = &attributes[&QueueAttributeName::RedrivePolicy];
        let mut policy: Value = serde_json::from_str(policy).expect("it is JSON");
        policy["maxReceiveCount"] = receive_count.into();
        let change = sqs.set_queue_attributes().queue_url(url);
        let change = change.attributes(QueueAttributeName::RedrivePolicy, policy.to_string());
        change.send().await.expect("the queue takes it");
    }

    /// Sends messages, in this order.
    pub async fn send(&self, queue: &str, bodies: &[String]) {
        let url = self.url(queue).await;
        let entry = |(n, body): (usize, &String)| {
            let entry = SendMessageBatchRequestEntry::builder().id(n.to_string());
            entry.message_body(body).build().expect("it has an id and a body")
        };
        for bodies in bodies.chunks(10) {
            let entries = bodies.iter().enumerate().map(entry).collect();
            let call = self.clients.sqs.send_message_batch().queue_url(&url);
            let sent = call.set_entries(Some(entries)).send().await.expect("the queue is there");
            assert!(sent.failed.is_empty(), "{:?}", sent.failed);
        }
    }

    /// Starts one part.
    pub async fn start(&self, part: &str) -> Process {
        match part {
            "worker" => self.home.work(),
            role => self.home.serve_roles(role).await,
        }
    }

    async fn url(&self, queue: &str) -> String {
        let found = self.clients.sqs.get_queue_url().queue_name(queue).send().await;
        found.expect("the queue is there").queue_url.unwrap_or_default()
    }
}

impl Fleet {
    /// Kills a part as a power cut would, and starts it again.
    pub async fn restart(&mut self, part: &str, cloud: &Cloud) {
        let process = self.parts.get_mut(part).expect("it is a part of every fleet");
        process.kill();
        *process = cloud.start(part).await;
    }

    /// Whether no part has ended by itself.
    pub fn is_running(&mut self) -> bool {
        self.parts.values_mut().all(Process::is_running)
    }
}

/// Runs a command to its end.
async fn run(mut command: Command) -> Output {
    let running = tokio::task::spawn_blocking(move || command.output()).await;
    running.expect("waiting does not panic").expect("the executable was built with this test")
}
