//! A money service that does exactly what a script says, byte by byte: one script for each connection, in
//! the order in which they are accepted. It keeps every request it read.

#![allow(dead_code)]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use pipeline::domain::CustomerUid;
use pipeline::domain::outcome::Answer;
use pipeline::keys::IdempotencyKey;
use pipeline::money::{BODY_LIMIT, Connection, Money, Settings};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

pub const PATH: &str = "/internal/v1/campaigns/point/charge";
pub const PAID: &str = r#"{"data":{"moneyKey":"mk1"},"meta":{"result":"SUCCESS"}}"#;

/// What a script does next.
#[derive(Clone, Debug)]
pub enum Step {
    /// Reads one request to its end.
    Read,
    /// Sends all of it.
    Send(String),
    /// Sends a byte at a time, one in 20 ms.
    Drip(String),
    /// Sends the text until the other side closes.
    Flood(String),
    /// Closes the connection in an orderly way (also at the end of every script).
    Close,
    /// Resets the connection.
    Reset,
    /// Says nothing until the other side closes.
    Hang,
}

/// What the server saw, and its address.
pub struct Server {
    pub address: SocketAddr,
    pub seen: Arc<Seen>,
}

/// What the server saw.
#[derive(Default)]
pub struct Seen {
    pub connections: AtomicUsize,
    pub requests: Mutex<Vec<String>>,
    /// Told when a request was read, and when a connection ended.
    pub read: Notify,
    pub ended: Notify,
}

impl Server {
    pub async fn start(scripts: Vec<Vec<Step>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let witness = Arc::clone(&seen);
        tokio::spawn(async move {
            let mut scripts = scripts.into_iter();
            while let Ok((socket, _)) = listener.accept().await {
                witness.connections.fetch_add(1, Ordering::SeqCst);
                let script = scripts.next().unwrap_or_default();
                tokio::spawn(play(socket, script, Arc::clone(&witness)));
            }
        });
        Self { address, seen }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    pub fn requests(&self) -> Vec<String> {
        self.seen.requests.lock().unwrap().clone()
    }

    /// A worker's connection to it, with a deadline that tests can wait for.
    pub fn connection(&self) -> Connection {
        Money::new(settings(self.url())).unwrap().connection()
    }
}

async fn play(mut socket: TcpStream, script: Vec<Step>, seen: Arc<Seen>) {
    socket.set_nodelay(true).unwrap();
    for step in script {
        if let Step::Reset = step {
            socket.set_zero_linger().unwrap();
            break;
        }
        if !step_on(&mut socket, step, &seen).await {
            break;
        }
    }
    drop(socket);
    seen.ended.notify_one();
}

/// Whether the script goes on.
pub async fn step_on<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut S, step: Step, seen: &Seen) -> bool {
    match step {
        Step::Read => match read_request(socket).await {
            Some(request) => {
                seen.requests.lock().unwrap().push(request);
                seen.read.notify_one();
                true
            }
            None => false,
        },
        Step::Send(text) => socket.write_all(text.as_bytes()).await.is_ok(),
        Step::Drip(text) => {
            for byte in text.bytes() {
                tokio::time::sleep(Duration::from_millis(20)).await;
                if socket.write_all(&[byte]).await.is_err() {
                    return false;
                }
            }
            true
        }
        Step::Flood(text) => {
            while socket.write_all(text.as_bytes()).await.is_ok() {}
            false
        }
        Step::Hang => {
            while socket.read(&mut [0; 256]).await.is_ok_and(|length| length > 0) {}
            false
        }
        Step::Close | Step::Reset => false,
    }
}

async fn read_request<S: AsyncRead + Unpin>(socket: &mut S) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.map_or(0, |length| length.parse().unwrap());
            if bytes.len() >= end + 4 + length {
                return Some(String::from_utf8(bytes).unwrap());
            }
        }
        let mut buffer = [0; 4096];
        match socket.read(&mut buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(length) => bytes.extend_from_slice(&buffer[..length]),
        }
    }
}

pub fn settings(url: String) -> Settings {
    Settings {
        url,
        token: Some("secret-token".to_owned()),
        timeout: Duration::from_secs(1),
        connect_timeout: Duration::from_millis(300),
        final_error_codes: vec!["CLOSED".to_owned()],
        body_limit: BODY_LIMIT,
        time_zone: chrono_tz::Asia::Seoul,
        ca_file: None,
    }
}

/// An answer with a length.
pub fn answer(status: &str, body: &str) -> Step {
    let length = body.len();
    Step::Send(format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"))
}

/// A payment whose key tells which answer it was.
pub fn paid(money_key: &str) -> Step {
    answer("200 OK", &PAID.replace("mk1", money_key))
}

pub fn key(customer: i64) -> IdempotencyKey {
    IdempotencyKey::new("SPRING", CustomerUid(customer), 1)
}

pub async fn charge(connection: &mut Connection, customer: i64) -> Answer {
    connection.charge(PATH, &key(customer), Bytes::from(format!("{{\"customerUid\":{customer}}}"))).await
}

pub fn money_key(answer: &Answer) -> Option<&str> {
    answer.receipt.as_ref().map(|receipt| receipt.money_key.as_str())
}
