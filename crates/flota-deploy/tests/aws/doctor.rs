use aws_sdk_sqs::config::Credentials;
use flota_core::{
    Manifest, Priority, QueueNames, Sha256, WorkerName,
    ports::{Depth, Registration},
};
use flota_deploy::{
    doctor::{Check, Verdict, run_aws_checks as run_checks},
    provision::{Action, provision},
};
use flota_platform::{aws::Clients, settings::Settings};
use jiff::Timestamp;

use crate::{
    account::Account,
    server::{Server, answer_text},
};

fn found() -> Vec<Registration> {
    let text = "{name: cat, version: '1', weights: {file: w.onnx}, labels: [a], \
        input: {width: 8, height: 8, resize: {mode: exact}}, output: {kind: regression}}";
    let manifest = Manifest::parse("model.yaml", text).unwrap();
    let worker = WorkerName::from(&manifest.name);
    vec![Registration::new(manifest, Sha256::of(b"a"), worker, Timestamp::UNIX_EPOCH)]
}

/// What is wrong, and what it says to change.
fn wrong(checks: Vec<Check>) -> Vec<String> {
    let said = |check: Check| match check.verdict {
        Verdict::Error { problem, remedy } => Some(format!("{}: {problem}: {remedy}", check.about)),
        _ => None,
    };
    checks.into_iter().filter_map(said).collect()
}

async fn provisioned() -> Account {
    let account = Account::new(&[]).await;
    let Account { clients, settings, .. } = &account;
    provision(clients, settings, &["cat".parse().unwrap()], Action::Make).await.unwrap();
    account
}

#[tokio::test]
async fn a_set_up_is_well_until_something_is_missing() {
    let account = provisioned().await;
    let Account { clients, settings, .. } = &account;
    let checks = run_checks(clients, settings, &found(), None).await;
    assert!(checks.len() >= 19 && wrong(checks.clone()).is_empty(), "{checks:?}");

    clients.dynamodb.delete_table().table_name("flota-models").send().await.unwrap();
    let wrong = wrong(run_checks(clients, settings, &found(), None).await);
    let said = "table flota-models: it is not there: run `flota provision`";
    assert_eq!(wrong, [said]);
}

#[tokio::test]
async fn trying_rights_out_leaves_nothing_behind() {
    let account = provisioned().await;
    let Account { clients, settings, .. } = &account;
    run_checks(clients, settings, &found(), None).await;
    run_checks(clients, settings, &found(), Some(&"cat".parse().unwrap())).await;
    let queue = account.open().await.queue;
    let tasks = QueueNames::new("flota").tasks(&"cat".parse().unwrap(), Priority::Normal);
    for name in [tasks, QueueNames::new("flota").outcomes(), QueueNames::new("flota").events()] {
        assert_eq!(queue.depth(&name).await.unwrap(), Depth::default(), "{name}");
    }
    for table in ["flota-requests", "flota-predictions", "flota-dead-letters", "flota-models"] {
        let items = clients.dynamodb.scan().table_name(table).send().await.unwrap();
        assert_eq!(items.count, 0, "{table}");
    }
    let objects = clients.s3.list_objects_v2().bucket(&settings.aws.bucket).send().await.unwrap();
    assert!(objects.contents().is_empty());
}

/// What is said at a server that answers everything so, and what it was asked.
async fn at(
    status: &'static str,
    body: &'static str,
    worker: Option<&str>,
) -> (Vec<Check>, Vec<String>) {
    let server = Server::answering(move |_| answer_text(status, &[], body)).await;
    let settings = [
        ("backend", "aws"),
        ("aws.region", "eu-central-1"),
        ("aws.endpoint", &server.url("/")),
        ("aws.bucket", "uploads"),
        ("aws.call_timeout_ms", "500"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()));
    let settings = Settings::from_sources(None, [], &settings).unwrap();
    let credentials = Credentials::new("key", "secret", None, None, "test");
    let clients = Clients::with_credentials(&settings.aws, credentials).await.unwrap();
    let worker = worker.map(|name| name.parse().unwrap());
    (run_checks(&clients, &settings, &found(), worker.as_ref()).await, server.requests())
}

const DENIED: &str = r#"{"__type": "com.amazonaws#AccessDeniedException", "message": "not you"}"#;

#[tokio::test]
async fn what_may_not_be_done_is_named_with_the_policy_that_grants_it() {
    let (checks, _) = at("403 Forbidden", DENIED, Some("dog")).await;
    let [of_worker] = &wrong(checks)[..] else { panic!("only the rights of the worker are wrong") };
    assert!(of_worker.starts_with("rights: worker"), "{of_worker}");
    assert!(of_worker.contains("dynamodb:UpdateItem on flota-models"), "{of_worker}");
    assert!(of_worker.contains("infra/iam/worker.json"), "{of_worker}");
    assert!(of_worker.contains("on flota-tasks-dog-normal"), "{of_worker}");
    assert!(!of_worker.contains("on flota-tasks-cat-normal"), "no other's queue: {of_worker}");

    let (checks, asked) = at("403 Forbidden", DENIED, None).await;
    let wrong = wrong(checks);
    assert!(wrong.iter().all(|said| said.starts_with("rights: ")), "{wrong:?}");
    assert!(!wrong.iter().any(|said| said.starts_with("rights: worker")), "{wrong:?}");
    let of_api = wrong.iter().find(|said| said.starts_with("rights: api")).unwrap();
    assert!(of_api.contains("s3:PutObject on uploads"), "{of_api}");
    let puts: Vec<_> = asked.iter().filter(|request| request.starts_with("PUT ")).collect();
    // A condition would take the right to read.
    assert!(!puts.is_empty() && puts.iter().all(|put| !put.contains("if-match")), "{puts:?}");
}

#[tokio::test]
async fn what_a_role_may_not_see_is_only_doubtful() {
    let (checks, _) = at("403 Forbidden", DENIED, None).await;
    for about in ["table flota-requests", "queue flota-outcomes", "bucket uploads"] {
        let check = checks.iter().find(|check| check.about == about).unwrap();
        assert!(
            matches!(&check.verdict, Verdict::Warning { problem, .. } if problem.contains("role")),
            "{check:?}"
        );
    }
}

#[tokio::test]
async fn credentials_that_nobody_knows_are_said_once() {
    let unknown = r#"{"__type": "InvalidClientTokenId", "message": "no such key"}"#;
    let wrong = wrong(at("403 Forbidden", unknown, None).await.0);
    assert!(matches!(&wrong[..], [one] if one.contains("correct the credentials")), "{wrong:?}");
}
