use std::sync::{Mutex, PoisonError};

use aws_sdk_sqs::{
    config::{
        ConfigBag, Intercept, RuntimeComponents,
        interceptors::{
            AfterDeserializationInterceptorContextRef, BeforeSerializationInterceptorContextRef,
            BeforeTransmitInterceptorContextRef,
        },
    },
    operation::{receive_message::ReceiveMessageOutput, send_message_batch::SendMessageBatchInput},
    types::MessageAttributeValue,
};
use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{interceptors::context::Output, orchestrator::Metadata},
};
use aws_smithy_types::config_bag::{Storable, StoreReplace};
use metrics::counter;
use serde::Deserialize;

/// What SQS bills as one request: each begun 64 KB of payload.
const SQS_UNIT_BYTES: usize = 64 * 1024;
/// Operations of DynamoDB that take read units; all others that are billed take write units.
const READS: [&str; 5] = ["GetItem", "BatchGetItem", "Query", "Scan", "TransactGetItems"];

/// Counts what is billed: every request that is sent, tries that failed included, SQS's units of
/// payload, and the read and write units that DynamoDB says it took. It says so where it is asked
/// with `ReturnConsumedCapacity`; a write or transaction that a condition refused says nothing and
/// counts as one unit, the least that it costs.
#[derive(Debug)]
pub(super) struct Meter {
    service: &'static str,
    /// What is left of read and write units: they come in halves, and counters are whole.
    rest: Mutex<[f64; 2]>,
}

/// The units of a batch of messages, kept from its input to each try of sending it.
#[derive(Debug)]
struct SentUnits(u64);

impl Storable for SentUnits {
    type Storer = StoreReplace<Self>;
}

impl Meter {
    pub(super) fn new(service: &'static str) -> Self {
        Self { service, rest: Mutex::default() }
    }

    fn count_capacity(&self, operation: &str, units: f64) {
        let (kind, index) = if READS.contains(&operation) { ("read", 0) } else { ("write", 1) };
        let mut rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        let owed = rest[index] + units;
        rest[index] = owed.fract();
        counter!("flota_aws_dynamodb_units_total", "kind" => kind).increment(owed as u64);
    }
}

impl Intercept for Meter {
    fn name(&self) -> &'static str {
        "Meter"
    }

    fn read_before_serialization(
        &self,
        context: &BeforeSerializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(batch) = context.input().downcast_ref::<SendMessageBatchInput>() {
            let entries = batch.entries().iter();
            let bytes = entries.map(|entry| {
                entry.message_body().len() + attribute_bytes(entry.message_attributes())
            });
            let units = sqs_units(bytes.sum());
            bag.interceptor_state().store_put(SentUnits(units));
        }
        Ok(())
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let operation = operation(bag).to_owned();
        counter!("flota_aws_requests_total", "service" => self.service, "operation" => operation)
            .increment(1);
        if self.service == "sqs" {
            let units = bag.load::<SentUnits>().map_or(1, |sent| sent.0);
            counter!("flota_aws_sqs_units_total").increment(units);
        }
        Ok(())
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        match self.service {
            "sqs" => {
                // One was counted when the request was sent.
                let more = context.output_or_error().map_or(0, received_units).saturating_sub(1);
                counter!("flota_aws_sqs_units_total").increment(more);
            }
            "dynamodb" => {
                let body = context.response().body().bytes().unwrap_or_default();
                self.count_capacity(operation(bag), consumed_units(body));
            }
            _ => {}
        }
        Ok(())
    }
}

fn operation(bag: &ConfigBag) -> &str {
    bag.load::<Metadata>().map_or("unknown", Metadata::name)
}

fn sqs_units(bytes: usize) -> u64 {
    bytes.div_ceil(SQS_UNIT_BYTES).max(1) as u64
}

fn received_units(output: &Output) -> u64 {
    let Some(received) = output.downcast_ref::<ReceiveMessageOutput>() else { return 1 };
    let bytes = received.messages().iter().map(|message| {
        message.body().map_or(0, str::len) + attribute_bytes(message.message_attributes())
    });
    sqs_units(bytes.sum())
}

fn attribute_bytes(
    attributes: Option<&std::collections::HashMap<String, MessageAttributeValue>>,
) -> usize {
    let sizes = attributes.into_iter().flatten().map(|(name, value)| {
        name.len() + value.data_type().len() + value.string_value().map_or(0, str::len)
    });
    sizes.sum()
}

/// What an answer of DynamoDB says was billed.
fn consumed_units(body: &[u8]) -> f64 {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Answer {
        consumed_capacity: Option<Consumed>,
        #[serde(rename = "__type")]
        error: Option<String>,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Consumed {
        One(Capacity),
        Many(Vec<Capacity>),
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Capacity {
        capacity_units: f64,
    }
    match serde_json::from_slice(body) {
        Ok(Answer { consumed_capacity: Some(Consumed::One(one)), .. }) => one.capacity_units,
        Ok(Answer { consumed_capacity: Some(Consumed::Many(many)), .. }) => {
            many.iter().map(|one| one.capacity_units).sum()
        }
        Ok(Answer { error: Some(error), .. }) if is_refused_by_condition(&error) => 1.0,
        _ => 0.0,
    }
}

fn is_refused_by_condition(error: &str) -> bool {
    let codes = ["ConditionalCheckFailedException", "TransactionCanceledException"];
    codes.iter().any(|code| error.ends_with(code))
}
