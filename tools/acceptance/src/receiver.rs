//! Who is told by webhook: a little server that takes messages, or does not, as a test says.
//!
//! It checks signatures by code of its own: HMAC as RFC 2104 writes it down, and base64 by hand.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The secret that tests share with the stages.
pub const WEBHOOK_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A message as it came in, whatever was answered.
#[derive(Clone, Debug)]
pub struct Message {
    /// `webhook-id`.
    pub id: String,
    /// Whether the signature is that of the body under the secret.
    pub signed: bool,
    /// The body as it came.
    pub text: String,
    /// The status that it was answered with; 0 for no answer.
    pub answered: u16,
}

impl Message {
    /// The body.
    ///
    /// # Panics
    /// When it is no JSON.
    pub fn body(&self) -> Value {
        serde_json::from_str(&self.text).expect("a JSON body")
    }
}

#[derive(Default)]
struct Inner {
    messages: Vec<Message>,
    next: VecDeque<u16>,
    always: Option<u16>,
}

/// A running receiver, until it is dropped.
pub struct Receiver {
    inner: Arc<Mutex<Inner>>,
    address: SocketAddr,
    _runtime: tokio::runtime::Runtime,
}

impl Receiver {
    /// Starts one that takes everything.
    ///
    /// # Panics
    /// When it cannot.
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let inner = Arc::new(Mutex::new(Inner::default()));
        let listener = runtime.block_on(tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).expect("a port");
        let address = listener.local_addr().expect("an address");
        let router = Router::new().route("/hook", post(take)).with_state(Arc::clone(&inner));
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { inner, address, _runtime: runtime }
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// Answers the next messages with these, then 200. 0 answers nothing for a minute.
    pub fn answer(&self, statuses: &[u16]) {
        self.with(|inner| inner.next.extend(statuses));
    }

    /// Answers every message with this from now on; nothing for 200 as ever.
    pub fn always(&self, status: Option<u16>) {
        self.with(|inner| inner.always = status);
    }

    /// What came in so far.
    pub fn messages(&self) -> Vec<Message> {
        self.with(|inner| inner.messages.clone())
    }

    fn with<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        work(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn take(State(inner): State<Arc<Mutex<Inner>>>, headers: HeaderMap, body: Bytes) -> Response {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let (id, timestamp, signature) = (header("webhook-id"), header("webhook-timestamp"), header("webhook-signature"));
    let text = String::from_utf8_lossy(&body).into_owned();
    let answered = {
        let mut inner = inner.lock().unwrap_or_else(PoisonError::into_inner);
        let answered = inner.next.pop_front().or(inner.always).unwrap_or(200);
        let signed = signature == format!("v1,{}", sign(&format!("{id}.{timestamp}.{text}")));
        inner.messages.push(Message { id, signed, text, answered });
        answered
    };
    if answered == 0 {
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    let status = StatusCode::from_u16(answered).unwrap_or(StatusCode::OK);
    (status, [("location", "/elsewhere")], "an answer that nobody reads").into_response()
}

/// base64(HMAC-SHA256): the hash of the outer padding and the hash of the inner padding and the text.
fn sign(text: &str) -> String {
    let key = decoded(WEBHOOK_SECRET.trim_start_matches("whsec_"));
    let padded = |with: u8| -> Vec<u8> { (0..64).map(|at| key.get(at).copied().unwrap_or(0) ^ with).collect() };
    let inner = Sha256::new().chain_update(padded(0x36)).chain_update(text).finalize();
    encoded(&Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize())
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn decoded(text: &str) -> Vec<u8> {
    let digit = |byte: &u8| DIGITS.iter().position(|digit| digit == byte);
    let bits: String = text.as_bytes().iter().filter_map(digit).map(|digit| format!("{digit:06b}")).collect();
    bits.as_bytes().chunks_exact(8).map(|bits| bits.iter().fold(0, |byte, bit| byte * 2 + (bit - b'0'))).collect()
}

fn encoded(bytes: &[u8]) -> String {
    let mut bits: String = bytes.iter().map(|byte| format!("{byte:08b}")).collect();
    while !bits.len().is_multiple_of(6) {
        bits.push('0');
    }
    let digit = |bits: &[u8]| char::from(DIGITS[bits.iter().fold(0, |digit, bit| digit * 2 + usize::from(bit - b'0'))]);
    let mut text: String = bits.as_bytes().chunks(6).map(digit).collect();
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}
