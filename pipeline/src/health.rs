//! Whether this process is alive and ready, and the server that tells: `/livez`, `/readyz`, `/metrics`.
//!
//! Alive means that the main loop still comes round; it never depends on Redis, MySQL or money, because a
//! restart would not bring them back. Ready means that MySQL and Redis can be reached and that no end was requested.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use crate::metrics::{self, ErrorClass};
use crate::shutdown::Shutdown;
use crate::store::StoreError;
use crate::streams::StreamsError;

/// Name of MySQL among the dependencies.
pub const MYSQL: &str = "mysql";
/// Name of Redis among the dependencies.
pub const REDIS: &str = "redis";

/// How often a process says that it is alive while it waits for a long statement.
const BEAT: Duration = Duration::from_secs(1);

/// What is known of this process's health. Clones share it.
#[derive(Clone, Debug)]
pub struct Health(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    started: Instant,
    /// Milliseconds between the start and the last beat.
    beaten: AtomicU64,
    live_within: Duration,
    dependencies: Mutex<BTreeMap<&'static str, bool>>,
    shutdown: Shutdown,
}

impl Health {
    /// Alive while beats are younger than `live_within`; not ready until a dependency was reported.
    pub fn new(live_within: Duration, shutdown: Shutdown) -> Self {
        let (started, beaten) = (Instant::now(), AtomicU64::new(0));
        Self(Arc::new(Inner { started, beaten, live_within, dependencies: Mutex::default(), shutdown }))
    }

    /// The main loop has come round, also when all it did was to wait for a dependency.
    pub fn beat(&self) {
        let now = u64::try_from(self.0.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.beaten.store(now, Ordering::Relaxed);
    }

    /// Waits for something that is bounded and may take longer than a main loop may be silent: a statement that reads
    /// every target. Says meanwhile that the process is alive.
    pub async fn beating<T>(&self, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        loop {
            match tokio::time::timeout(BEAT, &mut work).await {
                Ok(done) => return done,
                Err(_) => self.beat(),
            }
        }
    }

    /// Notes which server an error comes from, and that it cannot be reached, where the error says so.
    pub fn blame(&self, error: &anyhow::Error) -> ErrorClass {
        let store = error.chain().find_map(|cause| cause.downcast_ref::<StoreError>());
        let streams = error.chain().find_map(|cause| cause.downcast_ref::<StreamsError>());
        match (store, streams) {
            (Some(error), _) => {
                if error.is_unavailable() && !error.is_conflict() {
                    self.dependency(MYSQL, false);
                }
                ErrorClass::Mysql
            }
            (None, Some(error)) => {
                if matches!(error, StreamsError::Unavailable(..)) && !error.is_oom() {
                    self.dependency(REDIS, false);
                }
                ErrorClass::Redis
            }
            (None, None) => ErrorClass::Internal,
        }
    }

    /// Whether a dependency could be reached; see [`MYSQL`] and [`REDIS`].
    pub fn dependency(&self, name: &'static str, ok: bool) {
        self.0.dependencies.lock().unwrap_or_else(PoisonError::into_inner).insert(name, ok);
        metrics::dependency(name, ok);
    }

    /// Whether nothing says that a dependency is away.
    pub fn reaches(&self, name: &str) -> bool {
        self.0.dependencies.lock().unwrap_or_else(PoisonError::into_inner).get(name) != Some(&false)
    }

    /// Whether the main loop still comes round.
    pub fn is_live(&self) -> bool {
        self.age() <= self.0.live_within
    }

    /// Whether at least one dependency was reported, all that were can be reached, and no end was requested.
    pub fn is_ready(&self) -> bool {
        let dependencies = self.0.dependencies.lock().unwrap_or_else(PoisonError::into_inner);
        !self.0.shutdown.requested() && !dependencies.is_empty() && dependencies.values().all(|ok| *ok)
    }

    fn age(&self) -> Duration {
        self.0.started.elapsed().saturating_sub(Duration::from_millis(self.0.beaten.load(Ordering::Relaxed)))
    }

    fn readiness(&self) -> String {
        let mut text = String::from(if self.is_ready() { "ready\n" } else { "not ready\n" });
        if self.0.shutdown.requested() {
            text.push_str("draining\n");
        }
        let dependencies = self.0.dependencies.lock().unwrap_or_else(PoisonError::into_inner);
        if dependencies.is_empty() {
            text.push_str("starting\n");
        }
        for (name, ok) in dependencies.iter() {
            let _ = writeln!(text, "{name} {}", if *ok { "ok" } else { "away" });
        }
        text
    }
}

/// Takes the address. Port 0 takes a free one.
///
/// # Errors
/// When the address cannot be found or is taken.
pub async fn bind(addr: &str) -> std::io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(addr).await?;
    let real = listener.local_addr()?;
    Ok((listener, real))
}

/// Answers until the process ends, also while it drains.
pub async fn serve(listener: TcpListener, health: Health) {
    let routes = Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/healthz", get(readyz))
        .route("/metrics", get(exposition))
        .with_state(health);
    // `serve` does not return: it waits out the errors of single connections.
    if let Err(error) = axum::serve(listener, routes).await {
        tracing::error!(%error, "health server ended");
    }
}

async fn livez(State(health): State<Health>) -> Response {
    let text = format!("last beat {:.1} s ago\n", health.age().as_secs_f64());
    (status(health.is_live()), text).into_response()
}

async fn readyz(State(health): State<Health>) -> Response {
    (status(health.is_ready()), health.readiness()).into_response()
}

async fn exposition() -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics::render()).into_response()
}

fn status(ok: bool) -> StatusCode {
    if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_long_statement_is_no_silence() {
        let health = Health::new(Duration::from_secs(60), Shutdown::never());
        assert_eq!(health.beating(tokio::time::sleep(BEAT + BEAT / 2)).await, ());
        assert!(health.0.beaten.load(Ordering::Relaxed) > 0);
    }
}
