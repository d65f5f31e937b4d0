use std::time::Duration;

use flota_core::{
    DeadLetter, RequestId, TasksMessage,
    ports::{DeadLetterFilter, Depth},
};
use serde_json::{Value, json};

use crate::testing::{Fixture, register, succeeded, until};

const CATS_AND_DOGS: &str = r#"[
    {bucket = "photos", prefix = "uploads/", suffix = ".jpg", models = ["cat"]},
    {bucket = "photos", prefix = "uploads/dogs", models = ["cat", "dog"]},
]"#;

/// A server with these ingest rules.
async fn fixture(rules: &str, more: &[(&str, &str)]) -> Fixture {
    let settings = [&[("ingest.rules", rules)], more].concat();
    Fixture::with(&settings).await
}

fn record(event: &str, bucket: &str, key: &str, version: Option<&str>) -> Value {
    let object = json!({"key": key, "size": 9, "eTag": "0a1b", "versionId": version});
    let s3 = json!({"bucket": {"name": bucket}, "object": object});
    json!({"eventSource": "aws:s3", "eventName": event, "s3": s3})
}

fn put(key: &str) -> Value {
    record("ObjectCreated:Put", "photos", key, Some("1"))
}

async fn tell(fixture: &Fixture, records: &[Value]) {
    let body = json!({"Records": records}).to_string();
    fixture.send(&fixture.settings.queue_names().events(), body).await;
}

/// Waits until no event is waiting or in flight.
async fn until_read(fixture: &Fixture) {
    let queue = fixture.settings.queue_names().events();
    until(async || fixture.platform.queue.depth(&queue).await.unwrap() == Depth::default()).await;
}

async fn letters(fixture: &Fixture) -> Vec<DeadLetter> {
    let filter = DeadLetterFilter { limit: 100, ..DeadLetterFilter::default() };
    fixture.platform.dead_letters.list(&filter).await.unwrap().letters
}

/// The image and the model of each task, in order.
fn tasks(messages: &[TasksMessage]) -> Vec<(&str, &str)> {
    let tasks = messages.iter().flat_map(|message| &message.tasks);
    tasks.map(|task| (task.image.as_str(), task.model.as_str())).collect()
}

#[tokio::test(start_paused = true)]
async fn an_upload_is_a_task_for_each_model_of_the_rules_that_it_meets() {
    let fixture = fixture(CATS_AND_DOGS, &[]).await;
    fixture.start();
    tell(&fixture, &[put("uploads/dogs+%26+cats/1.jpg")]).await;
    tell(&fixture, &[put("uploads/1.png"), put("other/1.jpg"), put("uploads/2.jpg")]).await;
    tell(&fixture, &[record("ObjectCreated:Put", "other", "uploads/3.jpg", None)]).await;
    tell(&fixture, &[record("ObjectRemoved:Delete", "photos", "uploads/2.jpg", None)]).await;
    let test = r#"{"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "photos"}"#;
    fixture.send(&fixture.settings.queue_names().events(), test.to_owned()).await;
    until_read(&fixture).await;

    let both = "s3://photos/uploads/dogs%20%26%20cats/1.jpg?versionId=1";
    let cats = fixture.take_tasks("cat").await;
    assert_eq!(tasks(&cats), [("s3://photos/uploads/2.jpg?versionId=1", "cat"), (both, "cat")]);
    assert_eq!(cats[0].source.request(), None);
    assert_eq!(tasks(&fixture.take_tasks("dog").await), [(both, "dog")]);
    assert!(letters(&fixture).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn uploads_that_come_together_travel_by_the_pack() {
    let fixture = fixture(CATS_AND_DOGS, &[]).await;
    for n in 0..45 {
        tell(&fixture, &[put(&format!("uploads/{n}.jpg"))]).await;
    }
    fixture.start();
    until_read(&fixture).await;
    let mut sizes: Vec<usize> =
        fixture.take_tasks("cat").await.iter().map(|message| message.tasks.len()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [5, 20, 20]);
}

#[tokio::test(start_paused = true)]
async fn what_is_known_of_an_object_is_not_asked_again() {
    let fixture = fixture(CATS_AND_DOGS, &[]).await;
    fixture.start();
    let (one, two) = (put("uploads/1.jpg"), put("uploads/2.jpg"));
    tell(&fixture, &[one.clone(), one.clone()]).await;
    tell(&fixture, std::slice::from_ref(&one)).await;
    until_read(&fixture).await;
    let messages = fixture.take_tasks("cat").await;
    assert_eq!(tasks(&messages).len(), 1, "three events of one object are one task");
    fixture.send_outcomes(succeeded(&messages[0]).encode().unwrap()).await;
    let image = "s3%3A%2F%2Fphotos%2Fuploads%2F1.jpg%3FversionId%3D1";
    let path = format!("/v1/predictions?image={image}");
    until(async || fixture.get(&path).await.json["predictions"][0]["model"] == "cat").await;

    tell(&fixture, &[one.clone(), two]).await;
    until_read(&fixture).await;
    let messages = fixture.take_tasks("cat").await;
    assert_eq!(tasks(&messages), [("s3://photos/uploads/2.jpg?versionId=1", "cat")]);
    register(&fixture.platform, "cat", "2", "cat").await;
    tell(&fixture, &[one]).await;
    until_read(&fixture).await;
    assert_eq!(tasks(&fixture.take_tasks("cat").await).len(), 1, "a new version looks again");
}

#[tokio::test(start_paused = true)]
async fn an_etag_is_no_content_unless_a_setting_says_so() {
    for (trust, wanted) in [("false", 1), ("true", 0)] {
        let fixture = fixture(CATS_AND_DOGS, &[("objects.trust_etag", trust)]).await;
        fixture.start();
        let upload = record("ObjectCreated:Put", "photos", "uploads/1.jpg", None);
        tell(&fixture, std::slice::from_ref(&upload)).await;
        until_read(&fixture).await;
        let messages = fixture.take_tasks("cat").await;
        assert_eq!(tasks(&messages), [("s3://photos/uploads/1.jpg?etag=0a1b", "cat")]);
        let outcomes = succeeded(&messages[0]);
        fixture.platform.predictions.put(&outcomes.predictions).await.unwrap();
        fixture.platform.aliases.put(&outcomes.aliases).await.unwrap();
        tell(&fixture, &[upload]).await;
        until_read(&fixture).await;
        assert_eq!(tasks(&fixture.take_tasks("cat").await).len(), wanted, "trust_etag = {trust}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rule_with_a_callback_makes_one_request_of_an_upload() {
    let rules = r#"[{bucket = "photos", models = ["cat", "dog"],
        callback = "https://client.example/hook"}]"#;
    let fixture = fixture(rules, &[]).await;
    fixture.start();
    let records = [put("1.jpg"), put("1.jpg"), put("2.jpg")];
    tell(&fixture, &records).await;
    tell(&fixture, &records[..1]).await;
    until_read(&fixture).await;
    let cats = fixture.take_tasks("cat").await;
    let requests: Vec<RequestId> = cats.iter().filter_map(|cat| cat.source.request()).collect();
    assert_eq!(requests.len(), 2, "one for each object");
    for message in cats {
        fixture.send_outcomes(succeeded(&message).encode().unwrap()).await;
    }
    fixture.work("dog").await;
    until(async || fixture.receivers.of("client.example").len() == 2).await;
    let view = fixture.get(&format!("/v1/requests/{}", requests[0])).await.json;
    assert_eq!(view["status"], "succeeded", "{view}");
}

#[tokio::test(start_paused = true)]
async fn what_nobody_can_read_is_a_dead_letter_and_holds_up_nothing() {
    let fixture = fixture(CATS_AND_DOGS, &[]).await;
    fixture.start();
    let mut strange = put("uploads/1.jpg");
    strange["s3"]["object"]["key"] = "%ff".into();
    tell(&fixture, &[strange, put("uploads/2.jpg")]).await;
    fixture.send(&fixture.settings.queue_names().events(), "{}".to_owned()).await;
    until_read(&fixture).await;
    let letters = letters(&fixture).await;
    let reasons: Vec<String> = letters.iter().map(|letter| letter.reason.to_string()).collect();
    assert_eq!(reasons, ["UNREADABLE", "UNREADABLE"]);
    let messages = fixture.take_tasks("cat").await;
    assert_eq!(tasks(&messages), [("s3://photos/uploads/2.jpg?versionId=1", "cat")]);
}

#[tokio::test(start_paused = true)]
async fn uploads_wait_for_a_model_that_nobody_has_registered() {
    let rules = r#"[{bucket = "photos", models = ["bird"]}]"#;
    let fixture = fixture(rules, &[]).await;
    fixture.start();
    tell(&fixture, &[put("1.jpg")]).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let queue = fixture.settings.queue_names().events();
    assert_ne!(fixture.platform.queue.depth(&queue).await.unwrap(), Depth::default());
    register(&fixture.platform, "bird", "1", "bird").await;
    until_read(&fixture).await;
    assert_eq!(tasks(&fixture.take_tasks("bird").await).len(), 1);
}
