use std::time::Duration;

use axum::{
    body::Bytes,
    http::{HeaderMap, Method, Response, StatusCode, header::CONTENT_TYPE},
};
use serde_json::{Map, Value, json};

/// What can go wrong with a call of AWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The answer is 500, and nothing was done.
    Error,
    /// The answer is that there were too many calls, and nothing was done.
    Throttled,
    /// The call arrives so much later.
    Delayed(Duration),
    /// The service worked, and its answer is lost.
    AnswerLost,
    /// The service worked, and half of its answer arrives.
    Truncated,
    /// The connection is reset before the service hears of the call.
    Reset,
    /// One entry of a batch of SQS is not looked at, and the answer says so.
    PartlyFailed,
    /// One item of a batch of DynamoDB is not looked at, and the answer says so.
    Unprocessed,
}

/// A batch without one of its entries.
pub struct Batch {
    /// What is asked for still, if anything.
    pub rest: Option<Bytes>,
    left_out: LeftOut,
}

enum LeftOut {
    /// The field of the answer that lists it, and its entry there.
    Entry(&'static str, Value),
    /// The field of the answer, its table, and what is asked of it.
    Item(&'static str, String, Value),
}

impl Fault {
    /// Whether calls of this operation can meet it.
    pub fn meets(self, operation: &str) -> bool {
        match self {
            Self::PartlyFailed => operation.ends_with("Batch"),
            Self::Unprocessed => ["BatchWriteItem", "BatchGetItem"].contains(&operation),
            _ => true,
        }
    }
}

/// The operation that is called: its name with SQS and DynamoDB, the method with S3.
pub fn operation(method: &Method, headers: &HeaderMap) -> String {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok());
    match target.and_then(|target| target.rsplit_once('.')) {
        Some((_, operation)) => operation.to_owned(),
        None => method.to_string(),
    }
}

/// The answer of a service that could not.
pub fn refusal(headers: &HeaderMap, fault: Fault) -> Response<Bytes> {
    let is_throttled = fault == Fault::Throttled;
    let is_s3 = !headers.contains_key("x-amz-target");
    let (status, code) = match (is_throttled, is_s3) {
        (true, true) => (StatusCode::SERVICE_UNAVAILABLE, "SlowDown"),
        (true, false) => (StatusCode::BAD_REQUEST, "ThrottlingException"),
        (false, true) => (StatusCode::INTERNAL_SERVER_ERROR, "InternalError"),
        (false, false) => (StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError"),
    };
    let (kind, body) = if is_s3 {
        let body = format!("<Error><Code>{code}</Code><Message>injected</Message></Error>");
        ("application/xml", body)
    } else {
        ("application/x-amz-json-1.0", json!({ "__type": code, "message": "injected" }).to_string())
    };
    let answer = Response::builder().status(status).header(CONTENT_TYPE, kind);
    answer.body(body.into()).expect("the parts are right")
}

impl Batch {
    /// Leaves the last entry of the batch `body` out.
    pub fn split(operation: &str, body: &[u8]) -> Self {
        let mut asked: Value = serde_json::from_slice(body).expect("the SDK sends JSON");
        if let Some(entries) = asked["Entries"].as_array_mut() {
            let entry = entries.pop().expect("no batch is empty");
            let failed = json!({
                "Id": entry["Id"],
                "Code": "InternalError",
                "Message": "injected",
                "SenderFault": false,
            });
            let is_empty = entries.is_empty();
            return Self::new(is_empty, &asked, LeftOut::Entry("Failed", failed));
        }
        let tables = asked["RequestItems"].as_object_mut().expect("it is a batch of items");
        let table = tables.keys().next().expect("no batch is empty").clone();
        let mut wanted = tables.remove(&table).expect("it was just seen");
        let is_read = operation == "BatchGetItem";
        let items = if is_read { &mut wanted["Keys"] } else { &mut wanted };
        let items = items.as_array_mut().expect("a batch lists items");
        let item = json!([items.pop().expect("no batch is empty")]);
        let mut left_out = item.clone();
        if is_read {
            left_out = wanted.clone();
            left_out["Keys"] = item;
        }
        let items = if is_read { &wanted["Keys"] } else { &wanted };
        if items.as_array().is_some_and(|items| !items.is_empty()) {
            tables.insert(table.clone(), wanted);
        }
        let is_empty = tables.is_empty();
        let field = if is_read { "UnprocessedKeys" } else { "UnprocessedItems" };
        Self::new(is_empty, &asked, LeftOut::Item(field, table, left_out))
    }

    /// The answer for the whole batch, of which `answer` is that for the rest.
    pub fn join(self, answer: &[u8]) -> Bytes {
        let mut answer: Value = serde_json::from_slice(answer).unwrap_or_default();
        match self.left_out {
            LeftOut::Entry(field, failed) => match answer[field].as_array_mut() {
                Some(others) => others.push(failed),
                None => answer[field] = json!([failed]),
            },
            LeftOut::Item(field, table, left_out) => {
                answer[field] = Value::Object(Map::from_iter([(table, left_out)]));
            }
        }
        answer.to_string().into()
    }

    fn new(is_empty: bool, asked: &Value, left_out: LeftOut) -> Self {
        let rest = (!is_empty).then(|| asked.to_string().into());
        Self { rest, left_out }
    }
}
