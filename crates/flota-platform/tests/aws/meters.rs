use std::time::Duration;

use flota_core::{
    ModelVersion, PredictionKey, Priority, QueueNames, Sha256,
    ports::{Depth, NewMessage},
};
use futures::future::join_all;
use metrics::set_default_local_recorder;
use metrics_exporter_prometheus::PrometheusBuilder;

use crate::account::Account;

/// The values of the counter named `name`, with their labels.
fn counts(text: &str, name: &str) -> Vec<(String, u64)> {
    let lines = text.lines().filter_map(|line| line.strip_prefix(name)?.rsplit_once(' '));
    let mut counts: Vec<_> =
        lines.map(|(labels, count)| (labels.to_owned(), count.parse().unwrap())).collect();
    counts.sort();
    counts
}

fn message(body: String) -> NewMessage {
    NewMessage::new(body, "default")
}

// One thread, as the recorder is that thread's.
#[tokio::test]
async fn what_is_billed_is_counted() {
    let account = Account::new(&[("aws.create_missing", "true")]).await;
    let store = account.open().await;
    let queue = QueueNames::new("flota").tasks(&"cat".parse().unwrap(), Priority::Normal);
    store.queue.depth(&queue).await.unwrap();
    let recorder = PrometheusBuilder::new().build_recorder();
    let rendered = recorder.handle();
    let _recording = set_default_local_recorder(&recorder);

    let message = message("x".repeat(50 * 1024));
    store.queue.send(&queue, &[message.clone(), message.clone(), message]).await.unwrap();
    let received = store.queue.receive(&queue, 10, Duration::ZERO, Duration::ZERO).await.unwrap();
    assert_eq!(received.len(), 3);
    store.queue.ack(&queue, &[received[0].receipt.clone()]).await.unwrap();
    store.images.put("bytes".into()).await.unwrap();
    let key = PredictionKey {
        sha256: Sha256::of(b"bytes"),
        model: "cat".parse().unwrap(),
        version: ModelVersion("1".to_owned()),
    };
    store.predictions.get(&[key]).await.unwrap();

    let text = rendered.render();
    let operation =
        |service, operation| (format!("{{service=\"{service}\",operation=\"{operation}\"}}"), 1);
    let mut requests = vec![
        operation("dynamodb", "BatchGetItem"),
        operation("s3", "PutObject"),
        operation("sqs", "DeleteMessageBatch"),
        operation("sqs", "ReceiveMessage"),
        operation("sqs", "SendMessageBatch"),
    ];
    requests.sort();
    assert_eq!(counts(&text, "flota_aws_requests_total"), requests);
    // 150 KiB are three begun 64 KiB, each way.
    assert_eq!(counts(&text, "flota_aws_sqs_units_total"), [(String::new(), 3 + 3 + 1)]);
    let units = counts(&text, "flota_aws_dynamodb_units_total");
    assert!(matches!(&units[..], [(kind, 0..=1)] if kind == "{kind=\"read\"}"), "{units:?}");
}

#[tokio::test]
async fn what_several_send_and_settle_goes_in_one_call() {
    let account = Account::new(&[("aws.create_missing", "true")]).await;
    let queue = account.open().await.queue;
    let name = QueueNames::new("flota").tasks(&"cat".parse().unwrap(), Priority::Normal);
    queue.depth(&name).await.unwrap();
    let recorder = PrometheusBuilder::new().build_recorder();
    let rendered = recorder.handle();
    let _recording = set_default_local_recorder(&recorder);

    let messages: Vec<_> = (0..6).map(|n| message(n.to_string())).collect();
    for sent in join_all(messages.chunks(2).map(|few| queue.send(&name, few))).await {
        assert!(sent.unwrap().into_iter().all(|sent| sent.is_ok()));
    }
    let received = queue.receive(&name, 10, Duration::ZERO, Duration::from_secs(60)).await.unwrap();
    let receipts: Vec<_> = received.into_iter().map(|delivery| delivery.receipt).collect();
    assert_eq!(receipts.len(), messages.len());
    for acknowledged in join_all(receipts.chunks(1).map(|one| queue.ack(&name, one))).await {
        assert!(acknowledged.unwrap().into_iter().all(|acknowledged| acknowledged.is_ok()));
    }

    let requests = counts(&rendered.render(), "flota_aws_requests_total");
    assert!(requests.iter().all(|(_, count)| *count == 1), "{requests:?}");
    assert_eq!(queue.depth(&name).await.unwrap(), Depth::default());
}
