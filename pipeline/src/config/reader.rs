//! Turns the text of a value into what it means, and remembers what could not be.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::fault::Fault;
use super::layers::{Found, Layers, Origin, Raw, variable};
use super::url;

/// Reads keys, each by its type and bounds.
pub(super) struct Reader {
    pub(super) layers: Layers,
    pub(super) faults: Vec<Fault>,
    /// Keys that have a fault: rules over several keys pass them over.
    pub(super) faulty: BTreeSet<String>,
    /// What each key that was read is expected to be.
    pub(super) expected: BTreeMap<String, String>,
    /// Keys whose values are hidden.
    pub(super) secret: BTreeSet<String>,
}

impl Reader {
    pub(super) fn new(mut layers: Layers) -> Self {
        let faults = std::mem::take(&mut layers.faults);
        Self { layers, faults, faulty: BTreeSet::new(), expected: BTreeMap::new(), secret: BTreeSet::new() }
    }

    /// The value in effect: set, or else the default.
    pub(super) fn found(&self, key: &str) -> Option<&Found> {
        self.layers.set.get(key).or_else(|| self.layers.defaults.get(key))
    }

    /// Where the value in effect stands, for a person who wants to change it.
    pub(super) fn place(&self, key: &str) -> String {
        match self.found(key).map(|found| &found.origin) {
            None | Some(Origin::Default) => format!("{key} (variable {})", variable(key)),
            Some(Origin::File { path, line }) => format!("{} line {line}: {key}", path.display()),
            Some(origin @ (Origin::Variable(_) | Origin::VariableFile { .. })) => origin.to_string(),
        }
    }

    /// Reports a fault of `key`.
    pub(super) fn fault(&mut self, key: &str, found: String, expected: &str, advice: &str) {
        let (place, expected, advice) = (self.place(key), expected.to_owned(), advice.to_owned());
        self.faults.push(Fault { place, found, expected, advice });
        self.faulty.insert(key.to_owned());
    }

    /// Reads by `parse`; a value that it refuses is reported, and the default stands in.
    fn read<T>(&mut self, key: &str, expected: String, advice: &str, parse: impl Fn(&Raw) -> Option<T>) -> Option<T> {
        let in_effect = self.found(key).map(|found| found.raw.clone());
        let value = in_effect.as_ref().and_then(&parse);
        if value.is_none() {
            let found = match in_effect {
                None => "nothing".to_owned(),
                Some(_) if self.secret.contains(key) => "a value that is not shown".to_owned(),
                Some(Raw::Text(text)) => format!("{text:?}"),
                Some(Raw::Toml(value)) => value.to_string(),
            };
            self.fault(key, found, &expected, advice);
        }
        self.expected.insert(key.to_owned(), expected);
        value.or_else(|| self.layers.defaults.get(key).and_then(|found| parse(&found.raw)))
    }

    /// A duration between two bounds, both included.
    pub(super) fn duration(&mut self, key: &str, least: &str, most: &str) -> Duration {
        let bound = |text: &str| humantime::parse_duration(text).unwrap_or_default();
        let range = bound(least)..=bound(most);
        let parse = |raw: &Raw| text_of(raw).and_then(|text| humantime::parse_duration(text.trim()).ok());
        let within = |raw: &Raw| parse(raw).filter(|value| range.contains(value));
        let expected = format!("a duration from {least} to {most}");
        self.read(key, expected, "Write it with its unit, such as 500ms or 5s.", within).unwrap_or_default()
    }

    /// A whole number between two bounds, both included.
    pub(super) fn whole<T>(&mut self, key: &str, least: T, most: T) -> T
    where
        T: TryFrom<i64> + PartialOrd + std::fmt::Display + Copy,
    {
        let parse = |raw: &Raw| match raw {
            Raw::Text(text) => text.trim().parse::<i64>().ok(),
            Raw::Toml(value) => value.as_integer(),
        };
        let within = |raw: &Raw| {
            parse(raw).and_then(|value| T::try_from(value).ok()).filter(|value| (least..=most).contains(value))
        };
        let expected = format!("a whole number from {least} to {most}");
        self.read(key, expected, "Write digits alone, without separators.", within).unwrap_or(least)
    }

    /// `true` or `false`.
    pub(super) fn truth(&mut self, key: &str) -> bool {
        let parse = |raw: &Raw| match raw {
            Raw::Text(text) => text.trim().parse().ok(),
            Raw::Toml(value) => value.as_bool(),
        };
        self.read(key, "true or false".to_owned(), "Write one of the two words.", parse).unwrap_or_default()
    }

    /// A text that `accept` takes.
    pub(super) fn text(&mut self, key: &str, expected: &str, advice: &str, accept: impl Fn(&str) -> bool) -> String {
        self.mapped(key, expected, advice, |text| accept(text).then(|| text.to_owned())).unwrap_or_default()
    }

    /// What `parse` makes of a text.
    pub(super) fn mapped<T>(
        &mut self,
        key: &str,
        expected: &str,
        advice: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        self.read(key, expected.to_owned(), advice, |raw| text_of(raw).and_then(|text| parse(text.trim())))
    }

    /// Texts that `accept` takes; in a variable, separated by commas.
    pub(super) fn list(
        &mut self,
        key: &str,
        expected: &str,
        advice: &str,
        accept: impl Fn(&str) -> bool,
    ) -> Vec<String> {
        let parse = |raw: &Raw| -> Option<Vec<String>> {
            let texts: Vec<String> = match raw {
                Raw::Text(text) => {
                    text.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
                }
                Raw::Toml(value) => {
                    let items = value.as_array()?.iter();
                    items.map(|item| item.as_str().map(str::to_owned)).collect::<Option<_>>()?
                }
            };
            texts.iter().all(|text| accept(text)).then_some(texts)
        };
        self.read(key, expected.to_owned(), advice, parse).unwrap_or_default()
    }

    /// A secret. Required, where a stage needs it and has no use for a default.
    pub(super) fn secret(&mut self, key: &str, required: bool, rule: &url::Rule) -> String {
        self.secret.insert(key.to_owned());
        self.expected.insert(key.to_owned(), rule.expected.to_owned());
        let text = self.found(key).and_then(|found| text_of(&found.raw)).map(|text| text.trim().to_owned());
        let Some(value) = text else {
            self.fault(key, "a value that is not text (not shown)".to_owned(), rule.expected, "Write it in quotes.");
            return String::new();
        };
        if value.is_empty() {
            if required {
                let name = variable(key);
                self.fault(key, "nothing".to_owned(), rule.expected, &format!("Set {name} or {name}_FILE."));
            }
            return value;
        }
        if let Err(found) = (rule.check)(&value) {
            self.fault(key, found, rule.expected, rule.advice);
        }
        value
    }
}

fn text_of(raw: &Raw) -> Option<&str> {
    match raw {
        Raw::Text(text) => Some(text),
        Raw::Toml(value) => value.as_str(),
    }
}
