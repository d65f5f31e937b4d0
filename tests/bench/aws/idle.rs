//! What fleets ask for that have nothing to do.

use std::time::Duration;

use anyhow::Result;

use crate::{
    Options,
    fleet::Fleet,
    meters::Meters,
    table::{Row, Table},
};

/// How many idle workers the fleets have.
const WORKERS: [usize; 3] = [1, 4, 16];
/// Before idling is measured, what was started has acknowledged.
const SETTLING: Duration = Duration::from_secs(5);
const HOUR: f64 = 3_600.0;

pub async fn measure(options: &Options) -> Result<Table> {
    let mut fleets = Vec::new();
    for count in WORKERS {
        let mut fleet = Fleet::start().await?;
        fleet.start_workers(count).await?;
        fleets.push((count, fleet));
    }
    tokio::time::sleep(SETTLING).await;
    let mut before = Vec::new();
    for (_, fleet) in &fleets {
        before.push(Parts::of(fleet).await?);
    }
    tokio::time::sleep(Duration::from_secs(options.idle_seconds)).await;
    let per_hour = HOUR / options.idle_seconds as f64;
    let mut rows = Vec::new();
    for ((count, fleet), before) in fleets.iter().zip(before) {
        let counts = Parts::of(fleet).await?.since(before);
        rows.push(Row {
            name: format!("{count} workers"),
            counts: counts.into_iter().map(|count| count * per_hour).collect(),
        });
    }
    Ok(Table {
        name: "idle, per hour",
        columns: vec![
            "SQS: tasks",
            "SQS: outcomes",
            "SQS: events",
            "SQS: dead-letter queues",
            "DynamoDB read units",
            "DynamoDB write units",
        ],
        rows,
    })
}

/// What the parts have counted that each take from queues of their own, and all together.
struct Parts {
    worker: Meters,
    recorder: Meters,
    ingest: Meters,
    sweeper: Meters,
    all: Meters,
}

impl Parts {
    async fn of(fleet: &Fleet) -> Result<Self> {
        Ok(Self {
            worker: fleet.meters_of("worker").await?,
            recorder: fleet.meters_of("recorder").await?,
            ingest: fleet.meters_of("ingest").await?,
            sweeper: fleet.meters_of("sweeper").await?,
            all: fleet.meters().await?,
        })
    }

    fn since(self, before: Self) -> Vec<f64> {
        let all = self.all - before.all;
        vec![
            (self.worker - before.worker).sqs_requests(),
            (self.recorder - before.recorder).sqs_requests(),
            (self.ingest - before.ingest).sqs_requests(),
            (self.sweeper - before.sweeper).sqs_requests(),
            all.dynamodb_units("read"),
            all.dynamodb_units("write"),
        ]
    }
}
