//! Images that lie in S3, and the tasks of upload events.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bytes::Bytes;
use flota_core::{
    Code, EventsId, OutcomesMessage, PortResult, Reason, Sha256, Subject, TaskSource, TasksMessage,
    ports::{FetchError, Images},
};
use uuid::Uuid;

use super::fleet::{Fleet, endings, pack, png, sha256, wanted};

const GREY: [u8; 3] = [9, 9, 9];
const OTHER: [u8; 3] = [1, 2, 3];
const A: &str = "s3://photos/a.png?versionId=1";
const B: &str = "s3://photos/b.png?versionId=1";

/// Objects by their addresses, and which were fetched.
#[derive(Default)]
struct Objects {
    contents: Mutex<BTreeMap<String, Bytes>>,
    fetched: Mutex<Vec<String>>,
}

#[async_trait]
impl Images for Objects {
    async fn put(&self, bytes: Bytes) -> PortResult<Sha256> {
        Ok(Sha256::of(&bytes))
    }

    async fn sha256(&self, address: &str) -> Option<Sha256> {
        Some(Sha256::of(self.contents.lock().unwrap().get(address)?))
    }

    async fn fetch(&self, address: &str, _max_bytes: u64) -> Result<Bytes, FetchError> {
        self.fetched.lock().unwrap().push(address.to_owned());
        let content = self.contents.lock().unwrap().get(address).cloned();
        content.ok_or_else(|| match address.contains("denied") {
            true => FetchError::new(Code::FetchDenied, "the object may not be read"),
            false => FetchError::new(Code::FetchNotFound, "no such object"),
        })
    }
}

impl Objects {
    fn put(&self, address: &str, content: Vec<u8>) {
        self.contents.lock().unwrap().insert(address.to_owned(), content.into());
    }

    /// A worker that finds these objects.
    fn fleet(self: &Arc<Self>) -> Fleet {
        let mut fleet = Fleet::new("1", 1);
        fleet.platform.images = self.clone();
        fleet
    }

    fn fetched(&self) -> Vec<String> {
        self.fetched.lock().unwrap().clone()
    }
}

/// What the worker tells of `message`, once the recorder has kept it.
async fn run(fleet: &Fleet, message: &TasksMessage) -> Vec<OutcomesMessage> {
    fleet.send(message).await;
    let told = fleet.outcomes(message.tasks.len()).await;
    for told in &told {
        fleet.platform.predictions.put(&told.predictions).await.unwrap();
        fleet.platform.aliases.put(&told.aliases).await.unwrap();
    }
    told
}

fn uploads(images: &[&str]) -> TasksMessage {
    TasksMessage { source: TaskSource::Upload(EventsId(Uuid::from_u128(5))), ..pack(5, images) }
}

fn aliases(told: &[OutcomesMessage]) -> Vec<(String, Sha256)> {
    let aliases = told.iter().flat_map(|message| &message.aliases);
    aliases.map(|alias| (alias.object.to_string(), alias.sha256)).collect()
}

#[tokio::test]
async fn an_object_that_is_known_is_not_fetched_again() {
    let objects = Arc::new(Objects::default());
    objects.put(A, png(GREY));
    objects.put(B, png(GREY));
    let fleet = objects.fleet();
    fleet.start();
    let told = run(&fleet, &uploads(&[A])).await;
    assert_eq!(endings(&told), wanted(&[(0, "succeeded")]));
    assert_eq!(aliases(&told), [(A.to_owned(), sha256(GREY))]);

    // Equal bytes under another name are fetched once, and not looked at.
    let told = run(&fleet, &pack(1, &[A, B])).await;
    assert_eq!(endings(&told), wanted(&[(0, "cached"), (1, "cached")]));
    assert_eq!(aliases(&told), [(B.to_owned(), sha256(GREY))]);
    let told = run(&fleet, &uploads(&[B])).await;
    assert_eq!((endings(&told), aliases(&told)), (wanted(&[(0, "cached")]), Vec::new()));
    assert_eq!(objects.fetched(), [A, B]);
    assert_eq!(fleet.batches(), [[GREY]]);
}

#[tokio::test]
async fn only_what_names_content_for_sure_is_an_alias() {
    let etag = "s3://photos/a.png?etag=0a1b";
    for (address, trust_etag, fetches) in [
        (A, false, 1),
        (etag, false, 2),
        (etag, true, 1),
        ("s3://photos/a.png", true, 2),
        ("s3://photos/a.png?versionId=null", true, 2),
    ] {
        let objects = Arc::new(Objects::default());
        objects.put(address, png(GREY));
        let mut fleet = objects.fleet();
        fleet.settings.objects.trust_etag = trust_etag;
        fleet.start();
        let told = run(&fleet, &uploads(&[address])).await;
        assert_eq!(aliases(&told).len(), 2 - fetches, "{address}");
        let told = run(&fleet, &uploads(&[address])).await;
        assert_eq!(endings(&told), wanted(&[(0, "cached")]));
        assert_eq!(objects.fetched().len(), fetches, "{address}");
    }
}

#[tokio::test]
async fn an_alias_without_a_prediction_does_not_save_the_look() {
    let objects = Arc::new(Objects::default());
    objects.put(A, png(OTHER));
    let fleet = objects.fleet();
    let alias = flota_core::Alias { object: A.parse().unwrap(), sha256: sha256(OTHER) };
    fleet.platform.aliases.put(&[alias]).await.unwrap();
    fleet.start();
    let told = run(&fleet, &uploads(&[A])).await;
    assert_eq!(endings(&told), wanted(&[(0, "succeeded")]));
    assert!(aliases(&told).is_empty(), "it is known already");
}

#[tokio::test]
async fn where_s3_knows_the_sha256_it_may_be_asked() {
    let objects = Arc::new(Objects::default());
    let b_by_etag = "s3://photos/b.png?etag=0a1b";
    for address in [A, B, b_by_etag] {
        objects.put(address, png(GREY));
    }
    let mut fleet = objects.fleet();
    fleet.settings.objects.ask_checksum = true;
    fleet.start();
    for (address, ending, alias_count) in
        [(A, "succeeded", 1), (B, "cached", 1), (b_by_etag, "cached", 0)]
    {
        let told = run(&fleet, &uploads(&[address])).await;
        assert_eq!(endings(&told), wanted(&[(0, ending)]));
        assert_eq!(aliases(&told).len(), alias_count, "{address}");
    }
    assert_eq!(objects.fetched(), [A]);
}

#[tokio::test]
async fn an_upload_that_fails_leaves_a_dead_letter_unless_its_object_is_gone() {
    let objects = Arc::new(Objects::default());
    objects.put(A, b"no image".to_vec());
    let denied = "s3://photos/denied.png?versionId=1";
    let fleet = objects.fleet();
    fleet.start();
    let told = run(&fleet, &uploads(&[A, B, denied])).await;
    let ends = [(0, "DECODE_UNSUPPORTED"), (1, "FETCH_NOT_FOUND"), (2, "FETCH_DENIED")];
    assert_eq!(endings(&told), wanted(&ends));
    assert!(aliases(&told).is_empty());
    let letters: Vec<_> = told.iter().flat_map(|message| &message.dead_letters).collect();
    let codes: Vec<_> =
        letters.iter().map(|letter| (letter.reason, letter.history[0].code)).collect();
    let failed = [Code::DecodeUnsupported, Code::FetchDenied].map(|code| (Reason::Failed, code));
    assert_eq!(codes, failed);
    let Subject::Task { task, image, round: 1, .. } = &letters[0].subject else { panic!() };
    assert_eq!(task.source, TaskSource::Upload(EventsId(Uuid::from_u128(5))));
    assert_eq!((task.n, image.as_str()), (0, A));

    // A request keeps that its tasks failed: nothing else has to.
    let told = run(&fleet, &pack(1, &[A, B, denied])).await;
    assert!(told.iter().all(|message| message.dead_letters.is_empty()));
}

#[tokio::test]
async fn isolated_tasks_of_uploads_are_counted_and_dead_lettered() {
    let objects = Arc::new(Objects::default());
    objects.put(A, png(GREY));
    objects.put(B, png(OTHER));
    let fleet = objects.fleet();
    let message = uploads(&[A, B]);
    fleet.send(&message).await;
    // A worker that died had it.
    assert_eq!(fleet.receive_once().await.len(), 1);
    let requests = &fleet.platform.requests;
    for _ in 0..3 {
        requests.count_attempt(message.source.task(0), 1).await.unwrap();
    }
    fleet.start();
    let told = fleet.outcomes(2).await;
    assert_eq!(endings(&told), wanted(&[(0, "WORKER_CRASHED"), (1, "succeeded")]));
    assert_eq!(requests.attempts(message.source.task(1), 1).await.unwrap(), 1);
    let letter = told.iter().flat_map(|message| &message.dead_letters).next().unwrap();
    assert_eq!(letter.reason, Reason::WorkerCrashed);
    assert!(
        matches!(&letter.subject, Subject::Task { task, .. } if *task == message.source.task(0))
    );
}
