use std::time::Duration;

use aws_config::{
    BehaviorVersion, ConfigLoader, Region, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig,
};
use aws_sdk_sqs::config::Credentials;

use thiserror::Error;

use super::meter::Meter;
use crate::settings::AwsSettings;

/// Longest time to a connection; the attempt's own time runs meanwhile.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Attempts of one call, the first included, unless the operation says otherwise.
const ATTEMPTS: u32 = 3;
/// First wait between two attempts, which is doubled each time.
const BACKOFF: Duration = Duration::from_millis(100);
/// Longest wait between two attempts: a throttled caller is to come again soon, but not at once.
const MAX_BACKOFF: Duration = Duration::from_secs(2);

/// Clients that cannot be made.
#[derive(Debug, Error)]
pub enum ClientsError {
    /// Nobody says which region.
    #[error("no region is known: set `aws.region`, or the variable AWS_REGION")]
    NoRegion,
}

/// The clients of AWS, one for each service for the life of the process: connections, credentials
/// and the budget of retries are shared by all calls. Every call is counted, and has a timeout.
#[derive(Clone, Debug)]
pub struct Clients {
    /// Queues.
    pub sqs: aws_sdk_sqs::Client,
    /// Records.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// Images.
    pub s3: aws_sdk_s3::Client,
}

impl Clients {
    /// Clients for the region and endpoint of `settings`. Credentials, and the region if it is not
    /// set, come from the usual chain: variables, profile, web identity, container, instance.
    /// No service is called yet.
    ///
    /// # Errors
    /// If nothing in the chain names a region.
    pub async fn new(settings: &AwsSettings) -> Result<Self, ClientsError> {
        Self::over(settings, &loader(settings).load().await)
    }

    /// As [`Clients::new`], with `credentials` in place of the chain's.
    pub async fn with_credentials(
        settings: &AwsSettings,
        credentials: Credentials,
    ) -> Result<Self, ClientsError> {
        let loader = loader(settings).credentials_provider(credentials);
        Self::over(settings, &loader.load().await)
    }

    fn over(settings: &AwsSettings, shared: &SdkConfig) -> Result<Self, ClientsError> {
        if shared.region().is_none() {
            return Err(ClientsError::NoRegion);
        }
        let sqs = aws_sdk_sqs::config::Builder::from(shared).interceptor(Meter::new("sqs"));
        let dynamodb =
            aws_sdk_dynamodb::config::Builder::from(shared).interceptor(Meter::new("dynamodb"));
        let s3 = aws_sdk_s3::config::Builder::from(shared)
            // An endpoint of one's own seldom has a name for each bucket.
            .force_path_style(settings.endpoint.is_some())
            .interceptor(Meter::new("s3"));
        Ok(Self {
            sqs: aws_sdk_sqs::Client::from_conf(sqs.build()),
            dynamodb: aws_sdk_dynamodb::Client::from_conf(dynamodb.build()),
            s3: aws_sdk_s3::Client::from_conf(s3.build()),
        })
    }
}

fn loader(settings: &AwsSettings) -> ConfigLoader {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(settings.call_timeout)
        .operation_timeout(settings.call_timeout.saturating_mul(ATTEMPTS))
        .build();
    let retries = RetryConfig::standard()
        .with_max_attempts(ATTEMPTS)
        .with_initial_backoff(BACKOFF)
        .with_max_backoff(MAX_BACKOFF);
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .timeout_config(timeouts)
        .retry_config(retries);
    if let Some(region) = &settings.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(endpoint) = &settings.endpoint {
        loader = loader.endpoint_url(endpoint.as_str());
    }
    loader
}
