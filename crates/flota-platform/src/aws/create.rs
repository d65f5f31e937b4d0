//! Creates the tables and the bucket of a fleet: for `flota provision`, and for adapters that may create what is
//! missing.

use std::time::Duration;

use aws_sdk_dynamodb::{
    Client,
    error::SdkError,
    operation::create_table::CreateTableError,
    types::{
        AttributeDefinition, BillingMode, CreateGlobalSecondaryIndexAction, GlobalSecondaryIndex,
        GlobalSecondaryIndexUpdate, IndexStatus, KeySchemaElement, KeyType, Projection,
        ProjectionType, TableDescription, TableStatus, TimeToLiveSpecification, TimeToLiveStatus,
    },
};
use aws_sdk_s3::{
    error::ProvideErrorMetadata,
    types::{BucketLocationConstraint, CreateBucketConfiguration},
};
use flota_core::{PortError, PortResult};
use tokio::time::{Instant, sleep};

use super::{
    Clients,
    error::failed,
    tables::{Attribute, IndexSpec, Key, TableSpec, tables},
};
use crate::settings::Settings;

/// How long a table or an index may take to be created: an index of an empty table takes a minute or two.
const CREATION_TIMEOUT: Duration = Duration::from_secs(10 * 60);
/// How often a table that is being created is described.
const DESCRIBE_INTERVAL: Duration = Duration::from_secs(1);
/// The region that `CreateBucket` does not take by its name.
const FIRST_REGION: &str = "us-east-1";

/// The error codes of S3 for a bucket that is missing, operation by operation.
pub const MISSING_BUCKET: [&str; 3] = ["404", "NotFound", "NoSuchBucket"];

/// Creates the tables and the bucket that `settings` name where they are missing. What is there stays as it is.
pub(super) async fn create_missing(clients: &Clients, settings: &Settings) -> PortResult<()> {
    for table in tables(&settings.prefix) {
        match table.describe(&clients.dynamodb).await? {
            None => table.create(&clients.dynamodb).await?,
            // Another process is at it.
            Some(found) if !is_active(&found) => table.wait_until_active(&clients.dynamodb).await?,
            Some(_) => {}
        }
    }
    let (s3, bucket) = (&clients.s3, &settings.aws.bucket);
    match is_bucket_there(s3, bucket).await? {
        true => Ok(()),
        false => create_bucket(s3, bucket).await,
    }
}

impl TableSpec {
    /// The table as it is; `None` where it is missing.
    ///
    /// # Errors
    /// If DynamoDB refuses or cannot be reached, here and below.
    pub async fn describe(&self, client: &Client) -> PortResult<Option<TableDescription>> {
        match client.describe_table().table_name(&self.name).send().await {
            Ok(answer) => Ok(answer.table),
            Err(error) => match error.as_service_error() {
                Some(refusal) if refusal.is_resource_not_found_exception() => Ok(None),
                _ => Err(failed(format!("looking at the table {}", self.name), error)),
            },
        }
    }

    /// Creates the table and returns once it can be used. Others may create it at the same time.
    pub async fn create(&self, client: &Client) -> PortResult<()> {
        let mut attributes: Vec<&Attribute> = self.key.attributes().collect();
        attributes.extend(self.indexes.iter().flat_map(|index| index.key.attributes()));
        let indexes: Vec<_> = self.indexes.iter().map(index_definition).collect();
        let created = client
            .create_table()
            .table_name(&self.name)
            .billing_mode(BillingMode::PayPerRequest)
            .set_key_schema(Some(key_schema(&self.key)))
            .set_attribute_definitions(Some(attributes.into_iter().map(define).collect()))
            .set_global_secondary_indexes((!indexes.is_empty()).then_some(indexes))
            .send()
            .await;
        match created {
            Ok(_) => {}
            Err(SdkError::ServiceError(answer))
                if matches!(answer.err(), CreateTableError::ResourceInUseException(_)) => {}
            Err(error) => return Err(failed(format!("making the table {}", self.name), error)),
        }
        self.wait_until_active(client).await?;
        self.enable_ttl(client).await
    }

    /// Adds an index that the table was created without, and returns once it can be used.
    pub async fn add_index(&self, client: &Client, index: &IndexSpec) -> PortResult<()> {
        let action = CreateGlobalSecondaryIndexAction::builder()
            .index_name(index.name)
            .set_key_schema(Some(key_schema(&index.key)))
            .projection(keys_only())
            .build()
            .expect("name and key are set");
        let added = client
            .update_table()
            .table_name(&self.name)
            .set_attribute_definitions(Some(index.key.attributes().map(define).collect()))
            .global_secondary_index_updates(
                GlobalSecondaryIndexUpdate::builder().create(action).build(),
            )
            .send()
            .await;
        let what = || format!("adding the index {} to {}", index.name, self.name);
        added.map_err(|error| failed(what(), error))?;
        self.wait_until_active(client).await
    }

    /// Returns once the table and its indexes can be used.
    pub async fn wait_until_active(&self, client: &Client) -> PortResult<()> {
        let deadline = Instant::now() + CREATION_TIMEOUT;
        loop {
            if self.describe(client).await?.is_some_and(|table| is_active(&table)) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let what =
                    format!("the table {} is still being made: run this again later", self.name);
                let why = format!("it was not active after {} s", CREATION_TIMEOUT.as_secs());
                return Err(PortError::transient(what, why));
            }
            sleep(DESCRIBE_INTERVAL).await;
        }
    }

    /// The attribute by which DynamoDB deletes items of the table; `None` where it deletes none.
    pub async fn ttl_attribute(&self, client: &Client) -> PortResult<Option<String>> {
        let answer =
            client.describe_time_to_live().table_name(&self.name).send().await.map_err(
                |error| failed(format!("looking at the expiry of {}", self.name), error),
            )?;
        let ttl = answer.time_to_live_description;
        let is_on = |status: &TimeToLiveStatus| {
            matches!(status, TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)
        };
        let ttl = ttl.filter(|ttl| ttl.time_to_live_status().is_some_and(is_on));
        Ok(ttl.and_then(|ttl| ttl.attribute_name))
    }

    /// Lets expired items be deleted, where they are to be and are not.
    pub async fn enable_ttl(&self, client: &Client) -> PortResult<()> {
        let Some(attribute) = self.ttl else { return Ok(()) };
        let is_enabled = async || -> PortResult<bool> {
            Ok(self.ttl_attribute(client).await?.as_deref() == Some(attribute))
        };
        if is_enabled().await? {
            return Ok(());
        }
        let ttl = TimeToLiveSpecification::builder().attribute_name(attribute).enabled(true);
        let enabled = client
            .update_time_to_live()
            .table_name(&self.name)
            .time_to_live_specification(ttl.build().expect("name and switch are set"))
            .send()
            .await;
        match enabled {
            Ok(_) => Ok(()),
            // DynamoDB refuses it where it is so already, as when two create the table at once.
            Err(_) if is_enabled().await? => Ok(()),
            Err(error) => {
                Err(failed(format!("letting expired items of {} be deleted", self.name), error))
            }
        }
    }
}

/// Whether a table and its indexes can be used.
pub fn is_active(table: &TableDescription) -> bool {
    let mut indexes = table.global_secondary_indexes().iter();
    table.table_status() == Some(&TableStatus::Active)
        && indexes.all(|index| index.index_status() == Some(&IndexStatus::Active))
}

/// Whether the bucket is there.
///
/// # Errors
/// If S3 refuses or cannot be reached.
pub async fn is_bucket_there(client: &aws_sdk_s3::Client, bucket: &str) -> PortResult<bool> {
    match client.head_bucket().bucket(bucket).send().await {
        Ok(_) => Ok(true),
        Err(error) if error.code().is_some_and(|code| MISSING_BUCKET.contains(&code)) => Ok(false),
        Err(error) => Err(failed(format!("looking at the bucket {bucket}"), error)),
    }
}

/// Creates the bucket in the client's region. AWS closes new buckets to the public.
///
/// # Errors
/// If S3 refuses or cannot be reached.
pub async fn create_bucket(client: &aws_sdk_s3::Client, bucket: &str) -> PortResult<()> {
    let region = client.config().region().map(ToString::to_string);
    let elsewhere = region.filter(|region| region != FIRST_REGION).map(|region| {
        let place = BucketLocationConstraint::from(region.as_str());
        CreateBucketConfiguration::builder().location_constraint(place).build()
    });
    let creating = client.create_bucket().bucket(bucket);
    match creating.set_create_bucket_configuration(elsewhere).send().await {
        Ok(_) => Ok(()),
        // Another process created it at the same time.
        Err(error) if error.code() == Some("BucketAlreadyOwnedByYou") => Ok(()),
        Err(error) => Err(failed(format!("making the bucket {bucket}"), error)),
    }
}

fn key_schema(key: &Key) -> Vec<KeySchemaElement> {
    let element = |(attribute, kind): (&Attribute, KeyType)| {
        let element = KeySchemaElement::builder().attribute_name(attribute.0).key_type(kind);
        element.build().expect("name and type are set")
    };
    key.attributes().zip([KeyType::Hash, KeyType::Range]).map(element).collect()
}

fn index_definition(index: &IndexSpec) -> GlobalSecondaryIndex {
    GlobalSecondaryIndex::builder()
        .index_name(index.name)
        .set_key_schema(Some(key_schema(&index.key)))
        .projection(keys_only())
        .build()
        .expect("name and key are set")
}

fn define((name, kind): &Attribute) -> AttributeDefinition {
    let definition =
        AttributeDefinition::builder().attribute_name(*name).attribute_type(kind.clone());
    definition.build().expect("name and type are set")
}

fn keys_only() -> Projection {
    Projection::builder().projection_type(ProjectionType::KeysOnly).build()
}
