//! What each part of the fleet may do on AWS, and no more. `infra/iam` says it to AWS; a test
//! compares the two.

use std::fmt;

use flota_core::{QueueName, WorkerName};
use flota_platform::{
    aws::tables::table_name,
    settings::{Role, Settings},
};

/// A part of the fleet that has rights of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Server(Role),
    Worker,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(role) => role.fmt(f),
            Self::Worker => f.write_str("worker"),
        }
    }
}

/// What may be done with what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Right {
    /// Put messages on queues.
    Send(Queues),
    /// Take messages off queues and ack them.
    Receive(Queues),
    /// Count the messages of queues.
    Count(Queues),
    /// Read a table and its indexes.
    Read(&'static str),
    /// Write a table.
    Write(&'static str),
    /// Keep uploads.
    PutUploads,
    /// Fetch uploads.
    GetUploads,
    /// Fetch images from the buckets that upload events are about.
    GetObjects,
    /// Tell an object that is not there from one that may not be read.
    SeeMissing,
}

/// Queues of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Queues {
    Tasks,
    Outcomes,
    Events,
    /// The dead-letter queues of all others.
    Nets,
}

use Queues::{Events, Nets, Outcomes, Tasks};
use Right::{Count, GetObjects, GetUploads, PutUploads, Read, Receive, SeeMissing, Send, Write};

/// What `part` may do.
pub(super) fn rights(part: Part) -> &'static [Right] {
    match part {
        Part::Server(Role::Api) => &[
            Send(Tasks),
            // A dead letter may be a message of any queue.
            Send(Outcomes),
            Send(Events),
            Count(Tasks),
            Count(Outcomes),
            Read("requests"),
            Write("requests"),
            Read("predictions"),
            Read("aliases"),
            Read("models"),
            Read("dead-letters"),
            Write("dead-letters"),
            PutUploads,
        ],
        Part::Server(Role::Recorder) => &[
            Receive(Outcomes),
            Read("requests"),
            Write("requests"),
            Read("predictions"),
            Write("predictions"),
            Write("aliases"),
            Read("dead-letters"),
            Write("dead-letters"),
        ],
        Part::Server(Role::Sweeper) => &[
            Send(Tasks),
            // Those that lie on the queue of a worker that was given up.
            Receive(Tasks),
            Count(Tasks),
            // While many outcomes wait to be recorded, nothing is taken for lost.
            Count(Outcomes),
            Receive(Nets),
            Read("requests"),
            Write("requests"),
            Read("dead-letters"),
            Write("dead-letters"),
            Read("models"),
        ],
        Part::Server(Role::Notifier) => &[Read("requests"), Write("requests"), Read("predictions")],
        Part::Server(Role::Ingest) => &[
            Receive(Events),
            Send(Tasks),
            Read("requests"),
            Write("requests"),
            Read("predictions"),
            Read("aliases"),
            Read("models"),
            Write("dead-letters"),
        ],
        Part::Worker => &[
            Receive(Tasks),
            Count(Tasks),
            Send(Tasks),
            Send(Outcomes),
            Read("requests"),
            Write("requests"),
            Read("predictions"),
            Read("aliases"),
            Read("models"),
            Write("models"),
            Write("dead-letters"),
            GetUploads,
            GetObjects,
            SeeMissing,
        ],
    }
}

#[cfg(test)]
impl Right {
    /// The actions of IAM that it takes.
    fn actions(self) -> &'static [&'static str] {
        match self {
            Send(_) => &["sqs:GetQueueUrl", "sqs:SendMessage"],
            Receive(_) => &[
                "sqs:ChangeMessageVisibility",
                "sqs:DeleteMessage",
                "sqs:GetQueueUrl",
                "sqs:ReceiveMessage",
            ],
            Count(_) => &["sqs:GetQueueAttributes", "sqs:GetQueueUrl"],
            Read(_) => &["dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:Query"],
            Write(_) => &[
                "dynamodb:BatchWriteItem",
                "dynamodb:ConditionCheckItem",
                "dynamodb:DeleteItem",
                "dynamodb:PutItem",
                "dynamodb:UpdateItem",
            ],
            PutUploads => &["s3:PutObject"],
            GetUploads => &["s3:GetObject"],
            GetObjects => &["s3:GetObject", "s3:GetObjectVersion"],
            SeeMissing => &["s3:ListBucket"],
        }
    }
}

impl Queues {
    /// Those of this kind in the fleet that has these workers.
    pub(super) fn names(self, settings: &Settings, workers: &[WorkerName]) -> Vec<QueueName> {
        let names = settings.queue_names();
        let (outcomes, events) = (names.outcomes(), names.events());
        let tasks =
            workers.iter().flat_map(|worker| names.tasks_of(worker)).map(|(_, queue)| queue);
        match self {
            Tasks => tasks.collect(),
            Outcomes => vec![outcomes],
            Events => vec![events],
            Nets => tasks.chain([outcomes, events]).map(|queue| queue.dlq()).collect(),
        }
    }
}

/// The name of the table that a right is about.
pub(super) fn table(settings: &Settings, what: &str) -> String {
    table_name(&settings.prefix, what)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use serde_json::Value;
    use strum::VariantArray;

    use super::*;

    /// What a right is about, as the policies in `infra/iam` write it.
    fn resources(right: Right, part: Part) -> Vec<String> {
        let sqs = |name: &str| vec![format!("arn:aws:sqs:REGION:ACCOUNT:flota-{name}")];
        let table = |name| format!("arn:aws:dynamodb:REGION:ACCOUNT:table/flota-{name}");
        let s3 = |path: &str| vec![format!("arn:aws:s3:::{path}")];
        match right {
            Send(queues) | Receive(queues) | Count(queues) => match queues {
                // A worker sends tasks of models that have moved to another, but takes none from it.
                Tasks if part == Part::Worker && !matches!(right, Send(_)) => {
                    sqs("tasks-WORKER-normal")
                }
                Tasks => sqs("tasks-*-normal"),
                Outcomes => sqs("outcomes"),
                Events => sqs("events"),
                Nets => sqs("*-dead"),
            },
            Read(name) => vec![table(name), format!("{}/index/*", table(name))],
            Write(name) => vec![table(name)],
            PutUploads | GetUploads => s3("UPLOADS_BUCKET/sha256/*"),
            GetObjects => s3("EVENTS_BUCKET/*"),
            SeeMissing => [s3("UPLOADS_BUCKET"), s3("EVENTS_BUCKET")].concat(),
        }
    }

    fn granted(policy: &Value) -> BTreeSet<(String, String)> {
        let texts = |value: &Value| -> Vec<String> {
            let all = value.as_array().expect("it is a list").iter();
            all.map(|text| text.as_str().expect("it is text").to_owned()).collect()
        };
        let mut granted = BTreeSet::new();
        for statement in policy["Statement"].as_array().expect("there are statements") {
            assert_eq!(statement["Effect"], "Allow");
            for action in texts(&statement["Action"]) {
                let resources = texts(&statement["Resource"]);
                granted.extend(resources.into_iter().map(|resource| (action.clone(), resource)));
            }
        }
        granted
    }

    #[test]
    fn the_policies_in_infra_grant_these_rights_and_no_others() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../infra/iam");
        let parts = Role::VARIANTS.iter().map(|role| Part::Server(*role)).chain([Part::Worker]);
        for part in parts {
            let path = folder.join(format!("{part}.json"));
            let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{part}.json: {e}"));
            let granted = granted(&serde_json::from_str(&text).unwrap());
            let mut wanted = BTreeSet::new();
            for right in rights(part) {
                for action in right.actions() {
                    let resources = resources(*right, part).into_iter();
                    wanted.extend(resources.map(|resource| ((*action).to_owned(), resource)));
                }
            }
            let missing: Vec<_> = wanted.difference(&granted).collect();
            let idle: Vec<_> = granted.difference(&wanted).collect();
            assert!(missing.is_empty() && idle.is_empty(), "{part}: {missing:?}, {idle:?}");
        }
    }
}
