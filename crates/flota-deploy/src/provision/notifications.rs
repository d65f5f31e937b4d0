//! What the buckets of upload events tell the queue of events.

use std::{collections::BTreeMap, time::Duration};

use aws_sdk_s3::{
    Client,
    error::ProvideErrorMetadata,
    operation::get_bucket_notification_configuration::GetBucketNotificationConfigurationOutput,
    types::{
        Event, FilterRule, FilterRuleName, NotificationConfiguration,
        NotificationConfigurationFilter, QueueConfiguration, S3KeyFilter,
    },
};
use flota_core::{PortError, PortResult, QueueName};
use flota_platform::aws::{Clients, create::MISSING_BUCKET, failed};
use tokio::time::{Instant, sleep};

use super::{Difference, Resource, ResourceKind, State, filters::KeyFilter, queues};

/// How long S3 may say that it cannot reach the queue: a queue's policy takes up to a minute to
/// hold everywhere.
const POLICY_SPREADS: Duration = Duration::from_secs(90);
/// How long to wait before S3 is asked again.
const RETRY_WAIT: Duration = Duration::from_secs(5);
/// New objects, copies and multipart uploads among them.
const CREATED: &str = "s3:ObjectCreated:*";
/// The attribute of a bucket that is compared.
const QUEUES: &str = "QueueConfigurations";

/// A bucket whose uploads come to the queue of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notification {
    pub(super) bucket: String,
    pub(super) queue: QueueName,
    /// Which uploads, sorted.
    pub(super) filters: Vec<KeyFilter>,
}

/// What a bucket tells whom.
type Told = GetBucketNotificationConfigurationOutput;

/// How the notifications of the bucket are.
pub(super) async fn look(clients: &Clients, wanted: &Notification) -> PortResult<Resource> {
    let queue = queues::arn(&clients.sqs, &wanted.queue).await?.unwrap_or_default();
    let differs = |found: &[KeyFilter]| State::Different {
        differences: vec![Difference::new(QUEUES, describe(found), describe(&wanted.filters))],
    };
    let told = told(&clients.s3, &wanted.bucket).await?;
    let state = match told.map(|told| filters(&told, &queue)) {
        None => State::Missing,
        Some(found) if found == wanted.filters => State::Ready,
        Some(found) => differs(&found),
    };
    let attributes = BTreeMap::from([
        ("Queue".to_owned(), wanted.queue.to_string()),
        ("Events".to_owned(), CREATED.to_owned()),
        (QUEUES.to_owned(), describe(&wanted.filters)),
    ]);
    let name = wanted.bucket.clone();
    Ok(Resource { kind: ResourceKind::Notification, name, attributes, state })
}

/// Has the bucket tell the queue what is wanted, and leaves what it tells others as it is.
pub(super) async fn change(clients: &Clients, wanted: &Notification) -> PortResult<()> {
    let Notification { bucket, queue, filters } = wanted;
    let what = || format!("having the bucket {bucket} tell of uploads");
    let missing = || PortError::permanent(what(), format!("there is no queue {queue}"));
    let queue = queues::arn(&clients.sqs, queue).await?.ok_or_else(missing)?;
    let client = &clients.s3;
    let told = told(client, bucket).await?.unwrap_or_else(|| Told::builder().build());
    let configuration = with_ours(told, &queue, filters);
    let deadline = Instant::now() + POLICY_SPREADS;
    loop {
        let put = client.put_bucket_notification_configuration().bucket(bucket);
        let error = match put.notification_configuration(configuration.clone()).send().await {
            Ok(_) => return Ok(()),
            Err(error) => error,
        };
        if error.code() != Some("InvalidArgument") || Instant::now() >= deadline {
            return Err(failed(what(), error));
        }
        sleep(RETRY_WAIT).await;
    }
}

/// What a bucket tells; nothing where there is no bucket.
async fn told(client: &Client, bucket: &str) -> PortResult<Option<Told>> {
    match client.get_bucket_notification_configuration().bucket(bucket).send().await {
        Ok(told) => Ok(Some(told)),
        Err(error) if error.code().is_some_and(|code| MISSING_BUCKET.contains(&code)) => Ok(None),
        Err(error) => Err(failed(format!("asking what the bucket {bucket} tells"), error)),
    }
}

/// What the bucket tells our queue.
fn filters(told: &Told, queue: &str) -> Vec<KeyFilter> {
    let ours = told.queue_configurations().iter().filter(|told| is_ours(told, queue));
    let mut filters: Vec<_> = ours.map(filter).collect();
    filters.sort();
    filters
}

fn is_ours(told: &QueueConfiguration, queue: &str) -> bool {
    told.queue_arn() == queue && matches!(told.events(), [only] if only.as_str() == CREATED)
}

fn filter(told: &QueueConfiguration) -> KeyFilter {
    let rules = told.filter().and_then(NotificationConfigurationFilter::key);
    let rules = rules.map(S3KeyFilter::filter_rules).unwrap_or_default();
    let value = |name: &FilterRuleName| {
        // AWS answers the names capitalised.
        let is_it = |rule: &&FilterRule| {
            rule.name().is_some_and(|found| found.as_str().eq_ignore_ascii_case(name.as_str()))
        };
        rules.iter().find(is_it).and_then(FilterRule::value).unwrap_or_default().to_owned()
    };
    KeyFilter { prefix: value(&FilterRuleName::Prefix), suffix: value(&FilterRuleName::Suffix) }
}

/// All that a bucket tells others, and what it is to tell us.
fn with_ours(told: Told, queue: &str, wanted: &[KeyFilter]) -> NotificationConfiguration {
    let others = told.queue_configurations().iter().filter(|told| told.queue_arn() != queue);
    let queues = others.cloned().chain(wanted.iter().map(|filter| ours(filter, queue)));
    NotificationConfiguration::builder()
        .set_queue_configurations(Some(queues.collect()))
        .set_topic_configurations(told.topic_configurations)
        .set_lambda_function_configurations(told.lambda_function_configurations)
        .set_event_bridge_configuration(told.event_bridge_configuration)
        .build()
}

fn ours(filter: &KeyFilter, queue: &str) -> QueueConfiguration {
    let parts =
        [(FilterRuleName::Prefix, &filter.prefix), (FilterRuleName::Suffix, &filter.suffix)];
    let rule = |(name, value): (FilterRuleName, &String)| {
        FilterRule::builder().name(name).value(value).build()
    };
    let rules: Vec<_> =
        parts.into_iter().filter(|(_, value)| !value.is_empty()).map(rule).collect();
    let filter = (!rules.is_empty()).then(|| {
        let key = S3KeyFilter::builder().set_filter_rules(Some(rules)).build();
        NotificationConfigurationFilter::builder().key(key).build()
    });
    QueueConfiguration::builder()
        .queue_arn(queue)
        .events(Event::from(CREATED))
        .set_filter(filter)
        .build()
        .expect("queue and events are set")
}

fn describe(filters: &[KeyFilter]) -> String {
    let one = |filter: &KeyFilter| format!("{}*{}", filter.prefix, filter.suffix);
    match filters.is_empty() {
        true => "none".to_owned(),
        false => filters.iter().map(one).collect::<Vec<_>>().join(", "),
    }
}
