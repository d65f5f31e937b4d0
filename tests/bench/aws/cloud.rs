//! An account of its own in the emulator, and what is put into it from outside of the fleet.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use aws_sdk_s3::{
    config::Credentials,
    primitives::ByteStream,
    types::{BucketVersioningStatus, VersioningConfiguration},
};
use aws_sdk_sqs::types::QueueAttributeName;
use flota_platform::{aws::Clients, settings::Settings};
use futures::{StreamExt, TryStreamExt, stream};

use crate::emulator::Emulator;

const REGION: &str = "us-east-1";
/// Uploads under way at once.
const UPLOADS_AT_ONCE: usize = 16;
/// Every queue of the fleet.
const QUEUES: [&str; 3] = ["flota-tasks-mean-color-normal", "flota-outcomes", "flota-events"];
/// Far longer than any backlog here takes.
const DRAIN_BOUND: Duration = Duration::from_secs(600);
const COUNTS: [QueueAttributeName; 3] = [
    QueueAttributeName::ApproximateNumberOfMessages,
    QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
    QueueAttributeName::ApproximateNumberOfMessagesDelayed,
];

pub struct Cloud {
    account: String,
    clients: Clients,
}

impl Cloud {
    /// An empty one but for the bucket of uploads, whose objects have versions.
    pub async fn new() -> Result<Self> {
        static ACCOUNTS: AtomicU32 = AtomicU32::new(1);
        let account = format!("{:012}", ACCOUNTS.fetch_add(1, Ordering::Relaxed));
        let settings = [("aws.region", REGION), ("aws.endpoint", Emulator::shared().endpoint())];
        let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let settings = Settings::from_sources(None, [], &settings)?;
        let credentials = Credentials::new(&account, "secret", None, None, "bench");
        let clients = Clients::with_credentials(&settings.aws, credentials).await?;
        let cloud = Self { account, clients };
        let (s3, photos) = (&cloud.clients.s3, cloud.photos());
        s3.create_bucket().bucket(&photos).send().await?;
        let versioning =
            VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
        let call = s3.put_bucket_versioning().bucket(&photos).versioning_configuration(versioning);
        call.send().await?;
        Ok(cloud)
    }

    /// The bucket of uploads.
    pub fn photos(&self) -> String {
        format!("photos-{}", self.account)
    }

    /// What processes of the fleet are started with.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ACCESS_KEY_ID", self.account.clone()),
            ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            ("FLOTA__BACKEND", "aws".to_owned()),
            ("FLOTA__AWS__REGION", REGION.to_owned()),
            ("FLOTA__AWS__ENDPOINT", Emulator::shared().endpoint().to_owned()),
            ("FLOTA__AWS__BUCKET", format!("kept-{}", self.account)),
        ]
    }

    /// Puts objects under `prefix`; their addresses, each with its version.
    pub async fn upload(&self, prefix: &str, objects: Vec<Vec<u8>>) -> Result<Vec<String>> {
        let photos = &self.photos();
        let put = |(n, bytes): (usize, Vec<u8>)| async move {
            let key = format!("{prefix}/{n:05}.jpg");
            let put = self.clients.s3.put_object().bucket(photos).key(&key);
            let put = put.body(ByteStream::from(bytes)).send().await?;
            let version = put.version_id.context("the bucket has versions")?;
            anyhow::Ok(format!("s3://{photos}/{key}?versionId={version}"))
        };
        stream::iter(objects.into_iter().enumerate())
            .map(put)
            .buffered(UPLOADS_AT_ONCE)
            .try_collect()
            .await
    }

    /// Waits until `queue` has no message, worked on or not.
    pub async fn drained_of(&self, queue: &str) -> Result<()> {
        let empty = async {
            while self.message_count(queue).await? > 0 {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(DRAIN_BOUND, empty).await.context("a queue stays full")?
    }

    /// Waits until no queue has one. A message is acknowledged after what follows from it was sent, so
    /// one look along their way is enough.
    pub async fn drained(&self) -> Result<()> {
        for queue in ["flota-events", "flota-tasks-mean-color-normal", "flota-outcomes"] {
            self.drained_of(queue).await?;
        }
        for queue in QUEUES {
            if self.message_count(&format!("{queue}-dead")).await? > 0 {
                bail!("{queue} has given messages up");
            }
        }
        Ok(())
    }

    async fn message_count(&self, queue: &str) -> Result<u64> {
        let sqs = &self.clients.sqs;
        let url = sqs.get_queue_url().queue_name(queue).send().await?.queue_url;
        let call = sqs.get_queue_attributes().set_queue_url(url);
        let answer = call.set_attribute_names(Some(COUNTS.to_vec())).send().await?;
        let counts = answer.attributes.unwrap_or_default().into_values();
        Ok(counts.filter_map(|count| count.parse::<u64>().ok()).sum())
    }
}
