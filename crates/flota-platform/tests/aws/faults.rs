//! A server that answers as SQS and S3 do on a bad day.

use std::time::Duration;

use aws_sdk_sqs::config::Credentials;
use flota_core::{
    Code, PortResult, Priority, QueueName, QueueNames,
    ports::{NewMessage, ReceiptHandle, Store},
};
use flota_platform::{
    aws::{self, Clients},
    settings::Settings,
};
use serde_json::{Value, json};

use crate::server::{Reply, Server, answer_text};

const FOUND: &str = r#"{"QueueUrl": "http://elsewhere/1/flota-tasks-cat-normal"}"#;

/// Long enough for any answer on a machine that has much else to do.
const PATIENT_MS: &str = "30000";

/// The adapters, at a server that answers as `reply` says to every call but the one that looks for
/// a queue. One try of a call, and the fetch of an image, may take `timeout_ms`.
async fn at(
    timeout_ms: &str,
    reply: impl Fn() -> Reply + Send + Sync + 'static,
) -> (Store, Server) {
    let server =
        Server::answering(move |request| match request.contains("AmazonSQS.GetQueueUrl") {
            true => answer_text("200 OK", &[], FOUND),
            false => reply(),
        })
        .await;
    let settings = [
        ("backend", "aws"),
        ("aws.region", "eu-central-1"),
        ("aws.endpoint", &server.url("/")),
        ("aws.bucket", "uploads"),
        ("aws.call_timeout_ms", timeout_ms),
        ("worker.fetch_timeout_ms", timeout_ms),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()));
    let settings = Settings::from_sources(None, [], &settings).unwrap();
    let credentials = Credentials::new("key", "secret", None, None, "test");
    let clients = Clients::with_credentials(&settings.aws, credentials).await.unwrap();
    (aws::open_with(clients, &settings).await.unwrap(), server)
}

/// What is said of each entry where the first succeeded, the next two failed with these codes, once
/// by the fault of SQS, and the last is not named at all.
async fn at_partial_failure(ours: &str, theirs: &str) -> (Store, Server) {
    let failed = |id, code: &str, is_ours| json!({"Id": id, "Code": code, "SenderFault": is_ours});
    let answer = json!({
        "Successful": [{"Id": "0", "MessageId": "m", "MD5OfMessageBody": "x"}],
        "Failed": [failed("1", ours, true), failed("2", theirs, false)],
    });
    at(PATIENT_MS, move || answer_text("200 OK", &[], &answer.to_string())).await
}

fn tasks() -> QueueName {
    QueueNames::new("flota").tasks(&"cat".parse().unwrap(), Priority::Normal)
}

fn messages() -> Vec<NewMessage> {
    let message = |n: u32| NewMessage::new(n.to_string(), "default");
    (0..4).map(message).collect()
}

fn receipts() -> Vec<ReceiptHandle> {
    (0..4).map(|n| ReceiptHandle(format!("handle-{n}"))).collect()
}

/// Each answer in one word.
fn words(answers: &[PortResult<()>]) -> Vec<&'static str> {
    let word = |answer: &PortResult<()>| match answer {
        Ok(()) => "ok",
        Err(error) if error.is_transient() => "transient",
        Err(_) => "permanent",
    };
    answers.iter().map(word).collect()
}

fn count(server: &Server, operation: &str) -> usize {
    let target = format!("AmazonSQS.{operation}");
    server.requests().iter().filter(|request| request.contains(&target)).count()
}

fn answer_error(status: &str, code: &str) -> Reply {
    let body: Value = json!({"__type": format!("com.amazonaws.sqs#{code}"), "message": "no"});
    answer_text(status, &[], &body.to_string())
}

#[tokio::test]
async fn each_entry_of_a_batch_fails_for_itself() {
    let (store, _server) = at_partial_failure("InvalidMessageContents", "InternalError").await;
    let sent = store.queue.send(&tasks(), &messages()).await.unwrap();
    assert_eq!(words(&sent), ["ok", "permanent", "transient", "transient"]);

    let (store, _server) = at_partial_failure("ReceiptHandleIsInvalid", "InternalError").await;
    let extended = store.queue.extend(&tasks(), &receipts(), Duration::ZERO).await.unwrap();
    assert_eq!(words(&extended), ["ok", "permanent", "transient", "transient"]);
    let acknowledged = store.queue.ack(&tasks(), &receipts()).await.unwrap();
    assert_eq!(
        words(&acknowledged),
        ["ok", "ok", "transient", "transient"],
        "what is gone is acknowledged"
    );
}

#[tokio::test]
async fn each_operation_has_its_own_retries() {
    let (store, server) =
        at(PATIENT_MS, || answer_error("500 Internal Server Error", "InternalError")).await;
    let (queue, name) = (&store.queue, tasks());
    let sent = queue.send(&name, &messages()).await.unwrap();
    assert_eq!(words(&sent), ["transient"; 4]);
    assert!(queue.receive(&name, 1, Duration::ZERO, Duration::ZERO).await.is_err());
    assert!(queue.extend(&name, &receipts(), Duration::ZERO).await.unwrap_err().is_transient());
    assert!(queue.ack(&name, &receipts()).await.unwrap_err().is_transient());
    let operations = [
        "SendMessageBatch",
        "ReceiveMessage",
        "ChangeMessageVisibilityBatch",
        "DeleteMessageBatch",
    ];
    assert_eq!(operations.map(|operation| count(&server, operation)), [3, 3, 6, 1]);
}

#[tokio::test]
async fn time_heals_throttling_and_silence_but_no_refusal() {
    for (reply, is_transient) in [
        (answer_error("400 Bad Request", "RequestThrottled"), true),
        (answer_error("403 Forbidden", "ExpiredToken"), true),
        (answer_error("403 Forbidden", "AccessDeniedException"), false),
        (answer_error("400 Bad Request", "InvalidParameterValue"), false),
        (Reply::Stall(String::new()), true),
        (Reply::Text("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"Succ".to_owned()), true),
    ] {
        let timeout_ms = if matches!(reply, Reply::Stall(_)) { "300" } else { PATIENT_MS };
        let (store, _server) = at(timeout_ms, move || reply.clone()).await;
        let error = store.queue.ack(&tasks(), &receipts()).await.unwrap_err();
        assert_eq!(error.is_transient(), is_transient, "{error:?}");
    }
}

#[tokio::test]
async fn a_send_waits_for_whoever_puts_it_right() {
    for (status, code, is_transient) in [
        ("403 Forbidden", "AccessDeniedException", true),
        ("400 Bad Request", "AccessDenied", true),
        ("400 Bad Request", "KmsDisabled", true),
        ("400 Bad Request", "KmsAccessDenied", true),
        ("400 Bad Request", "QueueDoesNotExist", true),
        ("403 Forbidden", "InvalidClientTokenId", true),
        ("400 Bad Request", "InvalidParameterValue", false),
    ] {
        let (store, _server) = at(PATIENT_MS, move || answer_error(status, code)).await;
        for sent in store.queue.send(&tasks(), &messages()).await.unwrap() {
            let error = sent.unwrap_err();
            assert_eq!(error.is_transient(), is_transient, "{code}: {error:?}");
            let text = error.to_string();
            assert!(text.contains(code) || text.contains("flota provision"), "{code}: {text}");
        }
    }
    let (store, _server) = at_partial_failure("KmsAccessDenied", "InternalError").await;
    let sent = store.queue.send(&tasks(), &messages()).await.unwrap();
    assert_eq!(words(&sent), ["ok", "transient", "transient", "transient"]);
    let said = sent[1].as_ref().unwrap_err().to_string();
    assert!(said.contains("KmsAccessDenied"), "{said}");
}

/// As S3 refuses.
fn refusal(status: &str, code: &str) -> Reply {
    let body = format!("<Error><Code>{code}</Code><Message>no</Message></Error>");
    answer_text(status, &[("content-type", "application/xml")], &body)
}

#[tokio::test]
async fn an_image_that_does_not_come_has_a_code() {
    // That of other bytes.
    let checksum = [("x-amz-checksum-sha256", "2eIzFQwOGjB1YUlZSHUwMxqWfVLMCGyGJcjNTI4YEkg=")];
    for (reply, code) in [
        (answer_text("403 Forbidden", &[], ""), Code::FetchDenied),
        (answer_text("503 Slow Down", &[], ""), Code::FetchFailed),
        (answer_text("405 Method Not Allowed", &[], ""), Code::FetchNotFound),
        (answer_text("410 Gone", &[], ""), Code::FetchNotFound),
        (refusal("404 Not Found", "NoSuchKey"), Code::FetchNotFound),
        (refusal("412 Precondition Failed", "PreconditionFailed"), Code::FetchNotFound),
        (refusal("400 Bad Request", "ExpiredToken"), Code::FetchFailed),
        (refusal("400 Bad Request", "InvalidToken"), Code::FetchFailed),
        (refusal("400 Bad Request", "KMS.DisabledException"), Code::FetchDenied),
        (refusal("301 Moved Permanently", "PermanentRedirect"), Code::FetchDenied),
        (refusal("400 Bad Request", "InvalidRequest"), Code::FetchDenied),
        (answer_text("200 OK", &checksum, "bytes"), Code::FetchFailed),
        (Reply::Text("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nbyte".into()), Code::FetchFailed),
        (Reply::Stall("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nb".into()), Code::FetchTimeout),
        (Reply::Endless("HTTP/1.1 200 OK\r\n\r\n".into(), "b".repeat(50)), Code::ImageTooLarge),
        (answer_text("200 OK", &[], &"b".repeat(101)), Code::ImageTooLarge),
    ] {
        let timeout_ms = if matches!(reply, Reply::Stall(_)) { "300" } else { PATIENT_MS };
        let (store, _server) = at(timeout_ms, move || reply.clone()).await;
        let error = store.images.fetch("s3://photos/a.jpg", 100).await.unwrap_err();
        assert_eq!(error.code, code, "{error:?}");
    }
}
