//! The contract's three calls: charge, look up, cancel.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{AUTHORIZATION, HeaderValue, RETRY_AFTER};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use tokio::time::sleep;

use crate::body::{Body, Cut};
use crate::contract::{self, CANCEL_BODY, Charge, MAX_BODY_BYTES};
use crate::digest::Dice;
use crate::faults::{Fault, Faults, Kind};
use crate::journal::Line;
use crate::ledger::{Cancel, Charged, Recorded, Seen};
use crate::reply::{Reply, fail, invalid};
use crate::request::{Asked, asked, checked};
use crate::server::{App, CONTRACT, json};
use crate::spoil::{instead, spoil};
use crate::stats::Outcome;

const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// A request under way. However it ends, also by its client's leaving, it is counted and journalled once.
struct Visit<'a> {
    app: &'a App,
    kind: Kind,
    at_us: u64,
    key: Option<String>,
    outcome: Outcome,
    fault: Fault,
    status: u16,
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.app.stats.count(self.kind, self.outcome, self.fault);
        if let Some(journal) = &self.app.journal {
            journal.add(&Line {
                at_us: self.at_us,
                latency_us: self.app.clock.now_us() - self.at_us,
                kind: self.kind,
                key: self.key.as_deref(),
                outcome: self.outcome,
                fault: self.fault,
                status: self.status,
            });
        }
    }
}

impl Visit<'_> {
    fn note_key(&mut self, key: &str) {
        if self.app.journal.is_some() {
            self.key = Some(key.to_owned());
        }
    }

    /// With the Retry-After of whoever is to come back later, if one is told.
    fn asking_for_patience(&self, mut response: Response<Body>, faults: &Faults) -> Response<Body> {
        let later = matches!(self.status, 429 | 503) || self.outcome == Outcome::InProgress;
        if let (true, Some(after)) = (later, faults.retry_after_s) {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(after));
        }
        response
    }
}

/// Serves a request under [`CONTRACT`].
pub(crate) async fn serve(app: &Arc<App>, request: Request<Incoming>) -> Result<Response<Body>, Cut> {
    let at_us = app.stats.arrive(&app.clock);
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().get(CONTRACT.len()..).unwrap_or_default();
    let asked = asked(&parts.method, path);
    let kind = match &asked {
        Ok(Asked::Charge { .. }) | Err(_) => Kind::Charge,
        Ok(Asked::Lookup { .. }) => Kind::Lookup,
        Ok(Asked::Cancel { .. }) => Kind::Cancel,
    };
    let faults = app.faults();
    let mut dice = app.dice();
    let mut visit = Visit { app, kind, at_us, key: None, outcome: Outcome::NotExecuted, fault: Fault::None, status: 0 };
    if faults.away {
        return Err(Cut::Close);
    }
    visit.fault = faults.draw(kind, &mut dice);
    let authorized =
        parts.headers.get(AUTHORIZATION).is_some_and(|value| value.as_bytes() == app.authorization.as_bytes());
    let done = match asked {
        _ if !authorized || visit.fault == Fault::Unauthorized => {
            visit.outcome = Outcome::Unauthorized;
            Err(fail(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "wrong or missing token"))
        }
        Err(reply) => Err(reply),
        Ok(Asked::Charge { kind }) => {
            let key = parts.headers.get(IDEMPOTENCY_KEY);
            charge(&mut visit, app, &faults, &mut dice, (kind, key, body)).await?
        }
        Ok(Asked::Lookup { key }) => look_up(&mut visit, &faults, &mut dice, &key).await?,
        Ok(Asked::Cancel { key }) => cancel(&mut visit, &faults, &mut dice, &key).await?,
    };
    let (status, bytes) = match done {
        Ok(reply) => reply,
        Err((status, bytes)) => {
            if visit.outcome == Outcome::NotExecuted && visit.fault == Fault::None {
                visit.outcome = Outcome::Invalid;
            }
            visit.status = status.as_u16();
            return Ok(visit.asking_for_patience(json(status, bytes), &faults));
        }
    };
    // Nobody hears of anything before it is written.
    if app.ledger.written().await.is_err() {
        visit.outcome = Outcome::Broken;
        visit.status = 500;
        return Ok(json(StatusCode::INTERNAL_SERVER_ERROR, Bytes::new()));
    }
    let response = spoil(visit.fault, &faults, &mut dice, status, bytes).await?;
    visit.status = response.status().as_u16();
    Ok(visit.asking_for_patience(response, &faults))
}

/// The inner result's error is an answer that no later fault changes.
type Done = Result<Result<Reply, Reply>, Cut>;

async fn charge(
    visit: &mut Visit<'_>,
    app: &Arc<App>,
    faults: &Faults,
    dice: &mut Dice,
    (kind, key, body): (&str, Option<&HeaderValue>, Incoming),
) -> Done {
    let Some(key) = key.and_then(|key| key.to_str().ok()) else {
        return Ok(Err(invalid("MISSING_KEY", "Idempotency-Key is missing or not ASCII")));
    };
    if let Err(reply) = checked(key) {
        return Ok(Err(reply));
    }
    visit.note_key(key);
    let Some(body) = read_body(body).await? else {
        return Ok(Err(fail(StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE", "more than 64 KiB")));
    };
    if let Some(reply) = instead(visit.fault, faults).await? {
        return Ok(Err(reply));
    }
    let charge = match Charge::parse(kind, key, &body) {
        Ok(charge) => charge,
        Err(error) => {
            visit.outcome = Outcome::Invalid;
            return Ok(Err(invalid("INVALID_BODY", &error.to_string())));
        }
    };
    let refusal = faults.draw_refusal(charge.key, app.settings.seed, dice);
    let latency = faults.draw_latency(dice);
    let charged = if visit.fault == Fault::Late {
        visit.outcome = Outcome::Late;
        put_off(app, charge, refusal, Duration::from_millis(faults.late_ms));
        return Err(Cut::Close);
    } else if latency.is_zero() {
        app.ledger.charge(&charge, refusal, app.clock.now_us())
    } else {
        execute_for(app, charge, refusal, latency).await?
    };
    let (outcome, reply) = charged_reply(app, charged);
    visit.outcome = outcome;
    Ok(Ok(reply))
}

fn charged_reply(app: &App, charged: Charged) -> (Outcome, Reply) {
    let stored = |answer| (StatusCode::OK, app.ledger.body(answer, &app.settings.pin_prefix));
    match charged {
        Charged::Fresh(answer @ Recorded::Paid(_)) => (Outcome::Paid, stored(answer)),
        Charged::Fresh(answer) => (Outcome::Declined, stored(answer)),
        Charged::Replay(Recorded::Cancelled) => (Outcome::Burnt, stored(Recorded::Cancelled)),
        Charged::Replay(answer) => (Outcome::Replayed, stored(answer)),
        Charged::KeyReused => {
            let message = "the key was used with another body";
            let reply = fail(StatusCode::UNPROCESSABLE_ENTITY, contract::KEY_REUSED, message);
            (Outcome::KeyReused, reply)
        }
        Charged::Executing => (Outcome::InProgress, executing()),
        Charged::Dropped => {
            let message = "the ledger was reset meanwhile";
            let reply = fail(StatusCode::SERVICE_UNAVAILABLE, "RESET", message);
            (Outcome::Broken, reply)
        }
    }
}

/// Executes in a task of its own: a client that leaves does not stop a payment.
async fn execute_for(app: &Arc<App>, charge: Charge, refusal: Option<&str>, latency: Duration) -> Result<Charged, Cut> {
    let ticket = match app.ledger.begin(&charge, app.clock.now_us()) {
        Ok(ticket) => ticket,
        Err(obstacle) => return Ok(obstacle),
    };
    let refusal = refusal.map(str::to_owned);
    let app = Arc::clone(app);
    let executing = tokio::spawn(async move {
        sleep(latency).await;
        let now = app.clock.now_us();
        app.ledger.finish(ticket, &charge, refusal.as_deref(), now)
    });
    executing.await.map_err(|_| Cut::Close)
}

/// The request that is still on its way when its client has given up.
fn put_off(app: &Arc<App>, charge: Charge, refusal: Option<&str>, delay: Duration) {
    let refusal = refusal.map(str::to_owned);
    let app = Arc::clone(app);
    tokio::spawn(async move {
        sleep(delay).await;
        let now = app.clock.now_us();
        let counter = match app.ledger.charge(&charge, refusal.as_deref(), now) {
            Charged::Fresh(_) => &app.stats.late_executed,
            Charged::Replay(_) | Charged::KeyReused | Charged::Executing | Charged::Dropped => &app.stats.late_stopped,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    });
}

async fn look_up(visit: &mut Visit<'_>, faults: &Faults, dice: &mut Dice, key: &str) -> Done {
    let app = visit.app;
    visit.note_key(key);
    if app.settings.no_lookup {
        return Ok(Err(not_offered("LOOKUP_NOT_OFFERED")));
    }
    if let Some(reply) = instead(visit.fault, faults).await? {
        return Ok(Err(reply));
    }
    pause(faults.draw_latency(dice)).await;
    let (outcome, reply) = match app.ledger.look_up(key, app.clock.now_us()) {
        Seen::Answer(answer) => {
            let body = app.ledger.body(answer, &app.settings.pin_prefix);
            (Outcome::Found, (StatusCode::OK, body))
        }
        Seen::Executing => (Outcome::InProgress, executing()),
        Seen::No => {
            let reply = fail(StatusCode::NOT_FOUND, "NOT_SEEN", "not seen yet");
            (Outcome::NotSeen, reply)
        }
    };
    visit.outcome = outcome;
    Ok(Ok(reply))
}

async fn cancel(visit: &mut Visit<'_>, faults: &Faults, dice: &mut Dice, key: &str) -> Done {
    let app = visit.app;
    visit.note_key(key);
    if app.settings.no_cancel {
        return Ok(Err(not_offered("CANCEL_NOT_OFFERED")));
    }
    if let Some(reply) = instead(visit.fault, faults).await? {
        return Ok(Err(reply));
    }
    pause(faults.draw_latency(dice)).await;
    let (outcome, reply) = match app.ledger.cancel(key, app.clock.now_us()) {
        Cancel::Burnt => {
            let body = Bytes::from_static(CANCEL_BODY);
            (Outcome::Cancelled, (StatusCode::OK, body))
        }
        Cancel::Already(answer) => {
            let body = app.ledger.body(answer, &app.settings.pin_prefix);
            (Outcome::TooLate, (StatusCode::CONFLICT, body))
        }
        Cancel::Executing => (Outcome::InProgress, executing()),
    };
    visit.outcome = outcome;
    Ok(Ok(reply))
}

fn executing() -> Reply {
    fail(StatusCode::CONFLICT, contract::IN_PROGRESS, "still executing")
}

fn not_offered(code: &str) -> Reply {
    let message = "not offered by this deployment";
    fail(StatusCode::METHOD_NOT_ALLOWED, code, message)
}

async fn pause(latency: Duration) {
    if !latency.is_zero() {
        sleep(latency).await;
    }
}

/// The request's body, or nothing when it is too large. One piece, the usual case, is not copied.
pub(crate) async fn read_body(mut body: Incoming) -> Result<Option<Bytes>, Cut> {
    if body.size_hint().lower() > MAX_BODY_BYTES as u64 {
        return Ok(None);
    }
    let mut whole = Bytes::new();
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame.map_err(|_| Cut::Close)?.into_data() else {
            continue; // trailers
        };
        if whole.len() + piece.len() > MAX_BODY_BYTES {
            return Ok(None);
        }
        if whole.is_empty() {
            whole = piece;
        } else {
            let mut joined = BytesMut::from(whole);
            joined.extend_from_slice(&piece);
            whole = joined.freeze();
        }
    }
    Ok(Some(whole))
}
