//! A GET request, for the sandbox's ledger and a stage's health.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// Everything that we ask answers in milliseconds.
const BOUND: Duration = Duration::from_secs(30);

/// An answer whose body is still to be read.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: BufReader<TcpStream>,
}

/// Asks in HTTP/1.0: the body is then sent as it is, up to the end of the connection.
pub(crate) fn get(address: SocketAddr, path: &str) -> Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, BOUND).with_context(|| format!("cannot reach {address}"))?;
    stream.set_read_timeout(Some(BOUND))?;
    stream.set_write_timeout(Some(BOUND))?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())?;
    let mut body = BufReader::new(stream);
    let mut line = String::new();
    body.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.with_context(|| format!("{address} does not speak HTTP: {line:?}"))?;
    while !line.trim_end().is_empty() {
        line.clear();
        if body.read_line(&mut line)? == 0 {
            bail!("{address} ended in the middle of its headers");
        }
    }
    Ok(Answer { status, body })
}

/// The whole body of an answer with status 200.
pub(crate) fn get_text(address: SocketAddr, path: &str) -> Result<String> {
    let mut answer = get(address, path)?;
    let mut text = String::new();
    answer.body.read_to_string(&mut text)?;
    if answer.status != 200 {
        bail!("GET {path} answered {}: {text}", answer.status);
    }
    Ok(text)
}
