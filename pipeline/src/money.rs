//! The external `money` service: one HTTP client, and one place that says what its answers prove.
//!
//! [`Money`] is what a process shares; a [`Connection`] belongs to one worker task and holds at most one
//! kept-alive HTTP/1.1 connection, so the hot path has neither a pool nor a lock. What came of an exchange
//! is an [`Exchange`], by the phase it reached; [`Contract::classify`] maps each of them to a
//! [`Verdict`](crate::domain::outcome::Verdict), and whatever it does not know to `Unknown`.
//!
//! Deliberately absent: redirects, cookies, proxies from the environment, retries. A request is sent anew
//! only where the kept-alive connection was found closed before any byte of it was handed over.

mod body;
pub mod classify;
mod connect;
mod connection;
mod endpoint;
mod envelope;
pub mod exchange;
mod once;
mod tls;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use body::charge_body;
pub use classify::Contract;
pub use connection::Connection;
pub use exchange::{BodyProblem, ConnectProblem, Exchange, Silence};
pub use once::{Once, OnceSettings};

use connect::Connector;
use endpoint::Endpoint;

/// How to reach `money`, and what is agreed with it.
#[derive(Clone)]
pub struct Settings {
    /// Base URL, `http` or `https`, with or without a path.
    pub url: String,
    /// Bearer token. Shown nowhere.
    pub token: Option<String>,
    /// For a whole exchange: connecting, sending and reading the answer to its end.
    pub timeout: Duration,
    /// For connecting: name, TCP and TLS together.
    pub connect_timeout: Duration,
    /// The only `errorCode`s that are final refusals.
    pub final_error_codes: Vec<String>,
    /// Most bytes of an answer's body that are read; see [`BODY_LIMIT`].
    pub body_limit: usize,
    /// The zone whose local time a voucher's expiry is stored in.
    pub time_zone: chrono_tz::Tz,
    /// PEM file with certificates that are trusted beside the system's.
    pub ca_file: Option<PathBuf>,
}

/// Default of [`Settings::body_limit`]: an answer has some 200 bytes; what is larger is no answer.
pub const BODY_LIMIT: usize = 64 * 1024;

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("timeout", &self.timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("final_error_codes", &self.final_error_codes)
            .field("body_limit", &self.body_limit)
            .field("time_zone", &self.time_zone)
            .field("ca_file", &self.ca_file)
            .finish_non_exhaustive()
    }
}

/// Why the settings cannot be used. Never shows the URL or the token: both may hold a secret.
#[derive(Debug, thiserror::Error)]
pub enum MoneyConfigError {
    /// The base URL.
    #[error("the URL of money {0}")]
    Url(&'static str),
    /// The token cannot stand in a header.
    #[error("the token of money holds characters that cannot stand in an HTTP header")]
    Token,
    /// A bound is zero.
    #[error("{0} of money must be above zero")]
    Zero(&'static str),
    /// A listed code that is malformed, or that says something else than a refusal.
    #[error("{0:?} cannot be on the list of final refusals of money")]
    FinalCode(String),
    /// The CA file.
    #[error("cannot read certificates from {}: {reason}", path.display())]
    CaFile {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Nobody would be trusted.
    #[error("the system has no trusted certificates, and no CA file is configured")]
    NoRoots,
    /// TLS itself.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
}

/// The money service, shared by all workers of a process.
#[derive(Clone)]
pub struct Money {
    shared: Arc<Shared>,
}

/// What all connections read and none changes.
struct Shared {
    endpoint: Endpoint,
    connector: Connector,
    contract: Contract,
    timeout: Duration,
    body_limit: usize,
}

impl Money {
    /// Checks the settings and loads the trusted certificates; connects to nothing.
    ///
    /// # Errors
    /// [`MoneyConfigError`], the first fault that is found.
    pub fn new(settings: Settings) -> Result<Self, MoneyConfigError> {
        for (name, zero) in [
            ("timeout", settings.timeout.is_zero()),
            ("connect_timeout", settings.connect_timeout.is_zero()),
            ("body_limit", settings.body_limit == 0),
        ] {
            if zero {
                return Err(MoneyConfigError::Zero(name));
            }
        }
        let endpoint = Endpoint::new(&settings.url, settings.token.as_deref())?;
        let connector = Connector::new(&endpoint, settings.connect_timeout, settings.ca_file.as_deref())?;
        let contract = Contract::new(settings.final_error_codes, settings.time_zone)?.hiding(settings.token.clone());
        let (timeout, body_limit) = (settings.timeout, settings.body_limit);
        Ok(Self { shared: Arc::new(Shared { endpoint, connector, contract, timeout, body_limit }) })
    }

    /// A connection for one worker. It is made when the first request needs it.
    pub fn connection(&self) -> Connection {
        Connection::new(Arc::clone(&self.shared))
    }
}

impl fmt::Debug for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Money(…)")
    }
}
