//! A client that shows exactly what came over the connection, also when it broke.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use money_sandbox::faults::Faults;
use money_sandbox::{Sandbox, Settings};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

/// No answer of these tests takes longer.
const LIMIT: Duration = Duration::from_secs(20);
const POLL_EVERY: Duration = Duration::from_millis(5);

/// What came back.
#[derive(Debug)]
pub struct Reply {
    /// 0 when not even a status line came.
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
    /// The connection was reset.
    pub reset: bool,
    pub took: Duration,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn money_key(&self) -> String {
        let json = self.json();
        assert_eq!(json["meta"]["result"], "SUCCESS", "{self:?}");
        json["data"]["moneyKey"].as_str().unwrap().to_owned()
    }

    pub fn error_code(&self) -> String {
        let json = self.json();
        assert_eq!(json["meta"]["result"], "FAIL", "{self:?}");
        json["meta"]["errorCode"].as_str().unwrap().to_owned()
    }

    fn announced(&self) -> Option<usize> {
        self.head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            (name == "content-length").then(|| value.parse().unwrap())
        })
    }

    /// Fewer bytes came than were announced.
    pub fn is_cut_short(&self) -> bool {
        self.announced().is_some_and(|n| self.body.len() < n)
    }
}

#[derive(Debug, Clone)]
pub struct Client {
    pub addr: SocketAddr,
    pub token: &'static str,
}

impl Client {
    pub fn of(sandbox: &Sandbox) -> Self {
        Self::at(sandbox.addr())
    }

    pub fn at(addr: SocketAddr) -> Self {
        Self { addr, token: "sandbox" }
    }

    /// Sends on a connection of its own and reads until the other side closes it.
    pub async fn send(&self, method: &str, path: &str, key: Option<&str>, body: &str) -> Reply {
        let key = key.map_or(String::new(), |key| format!("Idempotency-Key: {key}\r\n"));
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: money\r\nAuthorization: Bearer {}\r\n{key}\
             Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
            self.token,
            body.len()
        );
        timeout(LIMIT, self.exchange(request))
            .await
            .unwrap_or_else(|_| panic!("no end of {method} {path} within {LIMIT:?}"))
    }

    async fn exchange(&self, request: String) -> Reply {
        let start = Instant::now();
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        let mut reset = stream.write_all(request.as_bytes()).await.is_err();
        let mut bytes = Vec::new();
        if let Err(error) = stream.read_to_end(&mut bytes).await {
            reset |= error.kind() == std::io::ErrorKind::ConnectionReset;
        }
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let (head, body) = match end {
            Some(at) => (&bytes[..at], &bytes[at + 4..]),
            None => (&bytes[..], &[][..]),
        };
        let head = String::from_utf8_lossy(head).to_lowercase();
        Reply {
            status: head.split(' ').nth(1).map_or(0, |status| status.parse().unwrap()),
            body: body.to_vec(),
            head,
            reset,
            took: start.elapsed(),
        }
    }

    /// Charges 10000.50 points to customer 7 of campaign `spring`.
    pub async fn charge(&self, key: &str) -> Reply {
        self.charge_with(key, &point("10000.50")).await
    }

    pub async fn charge_with(&self, key: &str, body: &str) -> Reply {
        let path = "/internal/v1/campaigns/point/charge";
        self.send("POST", path, Some(key), body).await
    }

    pub async fn voucher(&self, key: &str) -> Reply {
        let path = "/internal/v1/campaigns/voucher/charge";
        let body = r#"{"customerUid":7,"merchantCode":"m","campaignCode":"spring","amount":10000,
            "voucherNumber":"v1","description":"so be it","expiredAt":"2027-02-28","isWithdrawal":false}"#;
        self.send("POST", path, Some(key), body).await
    }

    pub async fn look_up(&self, key: &str) -> Reply {
        let path = format!("/internal/v1/campaigns/charges/{key}");
        self.send("GET", &path, None, "").await
    }

    pub async fn cancel(&self, key: &str) -> Reply {
        let path = format!("/internal/v1/campaigns/charges/{key}/cancel");
        self.send("POST", &path, None, "").await
    }

    pub async fn get(&self, path: &str) -> Value {
        self.send("GET", path, None, "").await.json()
    }

    pub async fn ledger(&self, query: &str) -> Vec<Value> {
        let reply = self.send("GET", &format!("/ledger{query}"), None, "").await;
        assert_eq!(reply.status, 200);
        unchunk(&reply)
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    }
}

/// The content of a chunked body.
fn unchunk(reply: &Reply) -> Vec<u8> {
    let mut rest = &reply.body[..];
    let mut whole = Vec::new();
    loop {
        let at = rest.windows(2).position(|two| two == b"\r\n").unwrap();
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..at]).unwrap(), 16).unwrap();
        if size == 0 {
            return whole;
        }
        whole.extend_from_slice(&rest[at + 2..at + 2 + size]);
        rest = &rest[at + 4 + size..];
    }
}

pub fn point(amount: &str) -> String {
    format!(
        r#"{{"customerUid":7,"merchantCode":"m","campaignCode":"spring","amount":{amount},"description":"so be it","expiredAt":null}}"#
    )
}

/// A sandbox with faults, and a client.
pub async fn with(faults: Faults) -> (Sandbox, Client) {
    start(Settings { faults, ..Settings::default() }).await
}

pub async fn start(settings: Settings) -> (Sandbox, Client) {
    let sandbox = Sandbox::start(settings).await.unwrap();
    let client = Client::of(&sandbox);
    (sandbox, client)
}

/// Asks again until the condition holds.
pub async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < LIMIT, "waited in vain for: {what}");
        sleep(POLL_EVERY).await;
    }
}
