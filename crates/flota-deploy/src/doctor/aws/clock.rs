//! The clock of this machine against that of AWS.

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_sqs::{
    config::{
        ConfigBag, Intercept, RuntimeComponents,
        interceptors::BeforeDeserializationInterceptorContextRef,
    },
    error::{ProvideErrorMetadata, SdkError},
};
use aws_smithy_runtime_api::box_error::BoxError;
use flota_core::{ports::Clock, with_causes};
use flota_platform::{SystemClock, aws::Clients, settings::Settings};
use jiff::{SignedDuration, Timestamp, fmt::rfc2822};

use crate::doctor::Check;

/// Furthest that a clock may be off. Claims and due times of one host are read by others, and are
/// tens of seconds long; AWS itself refuses signatures that are five minutes off.
const MAX_SKEW: SignedDuration = SignedDuration::from_secs(5);
const ABOUT: &str = "AWS: answers and clock";

/// The `Date` of the last answer.
#[derive(Debug, Clone, Default)]
struct DateSeen(Arc<Mutex<Option<String>>>);

impl Intercept for DateSeen {
    fn name(&self) -> &'static str {
        "date seen"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date").map(str::to_owned);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = date;
        Ok(())
    }
}

/// Asks AWS for something harmless and compares the date of its answer, whatever it says.
pub(super) async fn check(clients: &Clients, settings: &Settings) -> Check {
    let seen = DateSeen::default();
    let queue = settings.queue_names().outcomes();
    let asking = clients.sqs.get_queue_url().queue_name(queue.as_str()).customize();
    let before = SystemClock.now();
    let answer = asking.interceptor(seen.clone()).send().await;
    let after = SystemClock.now();
    match &answer {
        Ok(_) => {}
        Err(SdkError::ServiceError(refusal)) => {
            let code = refusal.err().code().unwrap_or_default();
            if let Some(remedy) = credentials(code) {
                return Check::error(ABOUT, with_causes(refusal.err()), remedy);
            }
        }
        Err(error) => {
            let remedy = "see that this host reaches aws.endpoint, or AWS in aws.region, and has \
                          credentials";
            return Check::error(ABOUT, with_causes(error), remedy);
        }
    }
    let date = seen.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    compare(before, after, date.as_deref())
}

/// What to do where AWS does not know or trust who asks.
fn credentials(code: &str) -> Option<&'static str> {
    Some(match code {
        "ExpiredToken" | "ExpiredTokenException" => "renew the credentials",
        "RequestExpired" | "RequestTimeTooSkewed" => "set the clock of this host, by NTP",
        "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "SignatureDoesNotMatch"
        | "InvalidSignatureException"
        | "MissingAuthenticationToken" => "correct the credentials: AWS does not know them",
        _ => return None,
    })
}

fn compare(before: Timestamp, after: Timestamp, date: Option<&str>) -> Check {
    let Some(theirs) = date.and_then(|date| rfc2822::parse(date).ok()) else {
        return Check::ok(ABOUT, "it answers, without a date to compare the clock with");
    };
    let theirs = theirs.timestamp();
    // A date is cut to the second.
    let early = before.duration_since(theirs) - SignedDuration::from_secs(1);
    let late = theirs.duration_since(after);
    let skew = early.max(late).max(SignedDuration::ZERO);
    match skew <= MAX_SKEW {
        true => Check::ok(ABOUT, "it answers, and the clocks agree"),
        false => Check::error(
            ABOUT,
            format!("the clock of this host is {} s off", skew.as_secs()),
            "set it by NTP: what is due or claimed is compared across hosts",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_may_be_off_by_seconds_only() {
        let date = Some("Sat, 21 Nov 2026 10:30:03 GMT");
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let is_wrong = |text: &str| compare(at(text), at(text), date).is_error();
        assert!(!is_wrong("2026-11-21T10:30:03.9Z"));
        assert!(!is_wrong("2026-11-21T10:30:08.9Z") && !is_wrong("2026-11-21T10:29:58Z"));
        assert!(is_wrong("2026-11-21T10:30:10Z") && is_wrong("2026-11-21T10:29:57Z"));
        // An answer that took long says little.
        let slow = compare(at("2026-11-21T10:29:50Z"), at("2026-11-21T10:30:20Z"), date);
        assert!(!slow.is_error());
        assert!(!compare(at("2026-11-21T10:30:10Z"), at("2026-11-21T10:30:10Z"), None).is_error());
    }
}
