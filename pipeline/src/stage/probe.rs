//! A probe without tools: images without a shell have no curl.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;

use super::EXIT_FAILED;

/// Longest wait for each of connecting, writing and reading. Below the second that probes commonly give.
const WAIT: Duration = Duration::from_millis(900);
/// Most of an answer that is read, in bytes.
const LIMIT: u64 = 4096;

/// Asks `/livez` or `/readyz`, shows the answer, and says by its code whether it was 200.
pub(super) fn healthcheck(addr: &str, which: &str) -> ExitCode {
    match ask(addr, which) {
        Ok((ok, text)) => {
            print!("{text}");
            ExitCode::from(if ok { 0 } else { EXIT_FAILED })
        }
        Err(error) => {
            eprintln!("{addr} does not answer: {error}");
            ExitCode::from(EXIT_FAILED)
        }
    }
}

fn ask(addr: &str, which: &str) -> std::io::Result<(bool, String)> {
    let addr = reachable(addr)?;
    let mut stream = TcpStream::connect_timeout(&addr, WAIT)?;
    stream.set_read_timeout(Some(WAIT))?;
    stream.set_write_timeout(Some(WAIT))?;
    // HTTP/1.0: the answer ends with the connection.
    stream.write_all(format!("GET /{which}z HTTP/1.0\r\nHost: {addr}\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.take(LIMIT).read_to_string(&mut answer)?;
    let ok = answer.split(' ').nth(1) == Some("200");
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    Ok((ok, body.unwrap_or_default()))
}

/// The address to ask for what listens at `addr`.
fn reachable(addr: &str) -> std::io::Result<SocketAddr> {
    let mut addr = addr.to_socket_addrs()?.next().ok_or_else(|| std::io::Error::other("the name has no address"))?;
    if addr.port() == 0 {
        return Err(std::io::Error::other("port 0 is a free one, which nobody knows: set PAYOUT_METRICS_ADDR"));
    }
    if addr.ip().is_unspecified() {
        addr.set_ip(match addr {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    Ok(addr)
}
