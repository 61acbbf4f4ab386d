//! The configuration in effect, as TOML that can be used as a file again, with the origin of each value.

use std::sync::LazyLock;

use super::build::needed;
use super::known::{KEYS, Key};
use super::layers::Layers;
use super::value::{Found, Raw};
use super::{Needs, url};

/// The line of each key that nobody has set.
static DEFAULT_LINES: LazyLock<Vec<String>> =
    LazyLock::new(|| KEYS.iter().map(|key| line(key, &key.default)).collect());

/// Secrets stand in comments, hidden; so a dump that is used as a file changes none.
pub(super) fn render(layers: &Layers, needs: Needs) -> String {
    let mut text = String::from("# The configuration in effect. Secrets are hidden.\n");
    let mut section = "";
    for (key, default) in KEYS.iter().zip(&*DEFAULT_LINES) {
        let (of, name) = key.parts();
        if of != section {
            section = of;
            text.extend(["\n[", section, "]\n"]);
        }
        match layers.set.get(key.name.as_str()) {
            _ if !needed(needs, &key.name) => text.extend(["# ", name, ": not read by this stage\n"]),
            Some(found) => text.push_str(&line(key, found)),
            None => text.push_str(default),
        }
    }
    text
}

fn line(key: &Key, found: &Found) -> String {
    let (_, name) = key.parts();
    let origin = &found.origin;
    match &found.raw {
        raw if key.is_secret() => match raw.as_text() {
            Some(value) => format!("# {name} = {:?} # {origin}\n", hidden(&key.name, value)),
            None => format!("# {name} # {origin}\n"),
        },
        Raw::Toml(value) => format!("{name} = {value} # {origin}\n"),
        Raw::Text(value) => format!("{name} = {} # {origin}\n", typed(&key.default.raw, value)),
    }
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
fn typed(default: &Raw, text: &str) -> toml::Value {
    let string = || toml::Value::String(text.to_owned());
    match default {
        Raw::Toml(toml::Value::Integer(_)) => text.trim().parse().map_or_else(|_| string(), toml::Value::Integer),
        Raw::Toml(toml::Value::Boolean(_)) => text.trim().parse().map_or_else(|_| string(), toml::Value::Boolean),
        Raw::Toml(toml::Value::Array(_)) => {
            let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
            toml::Value::Array(parts.map(|part| toml::Value::String(part.to_owned())).collect())
        }
        _ => string(),
    }
}
