//! Tables, as they are and as they are to be.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::{
    Client,
    types::{BillingMode, KeySchemaElement, TableDescription, TableStatus},
};
use flota_core::PortResult;
use flota_platform::aws::{
    create::is_active,
    failed,
    tables::{Key, TableSpec},
};

use super::{Difference, Resource, ResourceKind, State};

const BILLING_MODE: &str = "BillingMode";
const ON_DEMAND: &str = "PAY_PER_REQUEST";
const STATUS: &str = "TableStatus";
const ACTIVE: &str = "ACTIVE";
const TTL: &str = "TimeToLive";

/// How the table is.
pub(super) async fn look(client: &Client, spec: &TableSpec) -> PortResult<Resource> {
    let state = match spec.describe(client).await? {
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

/// Changes what differs and can be changed.
pub(super) async fn change(
    client: &Client,
    spec: &TableSpec,
    differences: &[Difference],
) -> PortResult<()> {
    let differs = |attribute: &str| differences.iter().any(|d| d.attribute == attribute);
    spec.wait_until_active(client).await?;
    if differs(BILLING_MODE) {
        let changed = client
            .update_table()
            .table_name(&spec.name)
            .billing_mode(BillingMode::PayPerRequest)
            .send()
            .await;
        changed.map_err(|error| failed(format!("billing {} on demand", spec.name), error))?;
        spec.wait_until_active(client).await?;
    }
    for index in spec.indexes.iter().filter(|index| differs(&index_attribute(index.name))) {
        spec.add_index(client, index).await?;
    }
    spec.enable_ttl(client).await
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
    let found = spec.ttl_attribute(client).await?;
    let found = found.as_deref().unwrap_or("off");
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
