//! One worker's connection: at most one kept-alive HTTP/1.1 connection, driven by the call itself.
//!
//! No task runs in the background. A call takes the connection out of its place and puts it back only after
//! a whole answer, so that whatever ends a call early (an error, the deadline, a dropped future) closes the
//! connection too, and nobody ever reads another request's answer from it.

use std::error::Error as _;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use http_body_util::Full;
use hyper::Response;
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, Sleep, sleep_until};

use super::connect::{Connected, NotConnected, Stream};
use super::endpoint::Outgoing;
use super::{BodyProblem, ConnectProblem, Exchange, Shared, Silence};
use crate::domain::decide::Request;
use crate::domain::outcome::Answer;
use crate::keys::IdempotencyKey;

/// A connection that was idle for longer is not used again: of the usual servers, the quickest to close one
/// (Node.js) does so after 5 s, and a request that meets the closing has an unknown outcome.
const IDLE_LIMIT: Duration = Duration::from_secs(4);
/// Most bytes of an answer's head.
const HEAD_LIMIT: usize = 64 * 1024;

/// The requests to `money`, one at a time, over at most one connection. Belongs to one worker.
pub struct Connection {
    shared: Arc<Shared>,
    idle: Option<Live>,
    alarm: Alarm,
}

/// The deadline of the request that is under way. One timer for all: moving it to a later time costs nothing, where a timer
/// for each request is put into the runtime's wheel and taken out again.
struct Alarm(Option<Pin<Box<Sleep>>>);

/// An open connection on which no request is under way.
struct Live {
    sender: SendRequest<Full<Bytes>>,
    driver: Driver,
    probe: std::net::TcpStream,
    used_at: Instant,
}

/// What reads and writes; after it has ended it must not be polled again.
struct Driver {
    connection: http1::Connection<TokioIo<Stream>, Full<Bytes>>,
    ended: bool,
}

/// What came of handing over a request.
enum Sent {
    Answered(Response<Incoming>),
    /// Not a byte of it was sent.
    GivenBack(Box<Outgoing>),
    Silent(Silence),
}

impl Connection {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, idle: None, alarm: Alarm(None) }
    }

    /// Asks `money` to pay. `path` is the payout type's, behind the base URL.
    pub async fn charge(&mut self, path: &str, key: &IdempotencyKey, body: Bytes) -> Answer {
        let outgoing = self.shared.endpoint.charge(path, key, body);
        self.ask(Request::Charge, key, outgoing).await
    }

    /// Asks what became of a key.
    pub async fn look_up(&mut self, key: &IdempotencyKey) -> Answer {
        let outgoing = self.shared.endpoint.look_up(key);
        self.ask(Request::LookUp, key, outgoing).await
    }

    /// Asks `money` to burn a key.
    pub async fn cancel(&mut self, key: &IdempotencyKey) -> Answer {
        let outgoing = self.shared.endpoint.cancel(key);
        self.ask(Request::Cancel, key, outgoing).await
    }

    async fn ask(&mut self, request: Request, key: &IdempotencyKey, outgoing: Option<Outgoing>) -> Answer {
        let exchange = match outgoing {
            Some(outgoing) => self.exchange(outgoing).await,
            None => Exchange::NotBuilt,
        };
        self.shared.contract.classify(request, key, &exchange, SystemTime::now())
    }

    /// One request, one answer. It is sent a second time only where the kept-alive connection gave it back
    /// untouched.
    async fn exchange(&mut self, outgoing: Outgoing) -> Exchange {
        let deadline = Instant::now() + self.shared.timeout;
        let outgoing = match self.idle.take().filter(Live::is_usable) {
            None => outgoing,
            Some(mut live) => match live.send(outgoing, deadline, &mut self.alarm).await {
                Sent::Answered(response) => return self.finish(live, response, deadline).await,
                Sent::Silent(silence) => return Exchange::NoAnswer(silence),
                Sent::GivenBack(outgoing) => *outgoing,
            },
        };
        let mut live = match Live::connect(&self.shared, deadline).await {
            Ok(live) => live,
            Err((problem, detail)) => return Exchange::NotConnected { problem, detail },
        };
        match live.send(outgoing, deadline, &mut self.alarm).await {
            Sent::Answered(response) => self.finish(live, response, deadline).await,
            Sent::Silent(silence) => Exchange::NoAnswer(silence),
            Sent::GivenBack(_) => closed(),
        }
    }

    /// Reads the body, and keeps the connection if it can carry another request.
    async fn finish(&mut self, mut live: Live, response: Response<Incoming>, deadline: Instant) -> Exchange {
        let (head, body) = response.into_parts();
        let (status, headers) = (head.status, head.headers);
        let limit = self.shared.body_limit;
        let read = self.alarm.before(deadline, live.driver.read(body, limit)).await;
        match read.unwrap_or(Err(BodyProblem::Timeout)) {
            Err(problem) => Exchange::HeadersOnly { status, headers, problem },
            Ok(body) => {
                // Lets it go idle, or notice that the other side closes.
                poll_fn(|cx| {
                    live.driver.advance(cx);
                    Poll::Ready(())
                })
                .await;
                live.used_at = Instant::now();
                self.idle = Some(live).filter(|live| !live.driver.ended && live.sender.is_ready());
                Exchange::Complete { status, headers, body }
            }
        }
    }
}

fn closed() -> Exchange {
    let detail = "the connection was closed before the request was sent".to_owned();
    Exchange::NotConnected { problem: ConnectProblem::ClosedBeforeUse, detail }
}

impl Alarm {
    /// Waits for `future`; nothing when it has not ended before the deadline.
    async fn before<F: Future>(&mut self, deadline: Instant, future: F) -> Option<F::Output> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        let mut future = pin!(future);
        poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => sleep.as_mut().poll(cx).map(|()| None),
        })
        .await
    }
}

impl Live {
    async fn connect(shared: &Shared, deadline: Instant) -> Result<Self, NotConnected> {
        let Connected { stream, probe } = shared.connector.connect(deadline).await?;
        // One small write costs less than a gathering one.
        let opening =
            http1::Builder::new().max_buf_size(HEAD_LIMIT).writev(false).handshake(TokioIo::new(stream)).await;
        let (sender, connection) = opening.map_err(|error| (ConnectProblem::ClosedBeforeUse, error.to_string()))?;
        let driver = Driver { connection, ended: false };
        Ok(Self { sender, driver, probe, used_at: Instant::now() })
    }

    /// Whether it is fresh, open and silent. Asks the system itself: a closing, or bytes that nobody asked
    /// for, may have arrived without the runtime having seen them yet.
    fn is_usable(&self) -> bool {
        let silent = || matches!(self.probe.peek(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        self.used_at.elapsed() < IDLE_LIMIT && silent()
    }

    async fn send(&mut self, outgoing: Outgoing, deadline: Instant, alarm: &mut Alarm) -> Sent {
        let driver = &mut self.driver;
        let mut answer = pin!(self.sender.try_send_request(outgoing));
        let answered = poll_fn(|cx| {
            driver.advance(cx);
            answer.as_mut().poll(cx)
        });
        match alarm.before(deadline, answered).await {
            None => Sent::Silent(Silence::Timeout),
            Some(Ok(response)) => Sent::Answered(response),
            Some(Err(mut failed)) => match failed.take_message() {
                Some(outgoing) => Sent::GivenBack(Box::new(outgoing)),
                None => Sent::Silent(silence(failed.error())),
            },
        }
    }
}

impl Driver {
    fn advance(&mut self, cx: &mut Context<'_>) {
        if !self.ended {
            // An error is also given to whoever waits for the answer.
            self.ended = Pin::new(&mut self.connection).poll(cx).is_ready();
        }
    }

    /// The whole body, if it has at most `limit` bytes.
    async fn read(&mut self, mut body: Incoming, limit: usize) -> Result<Bytes, BodyProblem> {
        if body.size_hint().lower() > limit as u64 {
            return Err(BodyProblem::TooLong);
        }
        let mut first = Bytes::new();
        let mut rest = BytesMut::new();
        loop {
            let frame = poll_fn(|cx| match Pin::new(&mut body).poll_frame(cx) {
                Poll::Ready(frame) => Poll::Ready(frame),
                Poll::Pending => {
                    self.advance(cx);
                    Pin::new(&mut body).poll_frame(cx)
                }
            });
            let Some(frame) = frame.await else { break };
            let Ok(data) = frame.map_err(|_| BodyProblem::Truncated)?.into_data() else { continue };
            if first.len() + rest.len() + data.len() > limit {
                return Err(BodyProblem::TooLong);
            }
            if first.is_empty() {
                first = data;
            } else {
                rest.extend_from_slice(&data);
            }
        }
        if rest.is_empty() {
            return Ok(first);
        }
        let mut whole = BytesMut::from(first);
        whole.unsplit(rest);
        Ok(whole.freeze())
    }
}

/// Why a request that may have been sent has no answer.
fn silence(error: &hyper::Error) -> Silence {
    if error.is_parse() {
        return Silence::NotHttp;
    }
    let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    match io.map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted) => Silence::Reset,
        Some(io::ErrorKind::BrokenPipe | io::ErrorKind::WriteZero) => Silence::WriteFailed,
        Some(_) | None => Silence::Eof,
    }
}
