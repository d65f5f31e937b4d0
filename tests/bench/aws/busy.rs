//! What tasks ask for, in each way in which they can come.

use anyhow::Result;

use crate::{
    Options,
    fleet::Fleet,
    images,
    meters::Meters,
    table::{Row, Table},
};

/// Images of a request that is not single.
const REQUEST_IMAGES: usize = 20;
const THOUSAND: f64 = 1_000.0;

pub async fn measure(options: &Options) -> Result<Table> {
    let mut fleet = Fleet::start().await?;
    let mut rows = Vec::new();
    let twenties = format!("in requests of {REQUEST_IMAGES}");
    let ways = [("single", 1), (twenties.as_str(), REQUEST_IMAGES)];
    let mut addresses = Vec::new();
    for (seed, (name, size)) in (0_u32..).zip(ways) {
        let images = images::draw(options.tasks, seed)?;
        addresses = fleet.cloud.upload(&format!("way-{seed}"), images).await?;
        rows.push(requests(&mut fleet, name, &addresses, size).await?);
    }
    // The objects of the last way once more.
    let known = format!("{twenties}, known");
    rows.push(requests(&mut fleet, &known, &addresses, REQUEST_IMAGES).await?);
    rows.push(uploads(&mut fleet, options.tasks).await?);
    Ok(Table {
        name: "busy, per 1,000 tasks",
        columns: vec![
            "SQS units",
            "SQS requests",
            "DynamoDB write units",
            "DynamoDB read units",
            "S3 requests",
        ],
        rows,
    })
}

/// Tasks of requests: all wait before a worker begins, as in a fleet that has much to do.
async fn requests(fleet: &mut Fleet, name: &str, addresses: &[String], size: usize) -> Result<Row> {
    let before = fleet.meters().await?;
    let requests = fleet.submit(addresses, size).await?;
    fleet.start_workers(1).await?;
    fleet.cloud.drained().await?;
    let spent = fleet.meters().await? - before;
    fleet.stop_workers().await?;
    fleet.check(&requests).await?;
    Ok(row(name, &spent, addresses.len()))
}

/// Tasks of upload events.
async fn uploads(fleet: &mut Fleet, count: usize) -> Result<Row> {
    let images = images::draw(count, u32::MAX)?;
    let before = fleet.meters().await?;
    fleet.cloud.upload("uploads", images.clone()).await?;
    fleet.cloud.drained_of("flota-events").await?;
    fleet.start_workers(1).await?;
    fleet.cloud.drained().await?;
    let spent = fleet.meters().await? - before;
    for picture in &images {
        fleet.check_known(picture).await?;
    }
    Ok(row("from upload events", &spent, count))
}

fn row(name: &str, spent: &Meters, count: usize) -> Row {
    for (request, count) in spent.requests().filter(|(_, count)| *count > 0.0) {
        eprintln!("{name}: {request} {count}");
    }
    let counts = [
        spent.sqs_units(),
        spent.sqs_requests(),
        spent.dynamodb_units("write"),
        spent.dynamodb_units("read"),
        spent.s3_requests(),
    ];
    let per_thousand = |spent: f64| spent * THOUSAND / count as f64;
    Row { name: name.to_owned(), counts: counts.map(per_thousand).to_vec() }
}
