//! Logs: structured lines on standard error.
//!
//! Ids are fields. No line holds a name, a key, a token, a PIN or a body: the types that carry them hide
//! themselves when they are printed. `error` means that a person must act.

use tracing_subscriber::EnvFilter;

use crate::config::{LogConfig, LogFormat};

/// Starts logging for the process. A second call changes nothing.
pub fn start(log: &LogConfig) {
    // The configuration has checked the filter; were it wrong all the same, `info` is better than silence.
    let filter = EnvFilter::try_new(&log.filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match log.format {
        // Flat, so that a field is found at the top of the object.
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init(),
        LogFormat::Text => lines.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init(),
    };
    drop(started);
}
