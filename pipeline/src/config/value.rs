//! A value as it was found, and where.

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

/// Where a value comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Origin {
    Default,
    File {
        path: PathBuf,
        line: usize,
    },
    Variable(&'static str),
    /// The content of the file that this variable names.
    VariableFile {
        variable: &'static str,
        path: PathBuf,
    },
}

/// What was found.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Raw {
    /// From a variable or the file that it names.
    Text(String),
    Toml(toml::Value),
}

#[derive(Clone, PartialEq, Debug)]
pub(super) struct Found {
    pub(super) raw: Raw,
    pub(super) origin: Origin,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{} line {line}", path.display()),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::VariableFile { variable, path } => {
                write!(f, "file {} named by environment variable {variable}", path.display())
            }
        }
    }
}

impl Raw {
    /// The text, where it is one.
    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Toml(value) => value.as_str(),
        }
    }
}

/// A key of a file, with the section in front.
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) line: usize,
    pub(super) value: toml::Value,
}

/// Text that is not TOML. The parser's message names what it expected, never what it read.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) line: usize,
    pub(super) message: String,
}

/// Everything in a file, in its order.
pub(super) fn entries(text: &str) -> Result<Vec<Entry>, Broken> {
    let line = |at: usize| text.as_bytes()[..at.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1;
    let fail = |error: toml::de::Error| Broken {
        line: line(error.span().map_or(0, |span| span.start)),
        message: error.message().to_owned(),
    };
    let mut found = Vec::new();
    for (section, content) in DeTable::parse(text).map_err(fail)?.into_inner() {
        let span = content.span();
        match content.into_inner() {
            DeValue::Table(keys) => {
                for (key, value) in keys {
                    found.push((key.span().start, format!("{}.{}", section.get_ref(), key.get_ref()), value));
                }
            }
            value => found.push((section.span().start, section.into_inner().into_owned(), Spanned::new(span, value))),
        }
    }
    found.sort_by_key(|entry| entry.0);
    let entry = |(at, key, value)| {
        let value = toml::Value::deserialize(ValueDeserializer::from(value)).map_err(fail)?;
        Ok(Entry { key, line: line(at), value })
    };
    found.into_iter().map(entry).collect()
}
