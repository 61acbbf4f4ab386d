//! Turns the text of a value into what it means, and remembers what could not be.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::time::Duration;

use super::fault::Fault;
use super::known::Key;
use super::layers::Layers;
use super::url;
use super::value::{Origin, Raw};

/// Reads keys, each by its type and bounds.
pub(super) struct Reader {
    pub(super) layers: Layers,
    pub(super) faults: Vec<Fault>,
    /// Keys that have a fault: rules over several keys pass them over.
    pub(super) faulty: BTreeSet<&'static str>,
}

impl Reader {
    pub(super) fn new(mut layers: Layers) -> Self {
        let faults = std::mem::take(&mut layers.faults);
        Self { layers, faults, faulty: BTreeSet::new() }
    }

    /// Where the value in effect stands, for a person who wants to change it.
    pub(super) fn place(&self, key: &str) -> String {
        let known = Key::named(key);
        match &self.layers.found(known).origin {
            Origin::Default => format!("{key} (variable {})", known.variable),
            Origin::File { path, line } => format!("{} line {line}: {key}", path.display()),
            origin @ (Origin::Variable(_) | Origin::VariableFile { .. }) => origin.to_string(),
        }
    }

    /// Reports a fault of `key`.
    pub(super) fn fault(&mut self, key: &'static str, found: String, expected: &str, advice: &str) {
        let (place, expected, advice) = (self.place(key), expected.to_owned(), advice.to_owned());
        self.faults.push(Fault { place, found, expected, advice });
        self.faulty.insert(key);
    }

    /// Reads by `parse`; a value that it refuses is reported, and the default stands in.
    fn read<T>(
        &mut self,
        key: &'static str,
        expected: impl Display,
        advice: &str,
        parse: impl Fn(&Raw) -> Option<T>,
    ) -> Option<T> {
        let known = Key::named(key);
        let in_effect = &self.layers.found(known).raw;
        let value = parse(in_effect);
        if value.is_some() {
            return value;
        }
        let found = match in_effect {
            _ if known.is_secret() => "a value that is not shown".to_owned(),
            Raw::Text(text) => format!("{text:?}"),
            Raw::Toml(value) => value.to_string(),
        };
        self.fault(key, found, &expected.to_string(), advice);
        parse(&known.default.raw)
    }

    /// A duration between two bounds, both included.
    pub(super) fn duration(&mut self, key: &'static str, least: &str, most: &str) -> Duration {
        let bound = |text: &str| humantime::parse_duration(text).unwrap_or_default();
        let range = bound(least)..=bound(most);
        let parse = |raw: &Raw| raw.as_text().and_then(|text| humantime::parse_duration(text.trim()).ok());
        let within = |raw: &Raw| parse(raw).filter(|value| range.contains(value));
        let expected = format_args!("a duration from {least} to {most}");
        self.read(key, expected, "Write it with its unit, such as 500ms or 5s.", within).unwrap_or_default()
    }

    /// A whole number between two bounds, both included.
    pub(super) fn whole<T>(&mut self, key: &'static str, least: T, most: T) -> T
    where
        T: TryFrom<i64> + PartialOrd + Display + Copy,
    {
        let parse = |raw: &Raw| match raw {
            Raw::Text(text) => text.trim().parse::<i64>().ok(),
            Raw::Toml(value) => value.as_integer(),
        };
        let within = |raw: &Raw| {
            parse(raw).and_then(|value| T::try_from(value).ok()).filter(|value| (least..=most).contains(value))
        };
        let expected = format_args!("a whole number from {least} to {most}");
        self.read(key, expected, "Write digits alone, without separators.", within).unwrap_or(least)
    }

    /// `true` or `false`.
    pub(super) fn truth(&mut self, key: &'static str) -> bool {
        let parse = |raw: &Raw| match raw {
            Raw::Text(text) => text.trim().parse().ok(),
            Raw::Toml(value) => value.as_bool(),
        };
        self.read(key, "true or false", "Write one of the two words.", parse).unwrap_or_default()
    }

    /// A text that `accept` takes.
    pub(super) fn text(
        &mut self,
        key: &'static str,
        expected: &str,
        advice: &str,
        accept: impl Fn(&str) -> bool,
    ) -> String {
        self.mapped(key, expected, advice, |text| accept(text).then(|| text.to_owned())).unwrap_or_default()
    }

    /// What `parse` makes of a text.
    pub(super) fn mapped<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        advice: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        self.read(key, expected, advice, |raw| raw.as_text().and_then(|text| parse(text.trim())))
    }

    /// Texts that `accept` takes; in a variable, separated by commas.
    pub(super) fn list(
        &mut self,
        key: &'static str,
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
        self.read(key, expected, advice, parse).unwrap_or_default()
    }

    /// A secret. Required, where a stage needs it and has no use for a default.
    pub(super) fn secret(&mut self, key: &'static str, required: bool, rule: &url::Rule) -> String {
        let known = Key::named(key);
        debug_assert!(known.is_secret(), "{key} would be shown");
        let text = self.layers.found(known).raw.as_text().map(|text| text.trim().to_owned());
        let Some(value) = text else {
            self.fault(key, "a value that is not text (not shown)".to_owned(), rule.expected, "Write it in quotes.");
            return String::new();
        };
        if value.is_empty() {
            if required {
                let name = &known.variable;
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
