//! The journal: one JSON line per request, for whoever reconstructs what happened.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use crate::contract::push_json;
use crate::faults::{Fault, Kind};
use crate::log::Log;
use crate::stats::Outcome;

/// Writes lines in the background; the last moments before a kill -9 may be missing, unlike in the ledger.
#[derive(Debug)]
pub struct Journal {
    log: Arc<Log>,
}

/// What is known about a request when it ends.
#[derive(Debug)]
pub struct Line<'a> {
    /// Arrival in µs since 1970.
    pub at_us: u64,
    /// From arrival to the answer's first byte, or to the end of the connection.
    pub latency_us: u64,
    /// What it was.
    pub kind: Kind,
    /// Its key, if it got that far.
    pub key: Option<&'a str>,
    /// What it came to.
    pub outcome: Outcome,
    /// What was done to it.
    pub fault: Fault,
    /// The status that was sent, 0 for none.
    pub status: u16,
}

impl Journal {
    /// Opens or creates a journal.
    ///
    /// # Errors
    /// The file cannot be opened, or is in use.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        Ok(Self { log: Arc::new(Log::open(path)?) })
    }

    /// The log below.
    pub fn log(&self) -> &Arc<Log> {
        &self.log
    }

    /// Adds a line.
    pub fn add(&self, line: &Line<'_>) {
        let method = match line.kind {
            Kind::Lookup => "GET",
            Kind::Charge | Kind::Cancel => "POST",
        };
        let kind = kind_name(line.kind);
        let mut out = String::with_capacity(224);
        let _ = write!(out, "{{\"at\":{},\"method\":\"{method}\",\"kind\":\"{kind}\",\"key\":", line.at_us);
        match line.key {
            Some(key) => push_json(&mut out, key),
            None => out.push_str("null"),
        }
        let _ = writeln!(
            out,
            ",\"outcome\":\"{}\",\"fault\":\"{}\",\"status\":{},\"latency_us\":{}}}",
            line.outcome.name(),
            line.fault.name(),
            line.status,
            line.latency_us
        );
        self.log.append(out.as_bytes());
    }
}

/// The name of a kind of request.
pub fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Charge => "charge",
        Kind::Lookup => "lookup",
        Kind::Cancel => "cancel",
    }
}
