//! What the sandbox says of itself: its admin paths, asked with HTTP/1.0.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Everything that we ask is answered in milliseconds.
const BOUND: Duration = Duration::from_secs(30);

/// The JSON that a path answers with.
pub fn json(address: SocketAddr, method: &str, path: &str, body: &str) -> Result<Value> {
    let text = text(address, method, path, body)?;
    serde_json::from_str(&text).with_context(|| format!("{path} answered no JSON: {text}"))
}

/// The body of an answer with status 200.
pub fn text(address: SocketAddr, method: &str, path: &str, body: &str) -> Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, BOUND).with_context(|| format!("cannot reach {address}"))?;
    stream.set_read_timeout(Some(BOUND))?;
    let length = body.len();
    write!(stream, "{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Length: {length}\r\n\r\n{body}")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").with_context(|| format!("{address} does not speak HTTP"))?;
    if head.split(' ').nth(1) != Some("200") {
        bail!("{method} {path} answered {answer}");
    }
    Ok(body.to_owned())
}
