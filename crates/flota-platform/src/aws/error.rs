use std::error::Error;

use aws_sdk_sqs::{
    error::{ProvideErrorMetadata, SdkError},
    types::BatchResultErrorEntry,
};
use flota_core::PortError;

/// Error codes that time may heal although they are no answer 5xx: throttling, in the words of each
/// service, and credentials or clocks that are put right outside this process.
const TRANSIENT_CODES: [&str; 17] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "KmsThrottled",
    "LimitExceededException",
    "OverLimit",
    "ProvisionedThroughputExceededException",
    "RequestExpired",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "RequestTimeTooSkewed",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "TransactionConflictException",
    "TransactionInProgressException",
];

/// What a failed call is to the caller of a port, who was at `what`.
pub(super) fn failed<E>(what: impl Into<String>, error: SdkError<E>) -> PortError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    if is_transient(&error) {
        PortError::transient(what, error)
    } else {
        PortError::permanent(what, error)
    }
}

/// Whether time may heal it: no answer, a broken one, throttling, a fault of the service.
pub(super) fn is_transient<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    match error {
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => {
            true
        }
        SdkError::ServiceError(answer) => {
            let status = answer.raw().status().as_u16();
            status >= 500
                || matches!(status, 408 | 429)
                || answer.err().code().is_some_and(|code| TRANSIENT_CODES.contains(&code))
        }
        _ => false,
    }
}

/// Whether time may heal what ails an entry of a batch.
pub(super) fn is_transient_entry(entry: &BatchResultErrorEntry) -> bool {
    !entry.sender_fault() || TRANSIENT_CODES.contains(&entry.code())
}
