use std::collections::{BTreeMap, BTreeSet};

use flota_core::{PortError, PortResult, QueueName, WorkerName};
use flota_platform::{
    aws::{
        Clients,
        create::create_bucket,
        queues::queues as queues_of,
        tables::{TableSpec, tables as table_specs},
    },
    settings::{IngestRule, Settings},
};

use super::{
    Difference, Resource, State, buckets,
    filters::{KeyFilter, merge},
    notifications::{self, Notification},
    queues::{self, WantedQueue},
    tables,
};

/// What is done about what is not as it is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It is only looked at.
    Look,
    /// It is made, or changed.
    Make,
}

/// One thing that the fleet needs.
pub(crate) enum Need<'a> {
    Queue(WantedQueue<'a>),
    Table(TableSpec),
    Bucket(&'a str),
    Notification(Notification),
}

/// Looks at the queues, tables, bucket and notifications of the fleet that has these workers, in
/// this order, and makes or changes them if it is to. What is there and as it is to be is left
/// alone, and nothing is ever deleted.
///
/// # Errors
/// If AWS refuses, cannot be reached, or has something there that no call can change.
pub async fn provision(
    clients: &Clients,
    settings: &Settings,
    workers: &[WorkerName],
    action: Action,
) -> PortResult<Vec<Resource>> {
    let mut resources = Vec::new();
    for need in needs(settings, workers) {
        resources.push(need.provide(clients, action).await?);
    }
    Ok(resources)
}

/// All that the fleet needs, each after what it needs itself.
pub(crate) fn needs<'a>(settings: &'a Settings, workers: &[WorkerName]) -> Vec<Need<'a>> {
    let queue_names = settings.queue_names();
    let events = queue_names.events();
    let rules = &settings.ingest.rules;
    let mut needs = Vec::new();
    for name in queues_of(&queue_names, workers) {
        let net = name.dlq();
        needs.push(Need::Queue(WantedQueue {
            name: net,
            has_net: false,
            senders: BTreeSet::new(),
        }));
        let buckets = rules.iter().map(|rule| rule.bucket.as_str()).filter(|_| name == events);
        let senders = buckets.collect();
        needs.push(Need::Queue(WantedQueue { name, has_net: true, senders }));
    }
    needs.extend(table_specs(&settings.prefix).into_iter().map(Need::Table));
    needs.push(Need::Bucket(&settings.aws.bucket));
    needs.extend(notifications(rules, &events).into_iter().map(Need::Notification));
    needs
}

/// One notification for each bucket that a rule names.
fn notifications(rules: &[IngestRule], queue: &QueueName) -> Vec<Notification> {
    let mut filters: BTreeMap<&str, BTreeSet<KeyFilter>> = BTreeMap::new();
    for rule in rules {
        let filter = KeyFilter::new(&rule.prefix, &rule.suffix);
        filters.entry(&rule.bucket).or_default().insert(filter);
    }
    let notification = |(bucket, filters): (&str, _)| Notification {
        bucket: bucket.to_owned(),
        queue: queue.clone(),
        filters: merge(filters),
    };
    filters.into_iter().map(notification).collect()
}

impl Need<'_> {
    /// What an operator calls it.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Queue(queue) => format!("queue {}", queue.name),
            Self::Table(table) => format!("table {}", table.name),
            Self::Bucket(bucket) => format!("bucket {bucket}"),
            Self::Notification(notification) => format!("notification {}", notification.bucket),
        }
    }

    /// Looks at it, and makes or changes it if it is to.
    pub(crate) async fn provide(&self, clients: &Clients, action: Action) -> PortResult<Resource> {
        let mut resource = self.look(clients).await?;
        if action == Action::Look {
            return Ok(resource);
        }
        match &resource.state {
            State::Missing => {
                self.make(clients).await?;
                resource.state = State::Made;
            }
            State::Different { differences } => {
                let differences = differences.clone();
                if let Some(fixed) = differences.iter().find(|difference| difference.is_fixed) {
                    return Err(self.cannot_be_changed(fixed));
                }
                self.change(clients, &differences).await?;
                resource.state = State::Changed { differences };
            }
            State::Ready | State::Made | State::Changed { .. } => {}
        }
        Ok(resource)
    }

    async fn look(&self, clients: &Clients) -> PortResult<Resource> {
        match self {
            Self::Queue(queue) => queues::look(&clients.sqs, queue).await,
            Self::Table(table) => tables::look(&clients.dynamodb, table).await,
            Self::Bucket(bucket) => buckets::look(&clients.s3, bucket).await,
            Self::Notification(wanted) => notifications::look(clients, wanted).await,
        }
    }

    async fn make(&self, clients: &Clients) -> PortResult<()> {
        match self {
            Self::Queue(queue) => queues::make(&clients.sqs, queue).await,
            Self::Table(table) => table.create(&clients.dynamodb).await,
            Self::Bucket(bucket) => create_bucket(&clients.s3, bucket).await,
            Self::Notification(wanted) => {
                let why = "is not there: make it, or correct ingest.rules";
                let what = format!("the bucket {} of upload events {why}", wanted.bucket);
                Err(PortError::permanent(what, why))
            }
        }
    }

    async fn change(&self, clients: &Clients, differences: &[Difference]) -> PortResult<()> {
        match self {
            Self::Queue(queue) => queues::change(&clients.sqs, queue, differences).await,
            Self::Table(table) => tables::change(&clients.dynamodb, table, differences).await,
            Self::Bucket(_) => Ok(()),
            Self::Notification(wanted) => notifications::change(clients, wanted).await,
        }
    }

    fn cannot_be_changed(&self, difference: &Difference) -> PortError {
        let what = format!(
            "{}: {difference}, which can never be changed: delete it if nobody needs what it \
             holds, or set another prefix",
            self.describe()
        );
        PortError::permanent(what, "it was made otherwise")
    }
}
