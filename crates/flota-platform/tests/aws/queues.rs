use std::{collections::BTreeSet, time::Duration};

use aws_sdk_sqs::types::{MessageSystemAttributeName, QueueAttributeName};
use flota_core::{
    Priority, QueueName, QueueNames, TaskSource, limits::MAX_MESSAGE_BYTES, ports::NewMessage,
};

use crate::account::Account;

const CREATE: (&str, &str) = ("aws.create_missing", "true");

fn tasks() -> QueueName {
    QueueNames::new("flota").tasks(&"cat".parse().unwrap(), Priority::Normal)
}

fn message(body: &str) -> NewMessage {
    NewMessage::new(body, "client-a")
}

#[tokio::test]
async fn a_queue_that_is_missing_is_a_fault_that_names_the_cure() {
    let account = Account::new(&[]).await;
    let queue = account.open().await.queue;
    let unsent = queue.send(&tasks(), &[message("a")]).await.unwrap_err();
    // What a worker has worked out waits for the queue.
    assert!(unsent.is_transient() && unsent.to_string().contains("flota provision"), "{unsent}");
    let errors = [
        queue.receive(&tasks(), 1, Duration::ZERO, Duration::ZERO).await.unwrap_err(),
        queue.depth(&tasks()).await.unwrap_err(),
    ];
    for error in errors {
        assert!(!error.is_transient());
        let text = error.to_string();
        assert!(text.contains(tasks().as_str()) && text.contains("flota provision"), "{text}");
    }

    let made = account.clients.sqs.create_queue().queue_name(tasks().as_str()).send().await;
    let url = made.unwrap().queue_url.unwrap();
    queue.send(&tasks(), &[message("a")]).await.unwrap().remove(0).unwrap();
    account.clients.sqs.delete_queue().queue_url(url).send().await.unwrap();
    let error = queue.send(&tasks(), &[message("a")]).await.unwrap().remove(0).unwrap_err();
    assert!(error.is_transient(), "{error}");
}

#[tokio::test]
async fn a_queue_that_is_made_has_a_dlq() {
    let account = Account::new(&[CREATE]).await;
    let queue = account.open().await.queue;
    queue.send(&tasks(), &[message("a")]).await.unwrap().remove(0).unwrap();
    let net = queue.dlq(&tasks()).unwrap();
    let sqs = &account.clients.sqs;
    for (name, retention) in [(&tasks(), "691200"), (&net, "1209600")] {
        let url = sqs.get_queue_url().queue_name(name.as_str()).send().await.unwrap().queue_url;
        let asked = sqs.get_queue_attributes().set_queue_url(url);
        let answer = asked.attribute_names(QueueAttributeName::All).send().await.unwrap();
        let attributes = answer.attributes.unwrap();
        assert_eq!(attributes[&QueueAttributeName::MessageRetentionPeriod], retention);
        let redrive = attributes.get(&QueueAttributeName::RedrivePolicy);
        assert_eq!(redrive.is_some_and(|policy| policy.contains(net.as_str())), name != &net);
    }
}

#[tokio::test]
async fn a_batch_is_sent_in_as_many_calls_as_its_bytes_need() {
    let account = Account::new(&[CREATE]).await;
    let queue = account.open().await.queue;
    let sent: Vec<_> =
        (0..10).map(|n| message(&format!("{n}{}", "x".repeat(MAX_MESSAGE_BYTES - 1)))).collect();
    for result in queue.send(&tasks(), &sent).await.unwrap() {
        result.unwrap();
    }
    let mut received = BTreeSet::new();
    while received.len() < sent.len() {
        let some = queue.receive(&tasks(), 10, Duration::ZERO, Duration::from_secs(60)).await;
        let some = some.unwrap();
        assert!(!some.is_empty(), "only {} messages arrived", received.len());
        received.extend(some.into_iter().map(|delivery| delivery.body));
    }
}

#[tokio::test]
async fn what_xml_cannot_carry_is_refused_beside_its_mates() {
    let account = Account::new(&[CREATE]).await;
    let queue = account.open().await.queue;
    let sent = ["\u{0}", "a", "\u{fffe}", "\u{1f408}\u{7f}", "\u{1b}"].map(message);
    let results = queue.send(&tasks(), &sent).await.unwrap();
    let are_ok: Vec<_> = results.iter().map(Result::is_ok).collect();
    assert_eq!(are_ok, [false, true, false, true, false]);
    assert!(results.iter().filter_map(|r| r.as_ref().err()).all(|error| !error.is_transient()));
    assert_eq!(queue.depth(&tasks()).await.unwrap().ready, 2);
}

#[tokio::test]
async fn a_message_tells_its_group_and_its_trace() {
    let account = Account::new(&[CREATE]).await;
    let queue = account.open().await.queue;
    let source = TaskSource::Request("req_019aa5b64c807000800000000000002a".parse().unwrap());
    let whose = NewMessage { trace: Some(source.trace()), ..message("a") };
    let nobodys = NewMessage { group: String::new(), ..message("b") };
    for result in queue.send(&tasks(), &[whose, nobodys]).await.unwrap() {
        result.unwrap();
    }
    let sqs = &account.clients.sqs;
    let url = sqs.get_queue_url().queue_name(tasks().as_str()).send().await.unwrap().queue_url;
    let asked = sqs.receive_message().set_queue_url(url).max_number_of_messages(10);
    let group = MessageSystemAttributeName::MessageGroupId;
    let asked = asked.message_system_attribute_names(group.clone());
    let received = asked.message_attribute_names("traceparent").send().await.unwrap().messages;
    for message in received.unwrap() {
        let group = message.attributes().and_then(|all| all.get(&group)).map(String::as_str);
        let trace = message.message_attributes().and_then(|all| all["traceparent"].string_value());
        match message.body() {
            Some("a") => {
                let id = "00-019aa5b64c807000800000000000002a-800000000000002a-01";
                assert_eq!((group, trace), (Some("client-a"), Some(id)));
            }
            _ => assert_eq!((group, trace), (None, None)),
        }
    }
}
