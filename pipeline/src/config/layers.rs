//! Where values come from: the embedded defaults, a file over them, environment variables over both.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use toml::de::DeTable;

use super::Environment;
use super::fault::{Fault, nearest};

/// The embedded defaults.
pub(super) const DEFAULTS: &str = include_str!("default.toml");

/// Names the file that overrides the defaults, where `--config` does not.
pub const CONFIG_FILE_VARIABLE: &str = "PAYOUT_CONFIG_FILE";

/// Keys whose variable has a twin that ends in `_FILE` and names a file with the value: addresses and secrets.
const FIXED: [(&str, &str); 6] = [
    ("database.url", "DATABASE_URL"),
    ("redis.url", "REDIS_URL"),
    ("money.url", "MONEY_URL"),
    ("money.token", "MONEY_TOKEN"),
    ("webhook.url", "PAYOUT_WEBHOOK_URL"),
    ("webhook.secret", "PAYOUT_WEBHOOK_SECRET"),
];

/// Longest file that is read for a value or as configuration, in bytes.
const FILE_LIMIT: u64 = 1 << 20;

/// Where a value comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Origin {
    Default,
    File {
        path: PathBuf,
        line: usize,
    },
    Variable(String),
    /// The content of the file that this variable names.
    VariableFile {
        variable: String,
        path: PathBuf,
    },
}

/// A value as it was found.
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

/// All values of all layers.
#[derive(Default)]
pub(super) struct Layers {
    /// Every key there is, in the order of the embedded file.
    pub(super) known: Vec<String>,
    pub(super) defaults: BTreeMap<String, Found>,
    /// What overrides a default.
    pub(super) set: BTreeMap<String, Found>,
    pub(super) faults: Vec<Fault>,
    pub(super) warnings: Vec<String>,
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

/// The environment variable of a key.
pub fn variable(key: &str) -> String {
    match FIXED.iter().find(|(fixed, _)| *fixed == key) {
        Some((_, name)) => (*name).to_owned(),
        None => format!("PAYOUT_{}", key.replace('.', "_").to_ascii_uppercase()),
    }
}

fn is_fixed(key: &str) -> bool {
    FIXED.iter().any(|(fixed, _)| *fixed == key)
}

static VARIABLES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut names = vec![CONFIG_FILE_VARIABLE.to_owned()];
    for key in Layers::embedded().known {
        names.push(variable(&key));
        if is_fixed(&key) {
            names.push(format!("{}_FILE", variable(&key)));
        }
    }
    names
});

/// Every environment variable that is read, in the order of the embedded file.
pub fn variables() -> Vec<String> {
    VARIABLES.clone()
}

impl Layers {
    /// The defaults alone.
    pub(super) fn embedded() -> Self {
        static READ: LazyLock<Result<Entries, (usize, String)>> = LazyLock::new(|| entries(DEFAULTS));
        let mut layers = Self::default();
        match &*READ {
            Ok(found) => {
                for (key, _, value) in found {
                    let found = Found { raw: Raw::Toml(value.clone()), origin: Origin::Default };
                    layers.defaults.insert(key.clone(), found);
                    layers.known.push(key.clone());
                }
            }
            // A test holds the embedded file to its form.
            Err((line, message)) => layers.faults.push(broken(Path::new("default.toml"), *line, message)),
        }
        layers
    }

    /// Lays `file` over the defaults.
    pub(super) fn add_file(&mut self, file: &Path) {
        let text = match read(file) {
            Ok(text) => text,
            Err(error) => {
                self.faults.push(Fault {
                    place: file.display().to_string(),
                    found: format!("a file that cannot be read ({error})"),
                    expected: "a configuration file in TOML".to_owned(),
                    advice: "Correct the path, or make the file readable.".to_owned(),
                });
                return;
            }
        };
        let found = match entries(&text) {
            Ok(found) => found,
            Err((line, message)) => return self.faults.push(broken(file, line, &message)),
        };
        let secret = |entry: &(String, usize, toml::Value)| {
            is_fixed(&entry.0) && entry.2.as_str().is_some_and(|v| !v.is_empty())
        };
        if found.iter().any(secret) {
            self.warn_if_open(file, "it holds secrets");
        }
        for (key, line, value) in found {
            if self.defaults.contains_key(&key) {
                let origin = Origin::File { path: file.to_owned(), line };
                self.set.insert(key, Found { raw: Raw::Toml(value), origin });
                continue;
            }
            let meant = nearest(&key, self.known.iter().map(String::as_str));
            self.faults.push(Fault {
                place: format!("{} line {line}", file.display()),
                found: format!("the unknown key {key}"),
                expected: "a key of the configuration (`--dump-config` lists them)".to_owned(),
                advice: match meant {
                    Some(meant) => format!("Did you mean {meant}?"),
                    None => "Remove it.".to_owned(),
                },
            });
        }
    }

    /// Lays environment variables over everything else.
    pub(super) fn add_environment(&mut self, environment: &Environment, needed: impl Fn(&str) -> bool) {
        for key in self.known.clone() {
            if !needed(&key) {
                continue;
            }
            let name = variable(&key);
            let twin = format!("{name}_FILE");
            let value = set(environment, &name);
            let file = if is_fixed(&key) { set(environment, &twin) } else { None };
            match (value, file) {
                (Some(_), Some(_)) => self.faults.push(Fault {
                    place: format!("environment variables {name} and {twin}"),
                    found: "both set".to_owned(),
                    expected: "one of the two".to_owned(),
                    advice: format!("Remove {name} (a file keeps the value out of process listings)."),
                }),
                (Some(value), None) => {
                    self.set.insert(key, Found { raw: Raw::Text(value.to_owned()), origin: Origin::Variable(name) });
                }
                (None, Some(path)) => self.add_value_file(key, twin, Path::new(path)),
                (None, None) => {}
            }
        }
        self.warn_of_unknown(environment);
    }

    fn add_value_file(&mut self, key: String, variable: String, path: &Path) {
        let fault = |found: String, advice: &str| Fault {
            place: format!("environment variable {variable}"),
            found,
            expected: format!("the path of a file that holds the value of {key}"),
            advice: advice.to_owned(),
        };
        match read(path) {
            Err(error) => self.faults.push(fault(
                format!("{}, which cannot be read ({error})", path.display()),
                "Correct the path, or let this user read the file.",
            )),
            Ok(text) if text.trim().is_empty() => {
                self.faults.push(fault(format!("{}, which is empty", path.display()), "Write the value into the file."))
            }
            Ok(text) => {
                self.warn_if_open(path, &variable);
                let origin = Origin::VariableFile { variable, path: path.to_owned() };
                self.set.insert(key, Found { raw: Raw::Text(text.trim().to_owned()), origin });
            }
        }
    }

    fn warn_if_open(&mut self, path: &Path, why: &str) {
        if fs::metadata(path).is_ok_and(|about| about.permissions().mode() & 0o007 != 0) {
            let path = path.display();
            self.warnings.push(format!("{path} ({why}) is readable by every user of this host: chmod 400 it"));
        }
    }

    /// Names of ours that nothing reads are no fault: for a service called `payout-payer` Kubernetes puts
    /// PAYOUT_PAYER_SERVICE_HOST, PAYOUT_PAYER_PORT and more of the kind into every container.
    fn warn_of_unknown(&mut self, environment: &Environment) {
        for name in environment.keys().filter(|name| name.starts_with("PAYOUT_") && !VARIABLES.contains(name)) {
            let meant = match nearest(name, VARIABLES.iter().map(String::as_str)) {
                Some(meant) => format!("; did you mean {meant}?"),
                None => String::new(),
            };
            self.warnings.push(format!("environment variable {name} is not read by any stage{meant}"));
        }
    }
}

/// The value of a variable; one that is empty counts as not set, as compose files leave them.
pub(super) fn set<'a>(environment: &'a Environment, name: &str) -> Option<&'a str> {
    environment.get(name).map(String::as_str).filter(|value| !value.trim().is_empty())
}

/// Reads a small text file.
pub(super) fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    fs::File::open(path)?.take(FILE_LIMIT).read_to_string(&mut text)?;
    Ok(text)
}

type Entries = Vec<(String, usize, toml::Value)>;

/// Key, line and value of everything in a file, in its order.
fn entries(text: &str) -> Result<Entries, (usize, String)> {
    let line = |at: usize| text.as_bytes()[..at.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1;
    let fail = |error: toml::de::Error| (line(error.span().map_or(0, |span| span.start)), error.message().to_owned());
    let places = DeTable::parse(text).map_err(fail)?;
    let mut values: toml::Table = toml::from_str(text).map_err(fail)?;
    let mut found = Vec::new();
    for (section, content) in places.get_ref() {
        let name = section.get_ref().as_ref();
        let Some(value) = values.remove(name) else { continue };
        match (content.get_ref().as_table(), value) {
            (Some(keys), toml::Value::Table(mut values)) => {
                for (key, _) in keys {
                    let Some(value) = values.remove(key.get_ref().as_ref()) else { continue };
                    found.push((key.span().start, format!("{name}.{}", key.get_ref()), value));
                }
            }
            (_, value) => found.push((section.span().start, name.to_owned(), value)),
        }
    }
    found.sort_by_key(|entry| entry.0);
    Ok(found.into_iter().map(|(at, key, value)| (key, line(at), value)).collect())
}

/// The parser's message names what it expected, never what it read.
fn broken(file: &Path, line: usize, message: &str) -> Fault {
    Fault {
        place: format!("{} line {line}", file.display()),
        found: format!("text that is not TOML ({})", message.lines().next().unwrap_or_default()),
        expected: "a configuration file in TOML".to_owned(),
        advice: "Correct the line.".to_owned(),
    }
}
