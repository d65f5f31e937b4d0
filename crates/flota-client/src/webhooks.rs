//! Verifying what the server posts to a callback URL.

use std::ops::RangeInclusive;

use flota_api::CallbackBody;
use http::HeaderMap;
use standardwebhooks::Webhook;

/// How a secret begins.
const PREFIX: &str = "whsec_";
/// Lengths in base64, with or without padding, of the 24 to 64 bytes of a secret.
const LENGTHS: RangeInclusive<usize> = 32..=88;

/// Verifies callbacks by the secrets that the server signs with (Standard Webhooks 1.0).
///
/// ```
/// use flota_client::Webhooks;
///
/// let webhooks = Webhooks::new(["whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"])?;
/// // In the handler of the callback URL, with the headers and the exact bytes of the body:
/// # let (headers, body) = (http::HeaderMap::new(), b"{}");
/// match webhooks.verify(&headers, body) {
///     Ok(callback) => println!("{} is {}", callback.data.request, callback.data.status),
///     Err(error) => println!("answer 400: {error}"),
/// }
/// # Ok::<(), flota_client::WebhooksError>(())
/// ```
pub struct Webhooks {
    secrets: Vec<Webhook>,
}

/// Why a callback is not to be trusted, or not understood.
#[derive(Debug, thiserror::Error)]
pub enum WebhooksError {
    /// A secret is not `whsec_` and at least 24 bytes in base64. An empty one would accept what anybody signs.
    #[error("the secret for callbacks is not `whsec_` and 24 to 64 bytes in base64")]
    Secret,
    /// A header is missing, the time is not ours, or no secret made the signature.
    #[error("the callback is not signed by a known secret")]
    Signature(#[source] standardwebhooks::WebhookError),
    /// It is signed, and no callback of this version.
    #[error("the body is not that of a callback")]
    Body(#[source] serde_json::Error),
}

impl Webhooks {
    /// A verifier that accepts each of `secrets`: while a secret is rotated there are two.
    ///
    /// # Errors
    /// If one is not `whsec_` and 24 to 64 bytes in base64. Without any secret nothing is accepted.
    pub fn new<S: AsRef<str>>(secrets: impl IntoIterator<Item = S>) -> Result<Self, WebhooksError> {
        let secret = |text: S| {
            let text = text.as_ref();
            let is_long_enough =
                text.strip_prefix(PREFIX).is_some_and(|key| LENGTHS.contains(&key.len()));
            let secret = is_long_enough.then(|| Webhook::new(text).ok()).flatten();
            secret.ok_or(WebhooksError::Secret)
        };
        Ok(Self { secrets: secrets.into_iter().map(secret).collect::<Result<_, _>>()? })
    }

    /// Verifies the signature over the exact bytes of `body`, and that it was made within the last five minutes, and
    /// reads the body. The same callback may come more than once, with the same `webhook-id`.
    ///
    /// # Errors
    /// If no secret made the signature, or the body cannot be read.
    pub fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<CallbackBody, WebhooksError> {
        let mut refused = standardwebhooks::WebhookError::InvalidSignature;
        for secret in &self.secrets {
            match secret.verify(body, headers) {
                Ok(()) => return serde_json::from_slice(body).map_err(WebhooksError::Body),
                Err(error) => refused = error,
            }
        }
        Err(WebhooksError::Signature(refused))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;

    const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    const OTHER: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const BODY: &str = r#"{"type":"request.finished","timestamp":"2026-11-21T10:00:00Z","data":{"request":"req_01a1fc26bc9979c9a01869fe472fb51e","round":1,"status":"failed","counts":{"total":1,"open":0,"succeeded":0,"failed":1,"expired":0,"canceled":0},"url":"http://a/v1/requests/1","outcomes":[{"n":0,"image":{"url":"https://a/b"},"model":"cat","outcome":"failed","code":"DECODE_CORRUPT","message":"cut off"}]}}"#;

    fn signed(secret: &str) -> HeaderMap {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
        let signature = Webhook::new(secret).unwrap().sign("msg_1", at, BODY.as_bytes()).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("webhook-id", "msg_1".parse().unwrap());
        headers.insert("webhook-timestamp", at.to_string().parse().unwrap());
        headers.insert("webhook-signature", signature.parse().unwrap());
        headers
    }

    #[test]
    fn a_callback_is_read_where_one_of_the_secrets_signed_it() {
        let webhooks = Webhooks::new([SECRET, OTHER]).unwrap();
        for secret in [SECRET, OTHER] {
            let callback = webhooks.verify(&signed(secret), BODY.as_bytes()).unwrap();
            assert_eq!(serde_json::to_string(&callback).unwrap(), BODY);
        }
    }

    #[test]
    fn nothing_else_is_accepted() {
        let webhooks = Webhooks::new([SECRET]).unwrap();
        let is_refused = |headers: &HeaderMap, body: &str| {
            matches!(webhooks.verify(headers, body.as_bytes()), Err(WebhooksError::Signature(_)))
        };
        assert!(is_refused(&signed(OTHER), BODY));
        assert!(is_refused(&signed(SECRET), &BODY.replace("failed", "succeeded")));
        assert!(is_refused(&HeaderMap::new(), BODY));
        for secret in ["no secret", "", "whsec_", "whsec_c2hvcnQ=", &SECRET[6..]] {
            assert!(Webhooks::new([secret]).is_err(), "{secret:?}");
        }
    }
}
