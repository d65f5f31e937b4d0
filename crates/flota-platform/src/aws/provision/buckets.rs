//! The bucket of uploaded images.

use std::collections::BTreeMap;

use aws_sdk_s3::{
    Client,
    error::ProvideErrorMetadata,
    types::{BucketLocationConstraint, CreateBucketConfiguration},
};
use flota_core::PortResult;

use super::{Resource, ResourceKind, State};
use crate::aws::error::failed;

/// What S3 calls a bucket that is not there, operation by operation.
pub(super) const NOT_THERE: [&str; 3] = ["404", "NotFound", "NoSuchBucket"];
/// The region that `CreateBucket` does not take by its name.
const FIRST_REGION: &str = "us-east-1";

/// How the bucket is.
pub(super) async fn look(client: &Client, bucket: &str) -> PortResult<Resource> {
    let state = match client.head_bucket().bucket(bucket).send().await {
        Ok(_) => State::Ready,
        Err(error) if error.code().is_some_and(|code| NOT_THERE.contains(&code)) => State::Missing,
        Err(error) => return Err(failed(format!("looking at the bucket {bucket}"), error)),
    };
    let (name, attributes) = (bucket.to_owned(), BTreeMap::new());
    Ok(Resource { kind: ResourceKind::Bucket, name, attributes, state })
}

/// Makes the bucket in the client's region. AWS closes new buckets to the public.
pub(super) async fn make(client: &Client, bucket: &str) -> PortResult<()> {
    let region = client.config().region().map(ToString::to_string);
    let elsewhere = region.filter(|region| region != FIRST_REGION).map(|region| {
        let place = BucketLocationConstraint::from(region.as_str());
        CreateBucketConfiguration::builder().location_constraint(place).build()
    });
    let making = client.create_bucket().bucket(bucket);
    let made = making.set_create_bucket_configuration(elsewhere).send().await;
    match made {
        Ok(_) => Ok(()),
        // Somebody else was making it too.
        Err(error) if error.code() == Some("BucketAlreadyOwnedByYou") => Ok(()),
        Err(error) => Err(failed(format!("making the bucket {bucket}"), error)),
    }
}
