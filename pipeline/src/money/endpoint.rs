//! Where `money` is, and what every request to it carries.

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, USER_AGENT};
use http::uri::Scheme;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::Full;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::MoneyConfigError;
use crate::keys::IdempotencyKey;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const CHARGES: &str = "/internal/v1/campaigns/charges/";
/// What a URL leaves unreserved (RFC 3986, 2.3) stays as it is.
const KEY_IN_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A request that can be sent; cheap to clone.
pub(super) type Outgoing = Request<Full<Bytes>>;

/// The base URL and the headers that never change.
pub(super) struct Endpoint {
    pub(super) encrypted: bool,
    pub(super) host: String,
    pub(super) port: u16,
    prefix: String,
    headers: HeaderMap,
    /// The same with all that a charge carries; the key in it is replaced.
    charge_headers: HeaderMap,
}

impl Endpoint {
    pub(super) fn new(url: &str, token: Option<&str>) -> Result<Self, MoneyConfigError> {
        if url.contains(['?', '#', '@']) {
            return Err(MoneyConfigError::Url("must have no credentials, query or fragment"));
        }
        let uri: Uri = url.parse().map_err(|_| MoneyConfigError::Url("cannot be read"))?;
        let scheme = uri.scheme().ok_or(MoneyConfigError::Url("must begin with http:// or https://"))?;
        let encrypted = if *scheme == Scheme::HTTPS {
            true
        } else if *scheme == Scheme::HTTP {
            false
        } else {
            return Err(MoneyConfigError::Url("must begin with http:// or https://"));
        };
        let authority = uri.authority().ok_or(MoneyConfigError::Url("names no host"))?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let has_port = authority.as_str().len() > authority.host().len();
        let port = match (authority.port_u16(), has_port, encrypted) {
            (Some(0), _, _) | (None, true, _) => return Err(MoneyConfigError::Url("has no port that can be used")),
            (Some(port), _, _) => port,
            (None, false, true) => 443,
            (None, false, false) => 80,
        };
        if host.is_empty() {
            return Err(MoneyConfigError::Url("names no host"));
        }
        let mut headers = HeaderMap::new();
        let name = HeaderValue::from_str(authority.as_str()).map_err(|_| MoneyConfigError::Url("names no host"))?;
        headers.insert(HOST, name);
        headers.insert(ACCEPT, JSON);
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("payout/", env!("CARGO_PKG_VERSION"))));
        if let Some(token) = token {
            let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| MoneyConfigError::Token)?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let mut charge_headers = headers.clone();
        charge_headers.insert(CONTENT_TYPE, JSON);
        charge_headers.insert(IDEMPOTENCY_KEY, HeaderValue::from_static(""));
        let prefix = uri.path().trim_end_matches('/').to_owned();
        Ok(Self { encrypted, host, port, prefix, headers, charge_headers })
    }

    /// `POST {base}{path}`. Nothing where the path or the key cannot be written into a request.
    pub(super) fn charge(&self, path: &str, key: &IdempotencyKey, body: Bytes) -> Option<Outgoing> {
        let mut key = HeaderValue::from_str(key.as_str()).ok()?;
        key.set_sensitive(true);
        let mut headers = self.charge_headers.clone();
        headers.insert(IDEMPOTENCY_KEY, key);
        request(Method::POST, format!("{}{path}", self.prefix), headers, body)
    }

    /// `GET {base}/internal/v1/campaigns/charges/{key}`.
    pub(super) fn look_up(&self, key: &IdempotencyKey) -> Option<Outgoing> {
        let key = utf8_percent_encode(key.as_str(), KEY_IN_PATH);
        request(Method::GET, format!("{}{CHARGES}{key}", self.prefix), self.headers.clone(), Bytes::new())
    }

    /// `POST {base}/internal/v1/campaigns/charges/{key}/cancel`. It carries no `Idempotency-Key`: that key
    /// belongs to the charge's body.
    pub(super) fn cancel(&self, key: &IdempotencyKey) -> Option<Outgoing> {
        let key = utf8_percent_encode(key.as_str(), KEY_IN_PATH);
        let mut headers = self.headers.clone();
        // hyper leaves it out for an empty body; some servers then answer 411.
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        request(Method::POST, format!("{}{CHARGES}{key}/cancel", self.prefix), headers, Bytes::new())
    }
}

fn request(method: Method, path: String, headers: HeaderMap, body: Bytes) -> Option<Outgoing> {
    let uri = Uri::try_from(path).ok().filter(|uri| uri.authority().is_none() && uri.path().starts_with('/'))?;
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    Some(request)
}
