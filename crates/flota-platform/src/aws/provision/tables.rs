//! Tables, as they are and as they are to be.

use std::{collections::BTreeMap, time::Duration};

use aws_sdk_dynamodb::{
    Client,
    types::{
        BillingMode, IndexStatus, KeySchemaElement, TableDescription, TableStatus, TimeToLiveStatus,
    },
};
use flota_core::{PortError, PortResult};
use tokio::time::{Instant, sleep};

use super::{Difference, Resource, ResourceKind, State};
use crate::aws::{
    error::failed,
    tables::{Key, TableSpec},
};

/// How long a table or an index may take to be made: an index of an empty table takes a minute or
/// two.
const MAKING: Duration = Duration::from_secs(10 * 60);
/// How often a table that is being made is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

const BILLING_MODE: &str = "BillingMode";
const ON_DEMAND: &str = "PAY_PER_REQUEST";
const STATUS: &str = "TableStatus";
const ACTIVE: &str = "ACTIVE";
const TTL: &str = "TimeToLive";

/// How the table is.
pub(super) async fn look(client: &Client, spec: &TableSpec) -> PortResult<Resource> {
    let state = match describe(client, spec).await? {
        None => State::Missing,
        Some(table) => {
            let mut differences = differences(spec, &table);
            differences.extend(ttl_difference(client, spec).await?);
            match differences.is_empty() {
                true => State::Ready,
                false => State::Different { differences },
            }
        }
    };
    let (name, attributes) = (spec.name.clone(), attributes(spec));
    Ok(Resource { kind: ResourceKind::Table, name, attributes, state })
}

/// Makes the table and returns once it can be used.
pub(super) async fn make(client: &Client, spec: &TableSpec) -> PortResult<()> {
    spec.create(client).await?;
    wait_until_active(client, spec).await?;
    enable_ttl(client, spec).await
}

/// Changes what differs and can be changed.
pub(super) async fn change(
    client: &Client,
    spec: &TableSpec,
    differences: &[Difference],
) -> PortResult<()> {
    let differs = |attribute: &str| differences.iter().any(|d| d.attribute == attribute);
    wait_until_active(client, spec).await?;
    if differs(BILLING_MODE) {
        let changed = client
            .update_table()
            .table_name(&spec.name)
            .billing_mode(BillingMode::PayPerRequest)
            .send()
            .await;
        changed.map_err(|error| failed(format!("billing {} on demand", spec.name), error))?;
        wait_until_active(client, spec).await?;
    }
    for index in spec.indexes.iter().filter(|index| differs(&index_attribute(index.name))) {
        spec.add_index(client, index).await?;
        wait_until_active(client, spec).await?;
    }
    enable_ttl(client, spec).await
}

async fn enable_ttl(client: &Client, spec: &TableSpec) -> PortResult<()> {
    if ttl_difference(client, spec).await?.is_none() {
        return Ok(());
    }
    match spec.enable_ttl(client).await {
        Ok(()) => Ok(()),
        // It is refused where it is so already, as when two make the table at once.
        Err(_) if ttl_difference(client, spec).await?.is_none() => Ok(()),
        Err(error) => Err(error),
    }
}

async fn describe(client: &Client, spec: &TableSpec) -> PortResult<Option<TableDescription>> {
    match client.describe_table().table_name(&spec.name).send().await {
        Ok(answer) => Ok(answer.table),
        Err(error) => match error.as_service_error() {
            Some(refusal) if refusal.is_resource_not_found_exception() => Ok(None),
            _ => Err(failed(format!("looking at the table {}", spec.name), error)),
        },
    }
}

async fn wait_until_active(client: &Client, spec: &TableSpec) -> PortResult<()> {
    let deadline = Instant::now() + MAKING;
    loop {
        let table = describe(client, spec).await?;
        if table.is_some_and(|table| is_active(&table)) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            let what = format!("the table {} is still being made: run this again later", spec.name);
            let why = format!("it was not active after {} s", MAKING.as_secs());
            return Err(PortError::transient(what, why));
        }
        sleep(LOOK_INTERVAL).await;
    }
}

fn is_active(table: &TableDescription) -> bool {
    let mut indexes = table.global_secondary_indexes().iter();
    table.table_status() == Some(&TableStatus::Active)
        && indexes.all(|index| index.index_status() == Some(&IndexStatus::Active))
}

fn differences(spec: &TableSpec, table: &TableDescription) -> Vec<Difference> {
    let key = |schema: &[KeySchemaElement]| describe_schema(schema, table);
    let mut differences = Vec::new();
    let found = key(table.key_schema());
    if found != describe_key(&spec.key) {
        differences.push(Difference::new("KeySchema", found, describe_key(&spec.key)).fixed());
    }
    if !is_active(table) {
        let status = table.table_status().map_or("unknown", TableStatus::as_str);
        let found = if status == ACTIVE { "ACTIVE, an index is not" } else { status };
        differences.push(Difference::new(STATUS, found, ACTIVE));
    }
    // A table that never was billed otherwise than by provisioned capacity has no summary.
    let summary = table.billing_mode_summary().and_then(|summary| summary.billing_mode());
    let billing = summary.unwrap_or(&BillingMode::Provisioned);
    if *billing != BillingMode::PayPerRequest {
        differences.push(Difference::new(BILLING_MODE, billing.as_str(), ON_DEMAND));
    }
    for index in &spec.indexes {
        let (attribute, wanted) = (index_attribute(index.name), describe_key(&index.key));
        let mut all = table.global_secondary_indexes().iter();
        match all.find(|found| found.index_name() == Some(index.name)) {
            None => differences.push(Difference::new(attribute, "missing", wanted)),
            Some(found) if key(found.key_schema()) != wanted => {
                let found = key(found.key_schema());
                differences.push(Difference::new(attribute, found, wanted).fixed());
            }
            Some(_) => {}
        }
    }
    differences
}

async fn ttl_difference(client: &Client, spec: &TableSpec) -> PortResult<Option<Difference>> {
    let Some(wanted) = spec.ttl else { return Ok(None) };
    let answer = client
        .describe_time_to_live()
        .table_name(&spec.name)
        .send()
        .await
        .map_err(|error| failed(format!("looking at the expiry of {}", spec.name), error))?;
    let ttl = answer.time_to_live_description();
    let status = ttl.and_then(|ttl| ttl.time_to_live_status());
    let is_on = matches!(status, Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling));
    let found = match ttl.and_then(|ttl| ttl.attribute_name()) {
        Some(attribute) if is_on => attribute,
        _ => "off",
    };
    Ok((found != wanted).then(|| Difference::new(TTL, found, wanted)))
}

fn attributes(spec: &TableSpec) -> BTreeMap<String, String> {
    let mut attributes = BTreeMap::from([
        ("KeySchema".to_owned(), describe_key(&spec.key)),
        (BILLING_MODE.to_owned(), ON_DEMAND.to_owned()),
    ]);
    attributes.extend(spec.ttl.map(|ttl| (TTL.to_owned(), ttl.to_owned())));
    let indexes = spec.indexes.iter();
    attributes.extend(indexes.map(|i| (index_attribute(i.name), describe_key(&i.key))));
    attributes
}

fn index_attribute(name: &str) -> String {
    format!("GlobalSecondaryIndex {name}")
}

/// `request_id:S, item_key:S`: the partition key first.
fn describe_key(key: &Key) -> String {
    let parts = key.attributes().map(|(name, kind)| format!("{name}:{}", kind.as_str()));
    parts.collect::<Vec<_>>().join(", ")
}

fn describe_schema(schema: &[KeySchemaElement], table: &TableDescription) -> String {
    let kind = |name: &str| {
        let mut defined = table.attribute_definitions().iter();
        defined.find(|definition| definition.attribute_name() == name)
    };
    let part = |element: &KeySchemaElement| {
        let name = element.attribute_name();
        let kind = kind(name).map_or("unknown", |found| found.attribute_type().as_str());
        format!("{name}:{kind}")
    };
    schema.iter().map(part).collect::<Vec<_>>().join(", ")
}
