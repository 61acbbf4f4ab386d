//! Logs: structured lines on standard error.
//!
//! Ids are fields. No line holds a name, a key, a token, a PIN or a body: the types that carry them hide
//! themselves when they are printed. `error` means that a person must act.

use tracing_subscriber::EnvFilter;

use crate::config::{LogConfig, LogFormat};

/// Reads directives; nothing where one is none. Values of fields are compared as text: a few characters of a regular
/// expression can take minutes and any memory to be compiled. No name of ours is beyond ASCII, and the parser panics
/// there.
pub fn filter(directives: &str) -> Option<EnvFilter> {
    directives.is_ascii().then(|| EnvFilter::builder().with_regex(false).parse(directives).ok()).flatten()
}

/// Starts logging for the process. A second call changes nothing.
pub fn start(log: &LogConfig) {
    // The configuration has checked the filter; were it wrong all the same, `info` is better than silence.
    let filter = filter(&log.filter).unwrap_or_else(|| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match log.format {
        // Flat, so that a field is found at the top of the object.
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init(),
        LogFormat::Text => lines.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init(),
    };
    drop(started);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_a_field_is_a_text() {
        // As a regular expression it is none; others take longer than anybody waits, and all memory.
        assert!(filter("[{target=(((.*}]=info").is_some());
        assert!(filter("info,pipeline=loud").is_none());
        assert!(filter("\t\t\ty\u{fffd}_l[retry]").is_none());
    }
}
