//! Who but the fleet may send to the queue of events.

use std::collections::BTreeSet;

use serde_json::{Value, json};

/// The name of our statement among those of a queue's policy.
const SID: &str = "flota-upload-events";

/// Lets `buckets` of the queue's own account tell the queue with this ARN.
pub(super) fn statement(queue: &str, buckets: &BTreeSet<&str>) -> Value {
    let mut parts = queue.split(':');
    let (partition, account) = (parts.nth(1).unwrap_or_default(), parts.nth(2).unwrap_or_default());
    let buckets: Vec<_> =
        buckets.iter().map(|bucket| format!("arn:{partition}:s3:::{bucket}")).collect();
    json!({
        "Sid": SID,
        "Effect": "Allow",
        "Principal": {"Service": "s3.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue,
        "Condition": {
            "ArnEquals": {"aws:SourceArn": buckets},
            "StringEquals": {"aws:SourceAccount": account},
        },
    })
}

/// Whether `policy`, as a queue has it, holds our statement in these words.
pub(super) fn holds(policy: Option<&str>, statement: &Value) -> bool {
    statements(policy).contains(statement)
}

/// `policy` with our statement in place of an earlier one; those of others stay.
pub(super) fn with(policy: Option<&str>, statement: Value) -> String {
    let mut statements = statements(policy);
    statements.retain(|other| other["Sid"] != SID);
    statements.push(statement);
    json!({"Version": "2012-10-17", "Statement": statements}).to_string()
}

fn statements(policy: Option<&str>) -> Vec<Value> {
    let policy: Value =
        policy.and_then(|policy| serde_json::from_str(policy).ok()).unwrap_or_default();
    match &policy["Statement"] {
        Value::Array(statements) => statements.clone(),
        Value::Null => Vec::new(),
        // A policy of one statement may go without the list.
        only => vec![only.clone()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUE: &str = "arn:aws:sqs:eu-central-1:123456789012:flota-events";

    #[test]
    fn our_statement_is_added_once_and_renewed_beside_those_of_others() {
        let one = statement(QUEUE, &BTreeSet::from(["photos"]));
        assert_eq!(one["Condition"]["ArnEquals"]["aws:SourceArn"][0], "arn:aws:s3:::photos");
        assert_eq!(one["Condition"]["StringEquals"]["aws:SourceAccount"], "123456789012");
        assert!(!holds(None, &one));
        let other =
            r#"{"Version": "2012-10-17", "Statement": {"Sid": "topic", "Effect": "Allow"}}"#;
        let policy = with(Some(other), one.clone());
        assert!(holds(Some(&policy), &one), "{policy}");

        let two = statement(QUEUE, &BTreeSet::from(["more", "photos"]));
        assert!(!holds(Some(&policy), &two));
        let renewed = with(Some(&policy), two.clone());
        assert!(holds(Some(&renewed), &two) && !holds(Some(&renewed), &one), "{renewed}");
        assert_eq!(statements(Some(&renewed)).len(), 2, "{renewed}");
    }
}
