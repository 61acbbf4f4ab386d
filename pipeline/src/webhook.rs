//! Telling the outside, signed by the convention of Standard Webhooks.
//!
//! A message is a `POST` of JSON with the headers `webhook-id` (the same at every attempt, so that receivers know
//! repeats), `webhook-timestamp` (seconds since 1970, so that they can refuse old ones) and `webhook-signature`:
//! `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body` with the key in the secret. Any answer of 2xx means
//! that the message arrived; everything else, a redirect too, that it is sent again.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, Mac};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use sha2::Sha256;

use crate::config::WebhookConfig;
use crate::domain::retry::Backoff;
use crate::money::{Exchange, MoneyConfigError, Once, OnceSettings};

/// Most bytes of an answer that are read: what it says does not matter.
const ANSWER_LIMIT: usize = 64 * 1024;
const SECRET_PREFIX: &str = "whsec_";
const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// Whom to tell, and how.
pub struct Webhook {
    to: Once,
    key: Vec<u8>,
    backoff: Backoff,
    max_attempts: u32,
}

/// Why the outside cannot be told. Never shows the URL or the secret.
#[derive(Debug, thiserror::Error)]
pub enum WebhookConfigError {
    /// The URL.
    #[error("the URL of the webhook {0}")]
    Url(&'static str),
    /// The secret is not `whsec_` and 24 to 64 bytes in base64.
    #[error("the secret of the webhook must be whsec_ and 24 to 64 bytes in base64")]
    Secret,
    /// TLS or certificates.
    #[error("the webhook's {0}")]
    Tls(String),
}

/// What became of a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Delivery {
    /// The receiver has it.
    Delivered(StatusCode),
    /// It was answered otherwise.
    Refused(StatusCode),
    /// There was no answer: why, as a code.
    NoAnswer(&'static str),
}

impl Delivery {
    /// For people: the status, or why there is none.
    pub fn answer(&self) -> String {
        match self {
            Self::Delivered(status) | Self::Refused(status) => format!("HTTP {}", status.as_u16()),
            Self::NoAnswer(code) => (*code).to_owned(),
        }
    }
}

impl Webhook {
    /// Whom the configuration names; nobody where it names none. Connects to nothing.
    ///
    /// # Errors
    /// [`WebhookConfigError`].
    pub fn new(config: &WebhookConfig) -> Result<Option<Self>, WebhookConfigError> {
        if config.url.is_empty() {
            return Ok(None);
        }
        let key = key_of(config.secret.expose()).ok_or(WebhookConfigError::Secret)?;
        let settings = OnceSettings {
            url: config.url.expose().to_owned(),
            timeout: config.timeout,
            connect_timeout: config.connect_timeout,
            body_limit: ANSWER_LIMIT,
            ca_file: config.ca_file.clone(),
        };
        let to = Once::new(&settings).map_err(|error| match error {
            MoneyConfigError::Url(what) => WebhookConfigError::Url(what),
            other @ (MoneyConfigError::Token
            | MoneyConfigError::Zero(_)
            | MoneyConfigError::FinalCode(_)
            | MoneyConfigError::CaFile { .. }
            | MoneyConfigError::NoRoots
            | MoneyConfigError::Tls(_)) => WebhookConfigError::Tls(other.to_string()),
        })?;
        let backoff = Backoff { base: config.backoff_base, cap: config.backoff_cap };
        Ok(Some(Self { to, key, backoff, max_attempts: config.max_attempts }))
    }

    /// Sends a message once. Repeating is harmless: the receiver knows the id.
    pub async fn send(&self, id: &str, body: &str) -> Delivery {
        let timestamp = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs()).to_string();
        let signature = format!("v1,{}", signature(&self.key, id, &timestamp, body));
        let mut headers = HeaderMap::new();
        for (name, value) in [(ID, id), (TIMESTAMP, &timestamp), (SIGNATURE, &signature)] {
            let Ok(value) = HeaderValue::from_str(value) else { return Delivery::NoAnswer("REQUEST_NOT_BUILT") };
            headers.insert(name, value);
        }
        match self.to.post(headers, Bytes::copy_from_slice(body.as_bytes())).await {
            Exchange::Complete { status, .. } | Exchange::HeadersOnly { status, .. } if status.is_success() => {
                Delivery::Delivered(status)
            }
            Exchange::Complete { status, .. } | Exchange::HeadersOnly { status, .. } => Delivery::Refused(status),
            Exchange::NotBuilt => Delivery::NoAnswer("REQUEST_NOT_BUILT"),
            Exchange::NotConnected { problem, .. } => Delivery::NoAnswer(problem.code()),
            Exchange::NoAnswer(silence) => Delivery::NoAnswer(silence.code()),
        }
    }

    /// How long to wait behind a failed attempt, or nothing when it was the last.
    pub fn pause(&self, notification: i64, attempts: u32) -> Option<Duration> {
        (attempts < self.max_attempts).then(|| self.backoff.delay_of(notification, attempts.saturating_sub(1)))
    }
}

/// The key in a secret; nothing where it is none.
pub(crate) fn key_of(secret: &str) -> Option<Vec<u8>> {
    let key = STANDARD.decode(secret.strip_prefix(SECRET_PREFIX)?).ok()?;
    (24..=64).contains(&key.len()).then_some(key)
}

fn signature(key: &[u8], id: &str, timestamp: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in [id, ".", timestamp, ".", body] {
        mac.update(part.as_bytes());
    }
    STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's own libraries.
    #[test]
    fn messages_are_signed_as_standard_webhooks_says() {
        let key = key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let (id, timestamp) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330");
        let signed = signature(&key, id, timestamp, r#"{"test": 2432232314}"#);
        assert_eq!(signed, "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_that_is_short_or_no_secret_at_all_is_refused() {
        for bad in ["", "whsec_", "whsec_c2hvcnQ=", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_not base64 at all, no"] {
            assert_eq!(key_of(bad), None, "{bad}");
        }
    }
}
