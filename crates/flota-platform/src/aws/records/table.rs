use std::time::Duration;

use aws_sdk_dynamodb::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::{put_item::PutItemError, update_item::UpdateItemError},
    types::{
        AttributeValue, ReturnConsumedCapacity, ReturnValue, ReturnValuesOnConditionCheckFailure,
    },
};
use flota_core::{PortError, PortResult, backoff};
use tokio::time;

use super::columns::Item;
use crate::aws::{
    error::{failed, failed_for_good},
    tables::table_name,
};

/// Answers to every call what it cost.
pub(super) const COST: ReturnConsumedCapacity = ReturnConsumedCapacity::Total;
/// How often a write that met another one, or what a batch left over, is sent before the caller
/// is told; in all the waits between take some seconds.
pub(super) const MAX_SENDS: u32 = 8;

const RESEND_BASE: Duration = Duration::from_millis(25);
const RESEND_CAP: Duration = Duration::from_secs(2);

/// One table. All reads are strongly consistent, but for those of an index.
#[derive(Clone)]
pub(super) struct Table {
    pub(super) client: Client,
    pub(super) name: String,
}

/// A change of one item, all of it or nothing.
pub(super) struct Change {
    key: Item,
    expression: String,
    condition: Option<String>,
    values: Item,
    returned: ReturnValue,
}

/// What became of a conditional write.
#[derive(Debug)]
pub(super) enum Written {
    /// It was done; the attributes that were asked for.
    Done(Item),
    /// Its condition did not hold; the item as it is, if there is one.
    Refused(Option<Item>),
}

impl Change {
    /// The change of the item `key` by an update expression.
    pub(super) fn of(key: Item, expression: impl Into<String>) -> Self {
        Self {
            key,
            expression: expression.into(),
            condition: None,
            values: Item::new(),
            returned: ReturnValue::None,
        }
    }

    /// Only where `condition` holds.
    pub(super) fn only_if(mut self, condition: impl Into<String>) -> Self {
        self.condition = Some(condition.into());
        self
    }

    /// What stands for `name` in the expressions.
    pub(super) fn value(mut self, name: &str, value: AttributeValue) -> Self {
        self.values.insert(name.to_owned(), value);
        self
    }

    /// Answers with the attributes as they were (`AllOld`) or are (`AllNew`).
    pub(super) fn returning(mut self, returned: ReturnValue) -> Self {
        self.returned = returned;
        self
    }
}

impl Written {
    /// Whether it was done.
    pub(super) fn is_done(&self) -> bool {
        matches!(self, Self::Done(_))
    }
}

impl Table {
    pub(super) fn new(client: Client, prefix: &str, what: &str) -> Self {
        Self { client, name: table_name(prefix, what) }
    }

    /// The item `key`, if there is one.
    pub(super) async fn get(&self, what: &str, key: Item) -> PortResult<Option<Item>> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.name)
            .set_key(Some(key))
            .consistent_read(true)
            .return_consumed_capacity(COST)
            .send()
            .await;
        Ok(answer.map_err(|error| self.failed(what, error))?.item)
    }

    /// Keeps `item` if `condition` holds, which knows no values of its own.
    pub(super) async fn put(
        &self,
        what: &str,
        item: &Item,
        condition: Option<&str>,
    ) -> PortResult<Written> {
        let request = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(item.clone()))
            .set_condition_expression(condition.map(str::to_owned))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .return_consumed_capacity(COST);
        match without_conflict(|| request.clone().send()).await {
            Ok(_) => Ok(Written::Done(Item::new())),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(refused)) => {
                    Ok(Written::Refused(refused.item.clone()))
                }
                _ => Err(self.failed(what, error)),
            },
        }
    }

    /// Makes a change.
    pub(super) async fn change(&self, what: &str, change: Change) -> PortResult<Written> {
        let request = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(change.key))
            .update_expression(change.expression)
            .set_condition_expression(change.condition)
            .set_expression_attribute_values((!change.values.is_empty()).then_some(change.values))
            .return_values(change.returned)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .return_consumed_capacity(COST);
        match without_conflict(|| request.clone().send()).await {
            Ok(answer) => Ok(Written::Done(answer.attributes.unwrap_or_default())),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(refused)) => {
                    Ok(Written::Refused(refused.item.clone()))
                }
                _ => Err(self.failed(what, error)),
            },
        }
    }

    /// Removes the item `key`, if there is one.
    pub(super) async fn delete(&self, what: &str, key: Item) -> PortResult<()> {
        let answer = self
            .client
            .delete_item()
            .table_name(&self.name)
            .set_key(Some(key))
            .return_consumed_capacity(COST)
            .send()
            .await;
        answer.map(drop).map_err(|error| self.failed(what, error))
    }

    /// What a failed call is to the caller of a port, who was at `what`.
    pub(super) fn failed<E>(&self, what: &str, error: SdkError<E>) -> PortError
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        match error.code() {
            Some("ResourceNotFoundException") => failed_for_good(
                format!("{what}: there is no table {}: run `flota provision`", self.name),
                error,
            ),
            _ => failed(format!("{what} in the table {}", self.name), error),
        }
    }
}

/// Sends again what another write was in the way of.
async fn without_conflict<T, E, F>(send: impl Fn() -> F) -> Result<T, SdkError<E>>
where
    E: ProvideErrorMetadata,
    F: Future<Output = Result<T, SdkError<E>>>,
{
    for sent in 1..MAX_SENDS {
        match send().await {
            Err(error) if error.code() == Some("TransactionConflictException") => pause(sent).await,
            answer => return answer,
        }
    }
    send().await
}

/// Waits before the next of several sends.
pub(super) async fn pause(sent: u32) {
    time::sleep(backoff(sent, RESEND_BASE, RESEND_CAP, rand::random())).await;
}
