//! One request on a connection of its own: for what is not `money`, and rare.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;

use super::connect::Connector;
use super::endpoint::Endpoint;
use super::{Exchange, MoneyConfigError, connection};

/// Whom to ask, and how long.
#[derive(Clone)]
pub struct OnceSettings {
    /// `http` or `https`, without credentials, query or fragment. Shown nowhere.
    pub url: String,
    /// For a whole exchange.
    pub timeout: Duration,
    /// For connecting: name, TCP and TLS together.
    pub connect_timeout: Duration,
    /// Most bytes of an answer's body that are read.
    pub body_limit: usize,
    /// PEM file with certificates that are trusted beside the system's.
    pub ca_file: Option<PathBuf>,
}

/// Sends JSON to one URL. No redirects, no cookies, no repeats.
pub struct Once {
    endpoint: Endpoint,
    connector: Connector,
    timeout: Duration,
    body_limit: usize,
}

impl Once {
    /// Checks the settings and loads the trusted certificates; connects to nothing.
    ///
    /// # Errors
    /// [`MoneyConfigError`], the first fault that is found.
    pub fn new(settings: &OnceSettings) -> Result<Self, MoneyConfigError> {
        let endpoint = Endpoint::new(&settings.url, None)?;
        let connector = Connector::new(&endpoint, settings.connect_timeout, settings.ca_file.as_deref())?;
        Ok(Self { endpoint, connector, timeout: settings.timeout, body_limit: settings.body_limit })
    }

    /// `POST`s JSON with these headers beside the usual ones, once.
    pub async fn post(&self, headers: HeaderMap, body: Bytes) -> Exchange {
        let Some(mut request) = self.endpoint.post(body) else { return Exchange::NotBuilt };
        request.headers_mut().extend(headers);
        connection::once(&self.connector, request, self.timeout, self.body_limit).await
    }
}
