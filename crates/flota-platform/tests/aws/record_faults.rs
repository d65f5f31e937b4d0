//! A server that answers as DynamoDB does on a bad day.

use flota_core::{
    Alias, ClientName, PortError, Sha256,
    ports::{Accept, Accepted, IdempotencyKey},
};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    account::Account,
    samples::{accept, key, request},
    server::{Reply, Server, answer_text},
};

/// An account at a server that answers the calls as they come with `answers`, then with the last of
/// them for ever.
async fn at(answers: Vec<(&'static str, Value)>) -> (Account, Server) {
    let left = std::sync::Mutex::new(answers);
    let server = Server::answering(move |_| {
        let mut left = left.lock().unwrap();
        let next = if left.len() > 1 { left.remove(0) } else { left[0].clone() };
        answer(next.0, &next.1)
    })
    .await;
    (Account::new(&[("aws.endpoint", &server.url("/"))]).await, server)
}

fn answer(status: &str, body: &Value) -> Reply {
    answer_text(status, &[("content-type", "application/x-amz-json-1.0")], &body.to_string())
}

fn error(code: &str) -> Value {
    json!({"__type": format!("com.amazonaws.dynamodb.v20120810#{code}"), "message": "no"})
}

fn body(request: &str) -> Value {
    serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[tokio::test]
async fn what_a_batch_leaves_over_is_sent_again() {
    let put = json!({"PutRequest": {"Item": {"object_sha256": {"S": "x"}}}});
    let left = json!({"UnprocessedItems": {"flota-aliases": [put]}});
    let none = json!({"UnprocessedItems": {}});
    let (account, server) = at(vec![("200 OK", left), ("200 OK", none)]).await;
    let alias = |n: u32| Alias {
        object: format!("s3://photos/{n}?versionId=1").parse().unwrap(),
        sha256: Sha256::of(b"image"),
    };
    let aliases: Vec<_> = (0..3).map(alias).collect();
    account.open().await.aliases.put(&aliases).await.unwrap();
    let counts: Vec<_> = server
        .requests()
        .iter()
        .map(|request| body(request)["RequestItems"]["flota-aliases"].as_array().unwrap().len())
        .collect();
    assert_eq!(counts, [3, 1]);

    let keys = json!([{"image_sha256": {"S": "x"}, "model_version": {"S": "cat#1"}}]);
    let left = json!({"Responses": {}, "UnprocessedKeys": {"flota-predictions": {"Keys": keys}}});
    let none = json!({"Responses": {}, "UnprocessedKeys": {}});
    let (account, server) = at(vec![("200 OK", left.clone()), ("200 OK", none)]).await;
    let keys = [key("a", "1"), key("b", "1"), key("a", "1")];
    assert!(account.open().await.predictions.get(&keys).await.unwrap().is_empty());
    assert_eq!(server.requests().len(), 2);

    let (account, _server) = at(vec![("200 OK", left)]).await;
    let error = account.open().await.predictions.get(&keys[..1]).await.unwrap_err();
    assert!(error.is_transient(), "it was left over again and again: {error}");
}

#[tokio::test]
async fn a_transaction_in_the_way_of_another_is_made_again() {
    let mut conflict = error("TransactionCanceledException");
    conflict["CancellationReasons"] = json!([{"Code": "None"}, {"Code": "TransactionConflict"}]);
    let ok = ("200 OK", json!({}));
    // The look for the key and the document come first.
    let answers = vec![ok.clone(), ok.clone(), ("400 Bad Request", conflict.clone()), ok.clone()];
    let (account, server) = at(answers).await;
    let by = IdempotencyKey {
        client: ClientName::default(),
        key: "order-7".to_owned(),
        fingerprint: Sha256::of(b"body"),
    };
    let now = Timestamp::UNIX_EPOCH;
    let accept = Accept { idempotency: Some(by), ..accept(&request(1, now), now) };
    assert_eq!(account.open().await.requests.accept(&accept).await.unwrap(), Accepted::New);
    assert_eq!(server.requests().len(), 4);

    conflict["CancellationReasons"][0]["Code"] = json!("ValidationError");
    let answers = vec![ok.clone(), ok, ("400 Bad Request", conflict)];
    let (account, _server) = at(answers).await;
    let error = account.open().await.requests.accept(&accept).await.unwrap_err();
    assert!(matches!(&error, PortError::Permanent { .. }), "{error:?}");
    assert!(error.to_string().contains("ValidationError"), "{error}");
}

#[tokio::test]
async fn only_what_time_may_heal_is_transient() {
    for (status, code, is_transient) in [
        ("400 Bad Request", "ThrottlingException", true),
        ("400 Bad Request", "ProvisionedThroughputExceededException", true),
        ("400 Bad Request", "RequestLimitExceeded", true),
        ("400 Bad Request", "TransactionConflictException", true),
        ("500 Internal Server Error", "InternalServerError", true),
        ("400 Bad Request", "ValidationException", false),
        ("400 Bad Request", "AccessDeniedException", false),
        ("400 Bad Request", "ResourceNotFoundException", false),
    ] {
        let (account, _server) = at(vec![(status, error(code))]).await;
        let line = flota_core::ports::WorkerHeartbeat {
            instance: "one".to_owned(),
            worker: "cat".parse().unwrap(),
            models: vec![],
            until: Timestamp::UNIX_EPOCH,
            drained_to: None,
            throughput: Default::default(),
        };
        let error = account.open().await.models.alive(&line).await.unwrap_err();
        assert_eq!(error.is_transient(), is_transient, "{code}: {error:?}");
    }
}
