//! Whether who runs this may do what its parts of the fleet do, tested by calls that AWS refuses
//! for another reason where it does not refuse them for want of a right.

use std::{
    collections::{BTreeMap, BTreeSet},
    slice,
};

use aws_sdk_dynamodb::types::{AttributeValue, ScalarAttributeType};
use aws_sdk_sqs::{
    error::{ProvideErrorMetadata, SdkError},
    types::QueueAttributeName,
};
use flota_core::{QueueName, WorkerName};
use flota_platform::{
    aws::{
        Clients, is_call_denied,
        tables::{Key, TableSpec, tables},
    },
    settings::Settings,
};

use super::rights::{Part, Right, rights, table};
use crate::doctor::Check;

/// A key that no record and no object has.
const NOBODY: &str = "flota-doctor";
/// The MD5 of no body, as far as anybody knows.
const WRONG_MD5: &str = "AAAAAAAAAAAAAAAAAAAAAA==";

/// Tries the rights of the roles that this process has, or else of `worker`, each once.
pub(super) async fn check(
    clients: &Clients,
    settings: &Settings,
    workers: &[WorkerName],
    worker: Option<&WorkerName>,
) -> Vec<Check> {
    let (parts, workers): (Vec<_>, _) = match worker {
        Some(worker) => (vec![Part::Worker], slice::from_ref(worker)),
        None => (settings.server.roles.iter().copied().map(Part::Server).collect(), workers),
    };
    let mut wanted: BTreeMap<Right, BTreeSet<Part>> = BTreeMap::new();
    for part in parts {
        for right in rights(part) {
            wanted.entry(*right).or_default().insert(part);
        }
    }
    let trial = Trial { clients, settings, workers };
    let mut denied: BTreeMap<Part, Vec<String>> = BTreeMap::new();
    for (right, parts) in wanted {
        let refused = trial.refused(right).await;
        for part in parts {
            denied.entry(part).or_default().extend(refused.iter().cloned());
        }
    }
    denied.into_iter().map(|(part, refused)| said(part, &refused)).collect()
}

fn said(part: Part, refused: &[String]) -> Check {
    let about = format!("rights: {part}");
    match refused.is_empty() {
        true => Check::ok(about, "nothing that it does was refused"),
        false => Check::error(
            about,
            format!("refused: {}", refused.join(", ")),
            match part {
                Part::Worker => format!("grant what infra/iam/{part}.json grants"),
                Part::Server(_) => format!(
                    "grant what infra/iam/{part}.json grants, or take the role from server.roles"
                ),
            },
        ),
    }
}

struct Trial<'a> {
    clients: &'a Clients,
    settings: &'a Settings,
    workers: &'a [WorkerName],
}

impl Trial<'_> {
    /// What was refused of a right, as action and resource.
    async fn refused(&self, right: Right) -> Vec<String> {
        match right {
            Right::Send(queues) | Right::Receive(queues) | Right::Count(queues) => {
                let mut refused = Vec::new();
                for queue in queues.names(self.settings, self.workers) {
                    refused.extend(self.refused_queue(right, &queue).await);
                }
                refused
            }
            Right::Read(what) | Right::Write(what) => {
                let name = table(self.settings, what);
                let all = tables(&self.settings.prefix);
                match all.iter().find(|table| table.name == name) {
                    Some(table) => self.refused_table(right, table).await,
                    None => Vec::new(),
                }
            }
            Right::PutUploads => self.refused_put().await,
            // To who may not list a bucket S3 calls an object forbidden that is not there.
            Right::GetUploads | Right::GetObjects => Vec::new(),
            Right::SeeMissing => self.refused_list().await,
        }
    }

    async fn refused_queue(&self, right: Right, queue: &QueueName) -> Vec<String> {
        let sqs = &self.clients.sqs;
        let mut refused = Refused::of(queue.as_str());
        let url = match sqs.get_queue_url().queue_name(queue.as_str()).send().await {
            Ok(answer) => answer.queue_url.unwrap_or_default(),
            Err(error) => {
                refused.note("sqs:GetQueueUrl", &Err::<(), _>(error));
                return refused.actions;
            }
        };
        match right {
            // Batches of nothing, and a receive of none.
            Right::Send(_) => {
                let sent = sqs.send_message_batch().queue_url(url).set_entries(Some(vec![]));
                refused.note("sqs:SendMessage", &sent.send().await);
            }
            Right::Receive(_) => {
                let received = sqs.receive_message().queue_url(&url).max_number_of_messages(0);
                refused.note("sqs:ReceiveMessage", &received.send().await);
                let deleted = sqs.delete_message_batch().queue_url(&url).set_entries(Some(vec![]));
                refused.note("sqs:DeleteMessage", &deleted.send().await);
                let extended = sqs.change_message_visibility_batch().queue_url(url);
                let extended = extended.set_entries(Some(vec![])).send().await;
                refused.note("sqs:ChangeMessageVisibility", &extended);
            }
            _ => {
                let counted = sqs.get_queue_attributes().queue_url(url);
                let name = QueueAttributeName::ApproximateNumberOfMessages;
                let counted = counted.attribute_names(name).send().await;
                refused.note("sqs:GetQueueAttributes", &counted);
            }
        }
        refused.actions
    }

    async fn refused_table(&self, right: Right, table: &TableSpec) -> Vec<String> {
        let dynamodb = &self.clients.dynamodb;
        let mut refused = Refused::of(&table.name);
        let key = nobody(&table.key);
        if matches!(right, Right::Read(_)) {
            let got = dynamodb.get_item().table_name(&table.name).set_key(Some(key)).send().await;
            refused.note("dynamodb:GetItem", &got);
            for index in &table.indexes {
                let (name, kind) = &index.key.partition;
                let queried = dynamodb.query().table_name(&table.name).index_name(index.name);
                let queried = queried
                    .key_condition_expression("#key = :nobody")
                    .expression_attribute_names("#key", *name)
                    .expression_attribute_values(":nobody", value(kind));
                refused.note("dynamodb:Query", &queried.send().await);
            }
            return refused.actions;
        }
        // On the condition that somebody is there whom nobody put there.
        let (partition, _) = table.key.partition;
        let condition = "attribute_exists(#key)";
        let put = dynamodb.put_item().table_name(&table.name).set_item(Some(key.clone()));
        let put = put.condition_expression(condition).expression_attribute_names("#key", partition);
        refused.note("dynamodb:PutItem", &put.send().await);
        let update = dynamodb.update_item().table_name(&table.name).set_key(Some(key));
        let update = update
            .update_expression("SET touched = :nobody")
            .condition_expression(condition)
            .expression_attribute_names("#key", partition)
            .expression_attribute_values(":nobody", value(&ScalarAttributeType::S));
        refused.note("dynamodb:UpdateItem", &update.send().await);
        refused.actions
    }

    /// A write whose bytes have another checksum than it says.
    async fn refused_put(&self) -> Vec<String> {
        let bucket = &self.settings.aws.bucket;
        let mut refused = Refused::of(bucket);
        let put = self.clients.s3.put_object().bucket(bucket).key(format!("sha256/{NOBODY}"));
        refused.note("s3:PutObject", &put.content_md5(WRONG_MD5).send().await);
        refused.actions
    }

    async fn refused_list(&self) -> Vec<String> {
        let rules = self.settings.ingest.rules.iter().map(|rule| &rule.bucket);
        let buckets: BTreeSet<_> = rules.chain([&self.settings.aws.bucket]).collect();
        let mut actions = Vec::new();
        for bucket in buckets {
            let mut refused = Refused::of(bucket);
            refused
                .note("s3:ListBucket", &self.clients.s3.head_bucket().bucket(bucket).send().await);
            actions.append(&mut refused.actions);
        }
        actions
    }
}

/// The actions on one resource that were refused.
struct Refused<'a> {
    resource: &'a str,
    actions: Vec<String>,
}

impl<'a> Refused<'a> {
    fn of(resource: &'a str) -> Self {
        Self { resource, actions: Vec::new() }
    }

    fn note<T, E: ProvideErrorMetadata>(&mut self, action: &str, answer: &Result<T, SdkError<E>>) {
        let Err(error) = answer else { return };
        if is_call_denied(error) {
            self.actions.push(format!("{action} on {}", self.resource));
        }
    }
}

fn nobody(key: &Key) -> std::collections::HashMap<String, AttributeValue> {
    key.attributes().map(|(name, kind)| ((*name).to_owned(), value(kind))).collect()
}

fn value(kind: &ScalarAttributeType) -> AttributeValue {
    match kind {
        ScalarAttributeType::N => AttributeValue::N("0".to_owned()),
        _ => AttributeValue::S(NOBODY.to_owned()),
    }
}
