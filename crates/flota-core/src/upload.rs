//! S3's notifications of uploads, plain or inside envelopes.

use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use crate::{ObjectAddress, ObjectAddressError, Pin};

/// Most envelopes around a notification. AWS nests at most two: EventBridge through SNS.
const MAX_ENVELOPES: usize = 2;
/// The version id of an object in a bucket whose versioning is suspended.
const NULL_VERSION: &str = "null";

/// A notification, or a record in one, that cannot be read.
#[derive(Debug, Error)]
pub enum UploadError {
    /// JSON of another shape, or no JSON.
    #[error("the message is not of the wanted shape: {0}")]
    Shape(#[from] serde_json::Error),
    /// JSON, but not a known form of notification.
    #[error("the message is no event notification of S3, direct, of SNS or of EventBridge")]
    Form,
    /// A record that names no object that can be fetched.
    #[error("a record names an object that cannot be fetched: {0}")]
    Object(#[from] ObjectAddressError),
    /// A key that is not form-encoded.
    #[error("the key of a record is not encoded as in a form")]
    Key,
}

/// The objects whose upload `body` reports, each restricted to its version or ETag, so that exactly
/// the uploaded content is fetched. A record that cannot be read is an error of its own. Records
/// that are no uploads are left out: tests, deletions, folder markers, SNS confirmations, events of
/// other services.
pub fn uploads(body: &str) -> Vec<Result<ObjectAddress, UploadError>> {
    read(body, MAX_ENVELOPES).unwrap_or_else(|error| vec![Err(error)])
}

type Read = Result<ObjectAddress, UploadError>;

fn read(body: &str, envelopes_left: usize) -> Result<Vec<Read>, UploadError> {
    match serde_json::from_str(body)? {
        Notification::Direct { records } => Ok(records.into_iter().filter_map(direct).collect()),
        Notification::EventBridge { source, kind, detail } => {
            let is_upload = source == "aws.s3" && kind == "Object Created";
            Ok(detail.filter(|_| is_upload).and_then(event_bridge).into_iter().collect())
        }
        Notification::Sns { kind, message } if kind == "Notification" => {
            // SNS topics may also carry plain text.
            let is_json = message.trim_start().starts_with('{');
            match envelopes_left.checked_sub(1) {
                Some(left) if is_json => read(&message, left),
                Some(_) => Ok(Vec::new()),
                None => Err(UploadError::Form),
            }
        }
        Notification::Sns { .. } | Notification::Test { .. } => Ok(Vec::new()),
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Notification {
    Direct {
        #[serde(rename = "Records")]
        records: Vec<Value>,
    },
    EventBridge {
        source: String,
        #[serde(rename = "detail-type")]
        kind: String,
        detail: Option<Value>,
    },
    Sns {
        #[serde(rename = "Type")]
        kind: String,
        #[serde(rename = "Message")]
        message: String,
    },
    Test {
        #[serde(rename = "Event")]
        _event: String,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    s3: Entities,
}

/// The source and kind of a record. Its other fields are read only if these match.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RecordKind {
    event_source: String,
    #[serde(default)]
    event_name: String,
}

#[derive(Deserialize)]
struct Entities {
    bucket: Bucket,
    object: Object,
}

#[derive(Deserialize)]
struct Bucket {
    name: String,
}

#[derive(Deserialize)]
struct Object {
    key: String,
    size: Option<u64>,
    #[serde(alias = "eTag")]
    etag: Option<String>,
    #[serde(alias = "versionId", rename = "version-id")]
    version: Option<String>,
}

/// Keys are form-encoded here.
fn direct(record: Value) -> Option<Read> {
    let kind: RecordKind = match serde_json::from_value(record.clone()) {
        Ok(kind) => kind,
        Err(error) => return Some(Err(error.into())),
    };
    // Other stores with S3's API have names of their own before the colon.
    let event = kind.event_name.strip_prefix("s3:").unwrap_or(&kind.event_name);
    if !kind.event_source.ends_with(":s3") || !event.starts_with("ObjectCreated:") {
        return None;
    }
    let Record { s3: mut entities } = match serde_json::from_value(record) {
        Ok(record) => record,
        Err(error) => return Some(Err(error.into())),
    };
    let key = entities.object.key.replace('+', " ");
    match percent_decode_str(&key).decode_utf8() {
        Ok(key) => entities.object.key = key.into_owned(),
        Err(_) => return Some(Err(UploadError::Key)),
    }
    upload(entities)
}

/// Keys are not encoded here.
fn event_bridge(detail: Value) -> Option<Read> {
    serde_json::from_value(detail).map_or_else(|error| Some(Err(error.into())), upload)
}

fn upload(Entities { bucket, object }: Entities) -> Option<Read> {
    let is_folder = object.key.ends_with('/') && object.size == Some(0);
    if is_folder {
        return None;
    }
    let version = object.version.filter(|version| !version.is_empty() && version != NULL_VERSION);
    let etag = object.etag.map(|etag| etag.trim_matches('"').to_owned());
    let etag = etag.filter(|etag| !etag.is_empty());
    let pin = version.map(Pin::Version).or(etag.map(Pin::ETag));
    Some(ObjectAddress::new(bucket.name, object.key, pin).map_err(UploadError::from))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(event: &str, key: &str) -> Value {
        json!({
            "eventVersion": "2.2",
            "eventSource": "aws:s3",
            "eventName": event,
            "s3": {
                "bucket": {"name": "photos", "arn": "arn:aws:s3:::photos"},
                "object": {
                    "key": key, "size": 9, "eTag": "0a1b", "versionId": null, "sequencer": "0F",
                },
            },
        })
    }

    fn put(key: &str) -> String {
        json!({"Records": [record("ObjectCreated:Put", key)]}).to_string()
    }

    fn bridge(kind: &str, key: &str) -> String {
        let object = json!({"key": key, "size": 5, "etag": "0a1b", "version-id": "v1"});
        let detail = json!({"version": "0", "bucket": {"name": "photos"}, "object": object});
        json!({"version": "0", "source": "aws.s3", "detail-type": kind, "detail": detail})
            .to_string()
    }

    fn sns(message: &str) -> String {
        json!({"Type": "Notification", "TopicArn": "arn:aws:sns:a", "Message": message}).to_string()
    }

    /// The objects in `body`, or the error of a record.
    fn read(body: &str) -> Vec<String> {
        let text = |read: Result<ObjectAddress, UploadError>| match read {
            Ok(address) => address.to_string(),
            Err(error) => error.to_string(),
        };
        uploads(body).into_iter().map(text).collect()
    }

    #[test]
    fn keys_are_decoded_as_in_a_form() {
        for (key, wanted) in [
            ("uploads/red+flower.jpg", "uploads/red%20flower.jpg"),
            ("1%2B1%3D2", "1%2B1%3D2"),
            ("100%25", "100%25"),
            ("gr%C3%B6%C3%9Fe/%E3%82%AB%E3%83%A1%E3%83%A9.png", "größe/カメラ.png"),
            ("%F0%9F%93%B7", "%F0%9F%93%B7"),
            ("a%3Fb%23c%26d", "a%3Fb%23c%26d"),
            ("2%2520", "2%2520"),
        ] {
            assert_eq!(read(&put(key)), [format!("s3://photos/{wanted}?etag=0a1b")], "{key}");
        }
        assert_eq!(read(&put("%FF")), ["the key of a record is not encoded as in a form"]);
    }

    #[test]
    fn envelopes_are_opened() {
        let wanted = ["s3://photos/a%2Bb%20c?etag=0a1b"];
        assert_eq!(read(&sns(&put("a%2Bb+c"))), wanted);
        let wanted = ["s3://photos/a%2Bb%20c%25?versionId=v1"];
        assert_eq!(read(&bridge("Object Created", "a+b c%")), wanted, "its keys are not encoded");
        assert_eq!(read(&sns(&bridge("Object Created", "a+b c%"))), wanted);
        let nested = sns(&sns(&sns(&put("a"))));
        assert_eq!(read(&nested).len(), 1);
        assert!(read(&nested)[0].starts_with("the message is no event"), "no end of envelopes");
    }

    #[test]
    fn what_is_no_upload_is_left_out() {
        let test = r#"{"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "photos"}"#;
        let marker = json!({"Records": [{
            "eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
            "s3": {"bucket": {"name": "photos"}, "object": {"key": "new/", "size": 0}},
        }]});
        let events = ["ObjectRemoved:Delete", "ObjectRestore:Completed", "ObjectTagging:Put"];
        let records = events.map(|event| record(event, "a"));
        let confirmation = json!({
            "Type": "SubscriptionConfirmation", "TopicArn": "arn:aws:sns:a", "Token": "t",
            "Message": "You have chosen to subscribe to the topic.", "SubscribeURL": "https://sns",
        });
        let started = json!({"source": "aws.ec2", "detail-type": "EC2 Instance State", "detail": {"state": "up"}});
        let queued =
            json!({"Records": [{"eventSource": "aws:sqs", "messageId": "m", "body": "a"}]});
        for body in [
            test.to_owned(),
            sns(test),
            confirmation.to_string(),
            started.to_string(),
            sns(&started.to_string()),
            queued.to_string(),
            sns("the disk is full"),
            r#"{"Event": "s3:Other"}"#.to_owned(),
            marker.to_string(),
            json!({"Records": records}).to_string(),
            json!({"Records": []}).to_string(),
            bridge("Object Deleted", "a"),
        ] {
            assert_eq!(read(&body), Vec::<String>::new(), "{body}");
        }
    }

    #[test]
    fn each_record_is_read_by_itself() {
        let mut other = record("ObjectCreated:CompleteMultipartUpload", "b");
        other["eventSource"] = "aws:sqs".into();
        let mut broken = record("ObjectCreated:Put", "x");
        broken["s3"]["object"]["key"] = 7.into();
        let nameless = json!({"s3": broken["s3"]});
        let mut versioned = record("s3:ObjectCreated:Copy", "c");
        versioned["s3"]["object"]["versionId"] = "v.2".into();
        let mut suspended = record("ObjectCreated:Post", "d");
        suspended["s3"]["object"]["versionId"] = "null".into();
        suspended["s3"]["object"]["eTag"] = "\"0c\"".into();
        let records = json!([other, broken, versioned, nameless, suspended, null]);
        let read = read(&json!({"Records": records}).to_string());
        assert_eq!([&read[1], &read[3]], ["s3://photos/c?versionId=v.2", "s3://photos/d?etag=0c"]);
        for broken in [&read[0], &read[2], &read[4]] {
            assert!(broken.starts_with("the message is not of the wanted shape"), "{read:?}");
        }
        assert_eq!(read.len(), 5);
    }

    #[test]
    fn what_nobody_can_read_says_why() {
        for body in ["", "{", "[]", "{}", "\"a\"", r#"{"Records": 1}"#] {
            assert_eq!(uploads(body).iter().filter(|read| read.is_err()).count(), 1, "{body}");
        }
        let long = "a".repeat(1025);
        assert!(read(&put(&long))[0].contains("1024 bytes"), "{:?}", read(&put(&long)));
    }
}
