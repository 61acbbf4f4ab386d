//! The configuration in effect, as TOML that can be used as a file again, with the origin of each value.

use std::fmt::Write;

use super::build::needed;
use super::layers::Raw;
use super::reader::Reader;
use super::{Needs, url};

/// Secrets stand in comments, hidden; so a dump that is used as a file changes none.
pub(super) fn render(r: &Reader, needs: Needs) -> String {
    let mut text = String::from("# The configuration in effect. Secrets are hidden.\n");
    let mut section = "";
    for full in &r.layers.known {
        let Some((of, key)) = full.split_once('.') else { continue };
        if of != section {
            section = of;
            let _ = write!(text, "\n[{section}]\n");
        }
        let Some(found) = r.found(full) else { continue };
        let origin = &found.origin;
        let _ = match &found.raw {
            _ if !needed(needs, full) => writeln!(text, "# {key}: not read by this stage"),
            Raw::Text(value) if r.secret.contains(full) => {
                writeln!(text, "# {key} = {:?} # {origin}", hidden(full, value))
            }
            Raw::Toml(toml::Value::String(value)) if r.secret.contains(full) => {
                writeln!(text, "# {key} = {:?} # {origin}", hidden(full, value))
            }
            _ if r.secret.contains(full) => writeln!(text, "# {key} # {origin}"),
            Raw::Toml(value) => writeln!(text, "{key} = {value} # {origin}"),
            Raw::Text(value) => writeln!(text, "{key} = {} # {origin}", typed(r, full, value)),
        };
    }
    text
}

fn hidden(key: &str, value: &str) -> String {
    match key {
        _ if value.is_empty() => String::new(),
        "money.token" | "webhook.secret" => super::HIDDEN.to_owned(),
        "webhook.url" => url::origin(value),
        _ => url::redacted(value),
    }
}

/// The text of a variable, written as the type that the default has.
fn typed(r: &Reader, key: &str, text: &str) -> toml::Value {
    let string = || toml::Value::String(text.to_owned());
    match r.layers.defaults.get(key).map(|found| &found.raw) {
        Some(Raw::Toml(toml::Value::Integer(_))) => text.trim().parse().map_or_else(|_| string(), toml::Value::Integer),
        Some(Raw::Toml(toml::Value::Boolean(_))) => text.trim().parse().map_or_else(|_| string(), toml::Value::Boolean),
        Some(Raw::Toml(toml::Value::Array(_))) => {
            let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
            toml::Value::Array(parts.map(|part| toml::Value::String(part.to_owned())).collect())
        }
        _ => string(),
    }
}
