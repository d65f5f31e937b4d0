//! The bucket of uploaded images.

use std::collections::BTreeMap;

use aws_sdk_s3::Client;
use flota_core::PortResult;
use flota_platform::aws::create::is_bucket_there;

use super::{Resource, ResourceKind, State};

/// How the bucket is.
pub(super) async fn look(client: &Client, bucket: &str) -> PortResult<Resource> {
    let state = match is_bucket_there(client, bucket).await? {
        true => State::Ready,
        false => State::Missing,
    };
    let (name, attributes) = (bucket.to_owned(), BTreeMap::new());
    Ok(Resource { kind: ResourceKind::Bucket, name, attributes, state })
}
