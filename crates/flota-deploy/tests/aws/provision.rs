use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use aws_sdk_s3::{
    primitives::ByteStream,
    types::{
        BucketLocationConstraint, CreateBucketConfiguration, Event, NotificationConfiguration,
        QueueConfiguration,
    },
};
use aws_sdk_sqs::types::QueueAttributeName;
use flota_core::WorkerName;
use flota_deploy::provision::{Action, Resource, State, provision};

use crate::account::Account;

fn workers() -> [WorkerName; 1] {
    ["cat".parse().unwrap()]
}

async fn run(account: &Account, action: Action) -> Vec<Resource> {
    provision(&account.clients, &account.settings, &workers(), action).await.unwrap()
}

/// The names of those that are not ready, with the attributes in which they differ.
async fn open(account: &Account) -> Vec<(String, Vec<String>)> {
    let resources = run(account, Action::Look).await;
    let open = resources.into_iter().filter(|resource| resource.state != State::Ready);
    let named = |resource: Resource| {
        let differences = resource.differences().iter().map(|d| d.attribute.clone()).collect();
        (resource.name, differences)
    };
    open.map(named).collect()
}

async fn url(account: &Account, queue: &str) -> String {
    let found = account.clients.sqs.get_queue_url().queue_name(queue).send().await.unwrap();
    found.queue_url.unwrap()
}

async fn set(account: &Account, queue: &str, name: QueueAttributeName, value: &str) {
    let setting = account.clients.sqs.set_queue_attributes().queue_url(url(account, queue).await);
    setting.attributes(name, value).send().await.unwrap();
}

#[tokio::test]
async fn what_is_missing_is_made_once_and_looking_makes_nothing() {
    let account = Account::new(&[]).await;
    let all = open(&account).await.len();
    assert_eq!(open(&account).await.len(), all, "looking made something");
    let made = run(&account, Action::Make).await;
    assert!(made.len() == all && made.iter().all(|r| r.state == State::Made), "{made:?}");
    assert!(open(&account).await.is_empty());
    let again = run(&account, Action::Make).await;
    assert!(again.iter().all(|resource| resource.state == State::Ready), "{again:?}");
}

#[tokio::test]
async fn what_differs_is_changed_and_what_somebody_raised_stays() {
    use QueueAttributeName as Name;
    let account = Account::new(&[]).await;
    run(&account, Action::Make).await;
    set(&account, "flota-outcomes", Name::MaximumMessageSize, "262144").await;
    set(&account, "flota-outcomes", Name::RedrivePolicy, "").await;
    set(&account, "flota-events", Name::MessageRetentionPeriod, "1209600").await;
    let unbilled = account.clients.dynamodb.update_table().table_name("flota-requests");
    unbilled.billing_mode(BillingMode::Provisioned).send().await.unwrap();

    let differing = open(&account).await;
    let wanted = [
        ("flota-outcomes", ["MaximumMessageSize", "RedrivePolicy"].as_slice()),
        ("flota-requests", &["BillingMode"]),
    ];
    let wanted = wanted.map(|(name, differences)| {
        (name.to_owned(), differences.iter().map(ToString::to_string).collect::<Vec<_>>())
    });
    assert_eq!(differing, wanted);
    run(&account, Action::Make).await;
    assert!(open(&account).await.is_empty());
}

#[tokio::test]
async fn a_table_that_nothing_can_change_is_named() {
    let account = Account::new(&[]).await;
    let key = KeySchemaElement::builder().attribute_name("id").key_type(KeyType::Hash);
    let id = AttributeDefinition::builder().attribute_name("id");
    let id = id.attribute_type(ScalarAttributeType::S).build().unwrap();
    let making = account.clients.dynamodb.create_table().table_name("flota-aliases");
    let making = making.key_schema(key.build().unwrap()).attribute_definitions(id);
    making.billing_mode(BillingMode::PayPerRequest).send().await.unwrap();
    let made = provision(&account.clients, &account.settings, &workers(), Action::Make).await;
    let error = made.unwrap_err().to_string();
    assert!(error.contains("flota-aliases") && error.contains("KeySchema is id:S"), "{error}");
}

#[tokio::test]
async fn an_upload_that_a_rule_names_reaches_the_queue_of_events() {
    let mut account = Account::new(&[]).await;
    let photos = format!("photos-{}", account.id);
    let rule = format!(
        r#"{{"bucket": "{photos}", "prefix": "summer 26/", "suffix": ".jpg", "models": ["cat"]}}"#
    );
    account.settings.ingest.rules = vec![serde_json::from_str(&rule).unwrap()];
    let Account { clients, .. } = &account;
    let missing = provision(clients, &account.settings, &workers(), Action::Make).await;
    assert!(missing.unwrap_err().to_string().contains(&photos));

    let place = CreateBucketConfiguration::builder()
        .location_constraint(BucketLocationConstraint::EuCentral1)
        .build();
    let making = clients.s3.create_bucket().bucket(&photos).create_bucket_configuration(place);
    making.send().await.unwrap();
    clients.sqs.create_queue().queue_name("other").send().await.unwrap();
    let told = QueueConfiguration::builder()
        .queue_arn(format!("arn:aws:sqs:eu-central-1:{}:other", account.id))
        .events(Event::from("s3:ObjectRemoved:*"));
    let told = NotificationConfiguration::builder().queue_configurations(told.build().unwrap());
    let telling = clients.s3.put_bucket_notification_configuration().bucket(&photos);
    telling.notification_configuration(told.build()).send().await.unwrap();

    run(&account, Action::Make).await;
    assert!(open(&account).await.is_empty());
    let putting = clients.s3.put_object().bucket(&photos).key("summer 26/a b.jpg");
    putting.body(ByteStream::from_static(b"a")).send().await.unwrap();
    let key = "summer+26/a+b.jpg";
    let mut bodies = String::new();
    for _ in 0..10 {
        if bodies.contains(key) {
            break;
        }
        let receiving =
            clients.sqs.receive_message().queue_url(url(&account, "flota-events").await);
        let received = receiving.wait_time_seconds(5).max_number_of_messages(10).send().await;
        let received = received.unwrap().messages.unwrap_or_default();
        assert!(!received.is_empty(), "no event of {key} in: {bodies}");
        bodies.extend(received.into_iter().filter_map(|message| message.body));
    }
    assert!(bodies.contains(key), "no event of {key} in: {bodies}");
    let kept = clients.s3.get_bucket_notification_configuration().bucket(&photos).send().await;
    let kept = kept.unwrap();
    let kept: Vec<_> = kept.queue_configurations().iter().map(|told| told.queue_arn()).collect();
    assert!(kept.len() == 2 && kept.iter().any(|arn| arn.ends_with(":other")), "{kept:?}");
}
