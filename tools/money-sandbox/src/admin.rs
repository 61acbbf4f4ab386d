//! What operators and tests ask: statistics, the ledger, the faults. No token: the port is for them alone.

use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use serde_json::json as value;
use tokio::sync::mpsc;

use crate::body::Body;
use crate::faults::Faults;
use crate::money::read_body;
use crate::replay::{READ_BYTES, is_of_campaign};
use crate::server::{App, answer, json};

/// Pieces read ahead of the client.
const PIECES_AHEAD: usize = 4;

pub(crate) async fn serve(app: &Arc<App>, request: Request<Incoming>) -> Response<Body> {
    let method = request.method().clone();
    let uri = request.uri().clone();
    let query = uri.query().unwrap_or_default();
    match (&method, uri.path()) {
        (&Method::GET, "/healthz") => answer(StatusCode::OK, "text/plain", Body::whole("ok\n".into())),
        (&Method::GET, "/stats") => {
            let mut totals = app.stats.totals();
            totals["keys"] = app.ledger.keys().into();
            ok(&totals)
        }
        (&Method::GET, "/stats/rate") => ok(&app.stats.rate()),
        (&Method::GET, "/ledger") => ledger(app, parameter(query, "campaign")),
        (&Method::GET, "/ledger/summary") => ok(&app.ledger.summary(parameter(query, "campaign").as_deref())),
        (&Method::GET, "/admin/faults") => ok(app.faults().as_ref()),
        (&Method::PUT, "/admin/faults") => put_faults(app, request.into_body()).await,
        (&Method::POST, "/admin/reset") => {
            app.stats.reset();
            if parameter(query, "ledger").as_deref() == Some("true")
                && let Err(error) = app.ledger.clear()
            {
                return wrong(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string());
            }
            ok(&value!({"reset": true}))
        }
        _ => wrong(StatusCode::NOT_FOUND, "no such path"),
    }
}

fn ok<T: serde::Serialize>(body: &T) -> Response<Body> {
    match serde_json::to_vec(body) {
        Ok(bytes) => json(StatusCode::OK, bytes),
        Err(error) => wrong(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

fn wrong(status: StatusCode, message: &str) -> Response<Body> {
    json(status, value!({"error": message}).to_string())
}

fn parameter(query: &str, name: &str) -> Option<String> {
    let text = query.split('&').find_map(|pair| {
        let (key, text) = pair.split_once('=')?;
        (key == name).then_some(text)
    })?;
    Some(percent_decode_str(text).decode_utf8_lossy().into_owned())
}

/// Replaces all faults: what is not named is off.
async fn put_faults(app: &App, body: Incoming) -> Response<Body> {
    let Ok(Some(body)) = read_body(body).await else {
        return wrong(StatusCode::PAYLOAD_TOO_LARGE, "more than 64 KiB");
    };
    let set = serde_json::from_slice::<Faults>(&body)
        .map_err(|error| error.to_string())
        .and_then(|faults| app.set_faults(faults));
    match set {
        Ok(()) => ok(app.faults().as_ref()),
        Err(error) => wrong(StatusCode::BAD_REQUEST, &error),
    }
}

fn ledger(app: &App, campaign: Option<String>) -> Response<Body> {
    let reader = match app.ledger.log().reader() {
        Ok(reader) => reader,
        Err(error) => return wrong(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    };
    let (pieces, stream) = mpsc::channel(PIECES_AHEAD);
    tokio::task::spawn_blocking(move || {
        let sent = match campaign {
            None => send_all(reader, &pieces),
            Some(campaign) => send_campaign(reader, &campaign, &pieces),
        };
        if let Err(error) = sent {
            eprintln!("money-sandbox: read the ledger: {error}");
        }
    });
    answer(StatusCode::OK, "application/x-ndjson", Body::Stream(stream))
}

fn send_all(mut reader: impl Read, pieces: &mpsc::Sender<Bytes>) -> std::io::Result<()> {
    loop {
        let mut piece = vec![0; READ_BYTES];
        let n = reader.read(&mut piece)?;
        piece.truncate(n);
        if n == 0 || pieces.blocking_send(piece.into()).is_err() {
            return Ok(()); // the end, or the client has left
        }
    }
}

fn send_campaign(reader: impl Read, campaign: &str, pieces: &mpsc::Sender<Bytes>) -> std::io::Result<()> {
    let mut reader = BufReader::with_capacity(READ_BYTES, reader);
    let mut piece = Vec::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        let end = reader.read_until(b'\n', &mut line)? == 0;
        if !end && is_of_campaign(&line, campaign) {
            piece.extend_from_slice(&line);
        }
        if (end || piece.len() >= READ_BYTES) && pieces.blocking_send(std::mem::take(&mut piece).into()).is_err() {
            return Ok(());
        }
        if end {
            return Ok(());
        }
    }
}
