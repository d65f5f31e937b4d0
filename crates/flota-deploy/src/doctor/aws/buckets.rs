//! What the buckets of upload events are like.

use std::collections::BTreeSet;

use aws_sdk_s3::types::BucketVersioningStatus;
use flota_platform::{
    aws::{Clients, failed},
    settings::Settings,
};

use super::run::unseen;
use crate::doctor::Check;

/// Whether the objects of each bucket that a rule names have versions, by which they are known
/// before they are fetched.
pub(super) async fn check(clients: &Clients, settings: &Settings) -> Vec<Check> {
    let buckets: BTreeSet<_> = settings.ingest.rules.iter().map(|rule| &rule.bucket).collect();
    let mut checks = Vec::new();
    for bucket in buckets {
        let about = format!("versions in bucket {bucket}");
        let answer = clients.s3.get_bucket_versioning().bucket(bucket).send().await;
        let status = match answer {
            Ok(answer) => answer.status,
            Err(error) => {
                let error = failed(format!("looking at the bucket {bucket}"), error);
                checks.push(unseen(about, &error));
                continue;
            }
        };
        let has_versions = status == Some(BucketVersioningStatus::Enabled);
        checks.push(if has_versions {
            Check::ok(about, "on")
        } else if settings.objects.trust_etag {
            Check::ok(about, "off, and objects.trust_etag stands in their place")
        } else {
            Check::warning(
                about,
                "off: an object is fetched again although its content is known",
                "turn versioning on for the bucket, or read what objects.trust_etag risks",
            )
        });
    }
    checks
}
