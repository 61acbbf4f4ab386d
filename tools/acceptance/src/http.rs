//! One HTTP request, by hand: HTTP/1.0, so that an answer ends with its connection.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result};

const BOUND: Duration = Duration::from_secs(20);

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Body.
    pub body: String,
}

/// `GET http://HOST:PORT/PATH`.
///
/// # Errors
/// When nobody answers.
pub fn get(url: &str) -> Result<Answer> {
    send("GET", url, "")
}

/// Any request with a JSON body.
///
/// # Errors
/// When nobody answers.
pub fn send(method: &str, url: &str, body: &str) -> Result<Answer> {
    let rest = url.strip_prefix("http://").context("only http")?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut stream = TcpStream::connect(authority).with_context(|| format!("connect to {authority}"))?;
    stream.set_read_timeout(Some(BOUND))?;
    stream.set_write_timeout(Some(BOUND))?;
    // In one piece: an answer to half a request would meet the other half with a reset.
    let request = format!(
        "{method} /{path} HTTP/1.0\r\nHost: {authority}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let text = String::from_utf8_lossy(&answer);
    let (head, body) = text.split_once("\r\n\r\n").context("an answer without an end of its head")?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).context("an answer without a status")?;
    Ok(Answer { status, body: body.to_owned() })
}
