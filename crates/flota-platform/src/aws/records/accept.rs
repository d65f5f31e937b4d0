//! Keeping a request so that it cannot be lost.

use std::time::Duration;

use aws_sdk_dynamodb::types::{
    AttributeValue, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
};
use flota_core::{
    PortResult, RequestId, Round, Sha256,
    ports::{Accept, Accepted, IdempotencyKey},
};

use super::{
    columns::{Item, damaged, document, item, read_text, text},
    keys::{WRITTEN_BY, expiry, request_key, submission_key, with_expiry, writer},
    requests::DOCUMENT,
    rounds,
    table::{Table, Written},
};

const KEEPING: &str = "keeping a request";
const ABSENT: &str = "attribute_not_exists(request_id)";
const FINGERPRINT: &str = "fingerprint";
const SUBMITTED: &str = "submitted_request";

/// Keeps a request. First its document, which nobody sees before its first round is there; then, in
/// one conditional write, that round, which is due, so that the sweeper sends its tasks if nobody else does: with it the request is stored.
/// Of a client with a key this second write is a transaction of the round and the key.
///
/// One write unit for each kilobyte of the compressed document (twenty addresses of S3 take one or
/// two), one for the round and one for the index. A transaction costs twice its round and its key:
/// three more.
pub(super) async fn accept(
    table: &Table,
    kept_for: Option<Duration>,
    accept: &Accept,
) -> PortResult<Accepted> {
    let request = &accept.request;
    if let Some(by) = &accept.idempotency
        && let Some(known) = table.get(KEEPING, submission_key(by)).await?
    {
        return submitted_before(&known, by).map(|(accepted, _)| accepted);
    }
    let expiry = expiry(request.id, kept_for, request.created_at);
    let mut whole = request_key(request.id);
    whole.insert(DOCUMENT.to_owned(), document(request)?);
    let whole = with_expiry(whole, expiry.clone());
    table.put(KEEPING, &whole, Some(ABSENT)).await?;

    let writer = writer();
    let round = rounds::open_item(&Round::first(request, accept.due_at), accept.due_at, &writer)?;
    let round = with_expiry(round, expiry.clone());
    let Some(by) = &accept.idempotency else {
        return Ok(match table.put(KEEPING, &round, Some(ABSENT)).await? {
            Written::Done(_) => Accepted::New,
            Written::Refused(Some(found)) if is_by(&found, &writer) => Accepted::New,
            Written::Refused(_) => Accepted::Same(request.id),
        });
    };
    let mut submission = submission_key(by);
    submission.extend(item([
        (FINGERPRINT, text(by.fingerprint.to_string())),
        (SUBMITTED, text(request.id.to_string())),
        (WRITTEN_BY, writer.clone()),
    ]));
    let submission = with_expiry(submission, expiry);
    let writes = vec![put_absent(table, submission), put_absent(table, round)];
    let known = match table.transact(KEEPING, writes).await? {
        Written::Done(_) => return Ok(Accepted::New),
        // The key was free, and the round there.
        Written::Refused(None) => return Ok(Accepted::Same(request.id)),
        Written::Refused(Some(known)) => known,
    };
    if is_by(&known, &writer) {
        return Ok(Accepted::New);
    }
    let (accepted, kept) = submitted_before(&known, by)?;
    if kept != request.id {
        // Another submission was faster between the look and the write; nobody sees this document.
        table.delete(KEEPING, request_key(request.id)).await?;
    }
    Ok(accepted)
}

/// What is to be said of a submission under a key that is known, and which request is kept by it.
fn submitted_before(known: &Item, by: &IdempotencyKey) -> PortResult<(Accepted, RequestId)> {
    let request = read_text(known, SUBMITTED)?;
    let request: RequestId = request.parse().map_err(|error| damaged(SUBMITTED, error))?;
    let fingerprint = read_text(known, FINGERPRINT)?.parse::<Sha256>();
    let fingerprint = fingerprint.map_err(|error| damaged(FINGERPRINT, error))?;
    let is_same = fingerprint == by.fingerprint;
    Ok((if is_same { Accepted::Same(request) } else { Accepted::Conflict }, request))
}

fn is_by(item: &Item, writer: &AttributeValue) -> bool {
    item.get(WRITTEN_BY) == Some(writer)
}

fn put_absent(table: &Table, item: Item) -> TransactWriteItem {
    let put = Put::builder()
        .table_name(&table.name)
        .set_item(Some(item))
        .condition_expression(ABSENT)
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
    TransactWriteItem::builder().put(put.build().expect("table and item are set")).build()
}
