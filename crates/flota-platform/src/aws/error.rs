use std::error::Error;

use aws_sdk_sqs::{
    error::{ProvideErrorMetadata, SdkError},
    types::BatchResultErrorEntry,
};
use flota_core::{PortError, with_causes};
use thiserror::Error;

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
/// What AWS calls a want of rights, service by service.
const DENIED: [&str; 3] = ["AccessDenied", "AccessDeniedException", "Forbidden"];
/// What SQS calls a queue that is not there.
const MISSING_QUEUE: [&str; 3] =
    ["QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue", "NonExistentQueue"];
/// What else SQS refuses to take until an operator puts it right, and then takes: keys of KMS, and
/// credentials that it does not know.
const PUT_RIGHT_BY_HAND: [&str; 11] = [
    "InvalidClientTokenId",
    "InvalidSecurity",
    "InvalidSignatureException",
    "KmsAccessDenied",
    "KmsDisabled",
    "KmsInvalidKeyUsage",
    "KmsInvalidState",
    "KmsNotFound",
    "KmsOptInRequired",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
];

/// A call that AWS refused.
#[derive(Debug, Error)]
#[error("{said}")]
struct Refusal {
    code: Option<String>,
    is_denied: bool,
    said: String,
    source: Box<dyn Error + Send + Sync>,
}

/// What a failed call is to the caller of a port, who was at `what`: the error says what AWS says.
pub fn failed<E>(what: impl Into<String>, error: SdkError<E>) -> PortError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let what = format!("{}: {}", what.into(), said(&error));
    let is_transient = is_transient(&error);
    let refusal = refusal(error);
    if is_transient {
        PortError::transient(what, refusal)
    } else {
        PortError::permanent(what, refusal)
    }
}

/// A failed call that will fail again, of which the caller of a port is told `what` alone.
pub(super) fn failed_for_good<E>(what: impl Into<String>, error: SdkError<E>) -> PortError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    PortError::permanent(what, refusal(error))
}

/// A refused send as one that time may heal, where an operator can put it right. Else it would look
/// as if the message could not be sent, and what it tells would be worked out again and again.
pub(super) fn until_put_right(error: PortError) -> PortError {
    let is_put_right = refusal_of(&error).is_some_and(|refusal| {
        refusal.is_denied || refusal.code.as_deref().is_some_and(is_put_right_by_hand)
    });
    match error {
        PortError::Permanent { what, source } if is_put_right => {
            PortError::Transient { what, source }
        }
        other => other,
    }
}

/// Whether AWS refused it for want of a right.
pub fn is_denied(error: &PortError) -> bool {
    refusal_of(error).is_some_and(|refusal| refusal.is_denied)
}

/// Whether AWS refused the call for want of a right. To a HEAD it answers a status alone.
pub fn is_call_denied<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    match (error.code(), error) {
        (Some(code), _) => DENIED.contains(&code),
        (None, SdkError::ServiceError(answer)) => answer.raw().status().as_u16() == 403,
        (None, _) => false,
    }
}

/// Whether SQS says that there is no such queue.
pub(super) fn is_queue_missing<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    error.code().is_some_and(|code| MISSING_QUEUE.contains(&code))
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
    let code = entry.code();
    !entry.sender_fault() || TRANSIENT_CODES.contains(&code) || is_put_right_by_hand(code)
}

fn is_put_right_by_hand(code: &str) -> bool {
    DENIED.contains(&code) || MISSING_QUEUE.contains(&code) || PUT_RIGHT_BY_HAND.contains(&code)
}

fn refusal<E>(error: SdkError<E>) -> Refusal
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    Refusal {
        code: error.code().map(str::to_owned),
        is_denied: is_call_denied(&error),
        said: said(&error),
        source: Box::new(error),
    }
}

fn refusal_of(error: &PortError) -> Option<&Refusal> {
    match error {
        PortError::Transient { source, .. }
        | PortError::Full { source, .. }
        | PortError::Permanent { source, .. } => source.as_deref()?.downcast_ref(),
        PortError::TooLarge { .. } => None,
    }
}

/// The code and sentence of the service, or what kept it from answering.
fn said<E>(error: &SdkError<E>) -> String
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match (error.code(), error.message(), error) {
        (Some(code), Some(message), _) => format!("{code}: {message}"),
        (Some(code), None, _) => code.to_owned(),
        (None, _, SdkError::ServiceError(answer)) => format!("HTTP {}", answer.raw().status()),
        (None, ..) => with_causes(error),
    }
}
