//! Making a connection. Until [`Connector::connect`] returns, no byte of any request has left.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;

use super::endpoint::Endpoint;
use super::{ConnectProblem, MoneyConfigError, tls};

/// Why there is no connection: for the classifier, and for people.
pub(super) type NotConnected = (ConnectProblem, String);

/// Connects to the one host that there is.
pub(super) struct Connector {
    host: String,
    port: u16,
    timeout: Duration,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// A connected socket.
pub(super) struct Connected {
    pub(super) stream: Stream,
    /// The same socket, to ask the system without waiting whether it is still silent and open.
    pub(super) probe: std::net::TcpStream,
}

impl Connector {
    pub(super) fn new(endpoint: &Endpoint, timeout: Duration, ca: Option<&Path>) -> Result<Self, MoneyConfigError> {
        let host = endpoint.host.clone();
        let tls = if endpoint.encrypted {
            let name = ServerName::try_from(host.clone())
                .map_err(|_| MoneyConfigError::Url("has a host that no certificate can name"))?;
            Some((tls::connector(ca)?, name))
        } else {
            None
        };
        Ok(Self { host, port: endpoint.port, timeout, tls })
    }

    /// Connects before `deadline` and within the connect timeout, whichever comes first.
    pub(super) async fn connect(&self, deadline: Instant) -> Result<Connected, NotConnected> {
        let until = deadline.min(Instant::now() + self.timeout);
        let late = |what: &str| (ConnectProblem::Timeout, format!("{what} took too long"));
        let addresses = timeout_at(until, self.addresses()).await.map_err(|_| late("the name look-up"))??;
        let tcp = first_that_connects(&addresses, until).await?;
        let (tcp, probe) = twice(tcp).map_err(io_problem)?;
        let stream = match &self.tls {
            None => Stream::Plain(tcp),
            Some((connector, name)) => {
                let handshake = timeout_at(until, connector.connect(name.clone(), tcp)).await;
                let stream = handshake
                    .map_err(|_| late("the TLS handshake"))?
                    .map_err(|error| (tls::problem(&error), error.to_string()))?;
                Stream::Tls(Box::new(stream))
            }
        };
        Ok(Connected { stream, probe })
    }

    async fn addresses(&self) -> Result<Vec<SocketAddr>, NotConnected> {
        if let Ok(address) = self.host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, self.port)]);
        }
        let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await;
        let found: Vec<_> = found.map_err(|error| (ConnectProblem::Dns, error.to_string()))?.collect();
        if found.is_empty() { Err((ConnectProblem::Dns, "the name has no address".to_owned())) } else { Ok(found) }
    }
}

/// Tries the addresses in order; one that is silent gets its share of the time, not all of it.
async fn first_that_connects(addresses: &[SocketAddr], until: Instant) -> Result<TcpStream, NotConnected> {
    let mut last = (ConnectProblem::Dns, "the name has no address".to_owned());
    for (tried, address) in addresses.iter().enumerate() {
        let left = until.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        match timeout_at(Instant::now() + share, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => return Ok(tcp),
            Ok(Err(error)) => last = io_problem(error),
            Err(_) => last = (ConnectProblem::Timeout, "connecting took too long".to_owned()),
        }
    }
    Err(last)
}

/// The socket, with small writes sent at once, and a second handle on it.
fn twice(tcp: TcpStream) -> io::Result<(TcpStream, std::net::TcpStream)> {
    tcp.set_nodelay(true)?;
    let tcp = tcp.into_std()?;
    let probe = tcp.try_clone()?;
    Ok((TcpStream::from_std(tcp)?, probe))
}

fn io_problem(error: io::Error) -> NotConnected {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    let problem = match error.kind() {
        io::ErrorKind::ConnectionRefused => ConnectProblem::Refused,
        io::ErrorKind::TimedOut => ConnectProblem::Timeout,
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::OutOfMemory => ConnectProblem::LocalLimit,
        _ if matches!(error.raw_os_error(), Some(ENFILE | EMFILE)) => ConnectProblem::LocalLimit,
        _ => ConnectProblem::Unreachable,
    };
    (problem, error.to_string())
}

/// A socket, encrypted or not.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }
}
