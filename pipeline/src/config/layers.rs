//! Where values come from: the embedded defaults, a file over them, environment variables over both.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::Environment;
use super::fault::{Fault, nearest};
use super::known::{KEYS, Key, variables};
use super::value::{Broken, Entry, Found, Origin, Raw, entries};

/// Longest file that is read for a value or as configuration, in bytes.
const FILE_LIMIT: u64 = 1 << 20;

/// What lies over the defaults.
#[derive(Default)]
pub(super) struct Layers {
    /// Values by their keys.
    pub(super) set: BTreeMap<&'static str, Found>,
    pub(super) faults: Vec<Fault>,
    pub(super) warnings: Vec<String>,
}

impl Layers {
    /// The value in effect: set, or else the default.
    pub(super) fn found(&self, key: &'static Key) -> &Found {
        self.set.get(key.name.as_str()).unwrap_or(&key.default)
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
            Err(broken) => return self.faults.push(not_toml(file, &broken)),
        };
        let is_secret = |entry: &Entry| {
            Key::find(&entry.key).is_some_and(Key::is_secret) && entry.value.as_str().is_some_and(|v| !v.is_empty())
        };
        if found.iter().any(is_secret) {
            self.warn_if_open(file, "it holds secrets");
        }
        for Entry { key, line, value } in found {
            match Key::find(&key) {
                Some(key) => {
                    let origin = Origin::File { path: file.to_owned(), line };
                    self.set.insert(&key.name, Found { raw: Raw::Toml(value), origin });
                }
                None => self.faults.push(unknown(file, line, &key)),
            }
        }
    }

    /// Lays environment variables over everything else.
    pub(super) fn add_environment(&mut self, environment: &Environment, needed: impl Fn(&str) -> bool) {
        for key in KEYS.iter().filter(|key| needed(&key.name)) {
            let name = &key.variable;
            let twin = key.file_variable.as_ref().and_then(|twin| Some((twin, set(environment, twin)?)));
            match (set(environment, name), twin) {
                (Some(_), Some((twin, _))) => self.faults.push(Fault {
                    place: format!("environment variables {name} and {twin}"),
                    found: "both set".to_owned(),
                    expected: "one of the two".to_owned(),
                    advice: format!("Remove {name} (a file keeps the value out of process listings)."),
                }),
                (Some(value), None) => {
                    let found = Found { raw: Raw::Text(value.to_owned()), origin: Origin::Variable(name) };
                    self.set.insert(&key.name, found);
                }
                (None, Some((twin, path))) => self.add_value_file(&key.name, twin, Path::new(path)),
                (None, None) => {}
            }
        }
        self.warn_of_unknown(environment);
    }

    fn add_value_file(&mut self, key: &'static str, variable: &'static str, path: &Path) {
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
                self.warn_if_open(path, variable);
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
        for name in environment.keys().filter(|name| name.starts_with("PAYOUT_") && !variables().contains(name)) {
            let meant = match nearest(name, variables().iter().map(String::as_str)) {
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

fn unknown(file: &Path, line: usize, key: &str) -> Fault {
    Fault {
        place: format!("{} line {line}", file.display()),
        found: format!("the unknown key {key}"),
        expected: "a key of the configuration (`--dump-config` lists them)".to_owned(),
        advice: match nearest(key, KEYS.iter().map(|key| key.name.as_str())) {
            Some(meant) => format!("Did you mean {meant}?"),
            None => "Remove it.".to_owned(),
        },
    }
}

fn not_toml(file: &Path, Broken { line, message }: &Broken) -> Fault {
    Fault {
        place: format!("{} line {line}", file.display()),
        found: format!("text that is not TOML ({})", message.lines().next().unwrap_or_default()),
        expected: "a configuration file in TOML".to_owned(),
        advice: "Correct the line.".to_owned(),
    }
}
