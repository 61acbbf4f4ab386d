//! What came of one exchange with `money`, by the phase that it reached.
//!
//! The phase is what counts: before it, no byte of the request had left, and nothing can have been
//! executed; after it, everything may have been.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

/// How far an exchange came.
#[derive(Clone, Debug)]
pub enum Exchange {
    /// The request itself cannot be written down (a path or key that no URL or header can hold). Nothing was sent.
    NotBuilt,
    /// No byte of the request was sent.
    NotConnected {
        /// Why.
        problem: ConnectProblem,
        /// The same for people; holds no key and no body.
        detail: String,
    },
    /// Bytes of the request may have been sent; not even the head of an answer came.
    NoAnswer(Silence),
    /// The head of an answer came, its body did not.
    HeadersOnly {
        /// Its status.
        status: StatusCode,
        /// Its headers.
        headers: HeaderMap,
        /// What became of the body.
        problem: BodyProblem,
    },
    /// An answer came.
    Complete {
        /// Its status.
        status: StatusCode,
        /// Its headers.
        headers: HeaderMap,
        /// Its body, whole.
        body: Bytes,
    },
}

/// Why there is no connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ConnectProblem {
    /// Nobody listens.
    Refused,
    /// The name has no address.
    Dns,
    /// Connecting took too long.
    Timeout,
    /// No route, reset while connecting and the like.
    Unreachable,
    /// Files, ports or addresses of this host are used up.
    LocalLimit,
    /// The other side spoke no TLS that we accept, or broke it off.
    TlsHandshake,
    /// The other side's certificate is not trusted, expired or another's.
    TlsCertificate,
    /// The connection was closed before the request was handed to it.
    ClosedBeforeUse,
}

impl ConnectProblem {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Refused,
        Self::Dns,
        Self::Timeout,
        Self::Unreachable,
        Self::LocalLimit,
        Self::TlsHandshake,
        Self::TlsCertificate,
        Self::ClosedBeforeUse,
    ];

    /// Its code in an answer.
    pub fn code(self) -> &'static str {
        match self {
            Self::Refused => "CONNECT_REFUSED",
            Self::Dns => "CONNECT_DNS",
            Self::Timeout => "CONNECT_TIMEOUT",
            Self::Unreachable => "CONNECT_UNREACHABLE",
            Self::LocalLimit => "CONNECT_LOCAL_LIMIT",
            Self::TlsHandshake => "TLS_HANDSHAKE",
            Self::TlsCertificate => "TLS_CERTIFICATE",
            Self::ClosedBeforeUse => "CONNECT_CLOSED",
        }
    }
}

/// Why not even the head of an answer came.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Silence {
    /// The connection was closed.
    Eof,
    /// The connection was reset.
    Reset,
    /// Sending failed.
    WriteFailed,
    /// The time was up.
    Timeout,
    /// What came is not HTTP.
    NotHttp,
}

impl Silence {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Eof, Self::Reset, Self::WriteFailed, Self::Timeout, Self::NotHttp];

    /// Its code in an answer.
    pub fn code(self) -> &'static str {
        match self {
            Self::Eof => "NO_ANSWER_EOF",
            Self::Reset => "NO_ANSWER_RESET",
            Self::WriteFailed => "WRITE_FAILED",
            Self::Timeout => "TIMEOUT",
            Self::NotHttp => "NOT_HTTP",
        }
    }
}

/// What became of a body that is not there.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum BodyProblem {
    /// It ended early, or its framing is broken.
    Truncated,
    /// It is longer than the limit.
    TooLong,
    /// The time was up.
    Timeout,
}

impl BodyProblem {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Truncated, Self::TooLong, Self::Timeout];

    /// Its code in an answer.
    pub fn code(self) -> &'static str {
        match self {
            Self::Truncated => "BODY_TRUNCATED",
            Self::TooLong => "BODY_TOO_LONG",
            Self::Timeout => "BODY_TIMEOUT",
        }
    }
}
