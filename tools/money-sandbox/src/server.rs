//! Connections and routing.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLock, atomic::AtomicU64};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::body::{Body, Cut};
use crate::digest::Dice;
use crate::faults::Faults;
use crate::journal::Journal;
use crate::ledger::Ledger;
use crate::settings::Settings;
use crate::stats::{Clock, Stats};
use crate::{admin, money};

/// Where the contract's paths begin; everything else is for whoever runs the sandbox.
pub(crate) const CONTRACT: &str = "/internal/v1/campaigns/";
/// Requests under way when the sandbox ends may take this long.
const GRACE: Duration = Duration::from_secs(1);
/// While away, a connection that asks for nothing within this time is closed.
const AWAY_PEEK: Duration = Duration::from_millis(20);
/// After a failed accept (out of descriptors, say).
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// Everything that requests share.
#[derive(Debug)]
pub(crate) struct App {
    pub ledger: Ledger,
    pub journal: Option<Journal>,
    pub stats: Stats,
    pub clock: Clock,
    pub settings: Settings,
    /// The whole header: `Bearer …`.
    pub authorization: String,
    faults: RwLock<Arc<Faults>>,
    requests: AtomicU64,
}

impl App {
    pub(crate) fn new(settings: Settings, ledger: Ledger, journal: Option<Journal>, token: &str) -> Self {
        Self {
            ledger,
            journal,
            stats: Stats::default(),
            clock: Clock::start(),
            authorization: format!("Bearer {token}"),
            faults: RwLock::new(Arc::new(settings.faults.clone())),
            requests: AtomicU64::new(0),
            settings,
        }
    }

    pub(crate) fn faults(&self) -> Arc<Faults> {
        Arc::clone(&self.faults.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn set_faults(&self, faults: Faults) -> Result<(), String> {
        faults.validate()?;
        *self.faults.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(faults);
        Ok(())
    }

    /// The dice of the next request: the same sequence for the same seed.
    pub(crate) fn dice(&self) -> Dice {
        let n = self.requests.fetch_add(1, Ordering::Relaxed);
        Dice::new(self.settings.seed, n)
    }
}

/// Accepts until told to stop, then closes the port.
pub(crate) async fn accept(app: Arc<App>, listener: TcpListener, mut stop: watch::Receiver<bool>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                app.stats.connections.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(connection(Arc::clone(&app), stream, stop.clone()));
            }
            Err(error) => {
                eprintln!("money-sandbox: accept: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(app: Arc<App>, stream: TcpStream, mut stop: watch::Receiver<bool>) {
    if app.faults().away && !asks_for_admin(&stream).await {
        return;
    }
    // Without it an answer waits for the client's delayed acknowledgement. A failure means the peer is gone.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| route(Arc::clone(&app), request));
    let mut connection = http1::Builder::new()
        .auto_date_header(false)
        .writev(false) // answers are small: one copy is cheaper than a vectored write
        .serve_connection(TokioIo::new(stream), service);
    let ended = tokio::select! {
        biased;
        ended = &mut connection => ended,
        _ = stop.changed() => {
            std::pin::Pin::new(&mut connection).graceful_shutdown();
            timeout(GRACE, &mut connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended
        && let Some(Cut::Reset) = cut(&error)
    {
        // The next drop of the socket sends a RST.
        let _ = connection.into_parts().io.into_inner().set_zero_linger();
    }
}

fn cut(error: &hyper::Error) -> Option<Cut> {
    std::error::Error::source(error)?.downcast_ref().copied()
}

/// While away nothing is served but the way back.
async fn asks_for_admin(stream: &TcpStream) -> bool {
    let mut head = [0u8; 32];
    match timeout(AWAY_PEEK, stream.peek(&mut head)).await {
        Ok(Ok(n)) if n > 0 => {
            let head = String::from_utf8_lossy(&head[..n]);
            head.split_once(' ').is_some_and(|(_, path)| !path.starts_with("/internal"))
        }
        _ => false,
    }
}

async fn route(app: Arc<App>, request: Request<Incoming>) -> Result<Response<Body>, Cut> {
    match request.uri().path().strip_prefix(CONTRACT) {
        Some(_) => money::serve(&app, request).await,
        None => Ok(admin::serve(&app, request).await),
    }
}

/// A JSON answer.
pub(crate) fn json(status: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    answer(status, "application/json", Body::whole(body.into()))
}

/// An answer of any type.
pub(crate) fn answer(status: StatusCode, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
