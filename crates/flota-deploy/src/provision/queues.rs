//! Queues, as they are and as they are to be.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_sqs::{Client, types::QueueAttributeName};
use flota_core::{PortError, PortResult, QueueName, limits::MAX_RECEIVE_COUNT};
use flota_platform::aws::{
    failed,
    queues::{attributes, dlq_attributes},
};
use serde_json::{Value, json};

use super::{Difference, Resource, ResourceKind, State, policy};

/// What a queue says of itself.
type Attributes = HashMap<QueueAttributeName, String>;

const REDRIVE: QueueAttributeName = QueueAttributeName::RedrivePolicy;
const POLICY: QueueAttributeName = QueueAttributeName::Policy;

/// Attributes of which more is as good: who raised one had a reason.
const AT_LEAST: [QueueAttributeName; 2] =
    [QueueAttributeName::MaximumMessageSize, QueueAttributeName::MessageRetentionPeriod];

/// A queue that is there.
struct Found {
    url: String,
    attributes: Attributes,
}

/// A queue that is wanted.
pub(crate) struct WantedQueue<'a> {
    pub(super) name: QueueName,
    /// Whether it has a dead-letter queue, which must be made before it, or is one.
    pub(super) has_net: bool,
    /// The buckets that may send to it.
    pub(super) senders: BTreeSet<&'a str>,
}

/// How the queue is.
pub(super) async fn look(client: &Client, wanted: &WantedQueue<'_>) -> PortResult<Resource> {
    let state = match find(client, &wanted.name).await?.map(|found| differences(wanted, &found)) {
        None => State::Missing,
        Some(differences) if differences.is_empty() => State::Ready,
        Some(differences) => State::Different { differences },
    };
    let text = |(name, value): (QueueAttributeName, String)| (name.as_str().to_owned(), value);
    let redrive = wanted.has_net.then(|| (REDRIVE, wanted.describe_redrive()));
    let attributes = wanted.attributes().into_iter().chain(redrive).map(text).collect();
    let name = wanted.name.to_string();
    Ok(Resource { kind: ResourceKind::Queue, name, attributes, state })
}

/// Makes the queue.
pub(super) async fn make(client: &Client, wanted: &WantedQueue<'_>) -> PortResult<()> {
    let mut attributes: Attributes = wanted.attributes().into_iter().collect();
    if wanted.has_net {
        attributes.insert(REDRIVE, wanted.redrive_policy(client).await?);
    }
    let making = client.create_queue().queue_name(wanted.name.as_str());
    let made = making.set_attributes(Some(attributes)).send().await;
    made.map_err(|error| failed(format!("making the queue {}", wanted.name), error))?;
    // Its policy names its ARN, which is known only now.
    let made = look(client, wanted).await?;
    change(client, wanted, made.differences()).await
}

/// Sets what differs.
pub(super) async fn change(
    client: &Client,
    wanted: &WantedQueue<'_>,
    differences: &[Difference],
) -> PortResult<()> {
    let what = format!("changing the queue {}", wanted.name);
    let Some(found) = find(client, &wanted.name).await? else {
        return Err(PortError::transient(what, "it has gone meanwhile"));
    };
    let mut changes = Attributes::new();
    for difference in differences {
        let name = QueueAttributeName::from(difference.attribute.as_str());
        let value = match name {
            REDRIVE => wanted.redrive_policy(client).await?,
            POLICY => policy::with(found.policy(), wanted.statement(&found)),
            _ => difference.wanted.clone(),
        };
        changes.insert(name, value);
    }
    if changes.is_empty() {
        return Ok(());
    }
    let changing = client.set_queue_attributes().queue_url(found.url).set_attributes(Some(changes));
    changing.send().await.map(drop).map_err(|error| failed(what, error))
}

/// The ARN of a queue, if it is there.
pub(super) async fn arn(client: &Client, name: &QueueName) -> PortResult<Option<String>> {
    Ok(find(client, name).await?.map(|found| found.arn().to_owned()))
}

async fn find(client: &Client, name: &QueueName) -> PortResult<Option<Found>> {
    let what = || format!("looking at the queue {name}");
    let url = match client.get_queue_url().queue_name(name.as_str()).send().await {
        Ok(answer) => answer.queue_url.unwrap_or_default(),
        Err(error) => match error.as_service_error() {
            Some(refusal) if refusal.is_queue_does_not_exist() => return Ok(None),
            _ => return Err(failed(what(), error)),
        },
    };
    let asking = client.get_queue_attributes().queue_url(&url);
    let answer = asking.attribute_names(QueueAttributeName::All).send().await;
    let answer = answer.map_err(|error| failed(what(), error))?;
    Ok(Some(Found { url, attributes: answer.attributes.unwrap_or_default() }))
}

impl Found {
    fn arn(&self) -> &str {
        self.attributes.get(&QueueAttributeName::QueueArn).map_or("", String::as_str)
    }

    fn policy(&self) -> Option<&str> {
        self.attributes.get(&POLICY).map(String::as_str)
    }
}

impl WantedQueue<'_> {
    /// What it is to say of itself, but for where it gives messages up to.
    fn attributes(&self) -> Vec<(QueueAttributeName, String)> {
        let mut all = if self.has_net { attributes("") } else { dlq_attributes() };
        all.retain(|(name, _)| *name != REDRIVE);
        all
    }

    fn describe_redrive(&self) -> String {
        let net = self.name.dlq();
        json!({"deadLetterTarget": net.as_str(), "maxReceiveCount": MAX_RECEIVE_COUNT}).to_string()
    }

    async fn redrive_policy(&self, client: &Client) -> PortResult<String> {
        let net = self.name.dlq();
        let missing = || PortError::permanent("making a redrive policy", format!("no queue {net}"));
        let net = arn(client, &net).await?.ok_or_else(missing)?;
        let policy = attributes(&net).into_iter().find(|(name, _)| *name == REDRIVE);
        Ok(policy.map(|(_, policy)| policy).unwrap_or_default())
    }

    /// Whether a redrive policy leads to the right net, and not too soon.
    fn is_led_by(&self, policy: &str) -> bool {
        let policy: Value = serde_json::from_str(policy).unwrap_or_default();
        let target = policy["deadLetterTargetArn"].as_str().unwrap_or_default();
        let count = &policy["maxReceiveCount"];
        // SQS answers a number or the text of one, as it was set.
        let count = count.as_u64().or_else(|| count.as_str()?.parse().ok()).unwrap_or_default();
        target.rsplit(':').next() == Some(self.name.dlq().as_str())
            && count >= MAX_RECEIVE_COUNT.into()
    }

    fn statement(&self, found: &Found) -> Value {
        policy::statement(found.arn(), &self.senders)
    }
}

fn differences(wanted: &WantedQueue<'_>, found: &Found) -> Vec<Difference> {
    let is =
        |name: &QueueAttributeName| found.attributes.get(name).map_or("not set", String::as_str);
    let mut differences = Vec::new();
    for (name, value) in wanted.attributes() {
        if !suffices(&name, is(&name), &value) {
            differences.push(Difference::new(name.as_str(), is(&name), value));
        }
    }
    if wanted.has_net && !wanted.is_led_by(is(&REDRIVE)) {
        let redrive = wanted.describe_redrive();
        differences.push(Difference::new(REDRIVE.as_str(), is(&REDRIVE), redrive));
    }
    if !wanted.senders.is_empty() {
        let statement = wanted.statement(found);
        if !policy::holds(found.policy(), &statement) {
            differences.push(Difference::new(POLICY.as_str(), is(&POLICY), statement.to_string()));
        }
    }
    differences
}

fn suffices(name: &QueueAttributeName, is: &str, wanted: &str) -> bool {
    match (is.parse::<u64>(), wanted.parse::<u64>()) {
        (Ok(is), Ok(wanted)) if AT_LEAST.contains(name) => is >= wanted,
        (Ok(is), Ok(wanted)) => is == wanted,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:sqs:eu-central-1:1:flota-events";

    /// What differs where the queue of events has all that is wanted but for `changes`.
    fn differing(changes: &[(QueueAttributeName, &str)], senders: &[&str]) -> Vec<String> {
        let wanted = WantedQueue {
            name: flota_core::QueueNames::new("flota").events(),
            has_net: true,
            senders: senders.iter().copied().collect(),
        };
        let mut attributes: Attributes = wanted.attributes().into_iter().collect();
        let count = MAX_RECEIVE_COUNT;
        let redrive =
            format!(r#"{{"deadLetterTargetArn": "{ARN}-dead", "maxReceiveCount": "{count}"}}"#);
        attributes.insert(REDRIVE, redrive);
        attributes.insert(QueueAttributeName::QueueArn, ARN.to_owned());
        for (name, value) in changes {
            attributes.insert(name.clone(), (*value).to_owned());
        }
        let found = Found { url: String::new(), attributes };
        let differences = differences(&wanted, &found);
        differences.into_iter().map(|difference| difference.attribute).collect()
    }

    #[test]
    fn less_than_is_wanted_differs_and_more_of_what_is_kept_does_not() {
        use QueueAttributeName as Name;
        assert!(differing(&[], &[]).is_empty());
        assert!(differing(&[(Name::MessageRetentionPeriod, "1209600")], &[]).is_empty());
        assert_eq!(differing(&[(Name::MaximumMessageSize, "262144")], &[]), ["MaximumMessageSize"]);
        assert_eq!(differing(&[(Name::VisibilityTimeout, "999")], &[]), ["VisibilityTimeout"]);
    }

    #[test]
    fn messages_must_fall_into_the_right_net_and_not_too_soon() {
        let soon = format!(r#"{{"deadLetterTargetArn": "{ARN}-dead", "maxReceiveCount": 3}}"#);
        let wrong = format!(r#"{{"deadLetterTargetArn": "{ARN}-lost", "maxReceiveCount": 900}}"#);
        for policy in [soon.as_str(), wrong.as_str(), "not set"] {
            assert_eq!(differing(&[(REDRIVE, policy)], &[]), ["RedrivePolicy"], "{policy}");
        }
    }

    #[test]
    fn buckets_that_send_must_be_let_in() {
        assert_eq!(differing(&[], &["photos"]), ["Policy"]);
        let statement = policy::statement(ARN, &BTreeSet::from(["photos"]));
        let policy = policy::with(None, statement);
        assert!(differing(&[(POLICY, &policy)], &["photos"]).is_empty());
        assert_eq!(differing(&[(POLICY, &policy)], &["photos", "more"]), ["Policy"]);
    }
}
