use std::sync::Arc;

use aws_sdk_s3::{
    primitives::ByteStream,
    types::{BucketVersioningStatus, ChecksumAlgorithm, VersioningConfiguration},
};
use flota_core::{Code, ObjectAddress, Pin, Sha256, ports::Images};

use crate::account::Account;

const KEYS: [&str; 4] = ["plain.jpg", "a b+c%2F/ü🐈?#.jpg", "/a//b", "ends with/"];

/// An account with an empty bucket, whose name is the last.
async fn with_bucket() -> (Account, Arc<dyn Images>, String) {
    let account = Account::new(&[("aws.create_missing", "true")]).await;
    let images = account.open().await.images;
    let bucket = account.settings.aws.bucket.clone();
    (account, images, bucket)
}

/// Puts an object; its version, if the bucket has any, and its ETag.
async fn put(
    account: &Account,
    bucket: &str,
    key: &str,
    bytes: &'static [u8],
) -> (Option<String>, String) {
    let put = account.clients.s3.put_object().bucket(bucket).key(key);
    let put = put.body(ByteStream::from_static(bytes)).send().await.unwrap();
    (put.version_id, put.e_tag.unwrap().trim_matches('"').to_owned())
}

async fn fetch(images: &dyn Images, bucket: &str, key: &str, pin: Option<Pin>) -> Vec<u8> {
    let address = ObjectAddress::new(bucket, key, pin).unwrap().to_string();
    images.fetch(&address, 100).await.unwrap().to_vec()
}

/// The code and sentence of an image that cannot be had.
async fn refusal(images: &dyn Images, address: &str) -> (Code, String) {
    let error = images.fetch(address, 100).await.unwrap_err();
    (error.code, error.message)
}

#[tokio::test]
async fn an_object_is_fetched_whatever_its_key() {
    let (account, images, bucket) = with_bucket().await;
    for key in KEYS {
        put(&account, &bucket, key, b"bytes").await;
        assert_eq!(fetch(&*images, &bucket, key, None).await, b"bytes", "{key}");
    }
}

#[tokio::test]
async fn a_content_encoding_of_an_object_is_undone() {
    // What Python's zlib makes of `bytes`.
    const DEFLATED: &[u8] = b"\x78\x9c\x4b\xaa\x2c\x49\x2d\x06\0\x06\x6c\x02\x28";
    let (account, images, bucket) = with_bucket().await;
    for (key, encoding) in [("a", "deflate"), ("c", "zstd")] {
        let put = account.clients.s3.put_object().bucket(&bucket).key(key);
        let put = put.content_encoding(encoding).checksum_algorithm(ChecksumAlgorithm::Sha256);
        put.body(ByteStream::from_static(DEFLATED)).send().await.unwrap();
    }
    assert_eq!(fetch(&*images, &bucket, "a", None).await, b"bytes");
    let (code, message) = refusal(&*images, &format!("s3://{bucket}/c")).await;
    assert_eq!(code, Code::DecodeUnsupported);
    assert!(message.contains("zstd"), "{message}");
    // What S3 keeps is not the hash of what a model sees.
    assert_eq!(images.sha256(&format!("s3://{bucket}/a")).await, None);
}

#[tokio::test]
async fn a_version_stays_what_it_was() {
    let (account, images, bucket) = with_bucket().await;
    let enabled = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled);
    let versioning = account.clients.s3.put_bucket_versioning().bucket(&bucket);
    versioning.versioning_configuration(enabled.build()).send().await.unwrap();
    let (first, _) = put(&account, &bucket, "a", b"first").await;
    let (second, _) = put(&account, &bucket, "a", b"second").await;
    for (version, bytes) in [(first, &b"first"[..]), (second, b"second")] {
        let pin = Some(Pin::Version(version.unwrap()));
        assert_eq!(fetch(&*images, &bucket, "a", pin).await, bytes);
    }
    assert_eq!(fetch(&*images, &bucket, "a", None).await, b"second");
    let (code, _) = refusal(&*images, &format!("s3://{bucket}/a?versionId=unknown")).await;
    assert_eq!(code, Code::FetchNotFound);
}

#[tokio::test]
async fn an_object_that_was_replaced_is_not_taken_for_the_one_meant() {
    let (account, images, bucket) = with_bucket().await;
    let (_, etag) = put(&account, &bucket, "a", b"first").await;
    let pin = Some(Pin::ETag(etag));
    assert_eq!(fetch(&*images, &bucket, "a", pin.clone()).await, b"first");
    put(&account, &bucket, "a", b"second").await;
    let address = ObjectAddress::new(&bucket, "a", pin).unwrap().to_string();
    let (code, message) = refusal(&*images, &address).await;
    assert_eq!(code, Code::FetchNotFound);
    assert!(message.contains("replaced"), "{message}");
}

#[tokio::test]
async fn objects_that_cannot_be_had_have_codes() {
    let (account, images, bucket) = with_bucket().await;
    put(&account, &bucket, "large", &[0; 101]).await;
    put(&account, &bucket, "fits", &[0; 100]).await;
    assert_eq!(fetch(&*images, &bucket, "fits", None).await.len(), 100);
    for (path, code) in [
        (format!("{bucket}/large"), Code::ImageTooLarge),
        (format!("{bucket}/missing"), Code::FetchNotFound),
        ("no-such-bucket-at-all/a".to_owned(), Code::FetchNotFound),
        (format!("{bucket}/"), Code::FetchForbiddenAddress),
        (format!("{bucket}/a%"), Code::FetchForbiddenAddress),
    ] {
        let (found, message) = refusal(&*images, &format!("s3://{path}")).await;
        assert_eq!(found, code, "{path}: {message}");
    }
}

#[tokio::test]
async fn s3_says_the_sha256_of_what_was_put_with_one() {
    let (account, images, bucket) = with_bucket().await;
    let plain = ObjectAddress::new(&bucket, "plain", None).unwrap().to_string();
    put(&account, &bucket, "plain", b"bytes").await;
    assert_eq!(images.sha256(&plain).await, None);
    let put = account.clients.s3.put_object().bucket(&bucket).key("summed");
    let put = put.checksum_algorithm(ChecksumAlgorithm::Sha256);
    let put = put.body(ByteStream::from_static(b"bytes")).send().await.unwrap();
    let etag = put.e_tag.unwrap().trim_matches('"').to_owned();
    for pin in [None, Some(Pin::ETag(etag))] {
        let summed = ObjectAddress::new(&bucket, "summed", pin).unwrap().to_string();
        assert_eq!(images.sha256(&summed).await, Some(Sha256::of(b"bytes")));
        assert_eq!(images.fetch(&summed, 100).await.unwrap(), "bytes");
    }
    let replaced = ObjectAddress::new(&bucket, "summed", Some(Pin::ETag("x".into()))).unwrap();
    assert_eq!(images.sha256(&replaced.to_string()).await, None);
    assert_eq!(images.sha256("s3://no-such-bucket-at-all/a").await, None);
}
