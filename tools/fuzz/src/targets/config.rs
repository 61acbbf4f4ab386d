//! Configurations: any file and any variables give either a configuration or every fault, and no secret is ever shown.

use pipeline::config::{Config, Environment, Faults, Needs, variables};

use crate::input::Input;
use crate::scratch;

/// Stands in every secret, and nowhere in what is shown.
const CANARY: &str = "c4nary-Pa55word";
const ALL: Needs = Needs { redis: true, money: true, pin: true, webhook: true };
/// Most variables that are set beside those that are required.
const MAX_VARIABLES: u8 = 4;
/// The bits of the form that ask whether every fault is told: all of them do, so one form in eight. A load for each
/// variable costs as much as several inputs that do not ask.
const EVERY_FAULT: u8 = 0b0000_0111;

/// Makes a file and variables of the bytes, and loads them.
///
/// # Panics
/// When a rule is broken.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let form = input.byte();
    let secret = format!("{}{CANARY}{}", input.text(), input.text());
    let mut set = Vec::new();
    for _ in 0..form % (MAX_VARIABLES + 1) {
        set.push(variable(&mut input));
    }
    let file = file(form >> 3, &secret, input.rest());
    if reaches_devices(&file) {
        return;
    }
    scratch::with_file(&file, |_, path| {
        let load = |set: &[(String, String)]| Config::load(ALL, Some(&path), &environment(&secret, set));
        match load(&set) {
            Ok(config) => accepted(&config),
            Err(faults) => {
                refused(&faults);
                if form & EVERY_FAULT == EVERY_FAULT {
                    every_fault_is_told(&set, &faults, load);
                }
            }
        }
    });
}

/// A variable of ours with any value. Files are looked for where there are none.
fn variable(input: &mut Input<'_>) -> (String, String) {
    let names = variables();
    let name = names[usize::from(input.byte()) % names.len()].clone();
    let text = input.text();
    let value = if name.ends_with("_FILE") { format!("/nowhere/{text}") } else { text };
    (name, value)
}

/// What is required, with secrets, and `set` over it.
fn environment(secret: &str, set: &[(String, String)]) -> Environment {
    let required = [
        ("DATABASE_URL", format!("mysql://app:{secret}@db:3306/payout")),
        ("REDIS_URL", format!("redis://:{secret}@cache:6379/0")),
        ("MONEY_URL", "http://money:1".to_owned()),
        ("MONEY_TOKEN", secret.to_owned()),
        ("PAYOUT_CONSUMER_NAME", "here".to_owned()),
    ];
    let required = required.into_iter().map(|(name, value)| (name.to_owned(), value));
    required.chain(set.iter().cloned()).collect()
}

/// Any text, behind a secret in one form or another.
fn file(form: u8, secret: &str, text: &[u8]) -> Vec<u8> {
    let value = toml::Value::String(secret.to_owned());
    let url = toml::Value::String(format!("mysql://app:{secret}@db/payout"));
    let before = match form & 7 {
        1 => format!("[money]\ntoken = {value}\n"),
        2 => format!("[money]\ntoken = [{value}]\n"),
        3 => format!("[database]\nurl = {url}\n"),
        4 => format!("[database]\nurl = {{ password = {value} }}\n"),
        5 => format!("[money]\ntokn = {value}\n"),
        6 => format!("[redis]\nurl = {value}\n"),
        _ => String::new(),
    };
    [before.as_bytes(), text].concat()
}

/// Whether a file might be named that gives no end of bytes, or none at all: who writes the configuration may do that.
fn reaches_devices(file: &[u8]) -> bool {
    let text = String::from_utf8_lossy(file);
    ["dev", "proc", "sys"].iter().any(|folder| text.contains(folder))
}

fn accepted(config: &Config) {
    let dump = config.dump();
    assert!(!dump.contains(CANARY), "{dump}");
    assert!(!format!("{config:?}").contains(CANARY), "{config:?}");
    assert!(config.warnings.iter().all(|warning| !warning.contains(CANARY)), "{:?}", config.warnings);
    let read: Result<toml::Table, _> = toml::from_str(dump);
    assert!(read.is_ok(), "a dump that is no configuration: {read:?}\n{dump}");
}

fn refused(faults: &Faults) {
    assert!(!faults.0.is_empty(), "refused without a fault");
    for fault in &faults.0 {
        let parts = [&fault.place, &fault.found, &fault.expected, &fault.advice];
        assert!(parts.iter().all(|part| !part.trim().is_empty()), "{fault:?}");
    }
    assert!(!faults.to_string().contains(CANARY), "{faults}");
}

/// The fault that a variable has alone is told whatever else is wrong.
fn every_fault_is_told(
    set: &[(String, String)],
    together: &Faults,
    load: impl Fn(&[(String, String)]) -> Result<Config, Faults>,
) {
    // Of one that is set twice, the last counts.
    let distinct = set.iter().enumerate().all(|(place, (name, _))| set[..place].iter().all(|(other, _)| other != name));
    if !distinct {
        return;
    }
    for one in set {
        let Err(alone) = load(std::slice::from_ref(one)) else { continue };
        let place = format!("environment variable {}", one.0);
        // Beside its twin, of which one names a file with the value, neither is read: that is told instead.
        let names_it = |place: &str| {
            place
                .strip_prefix("environment variables ")
                .is_some_and(|both| both.split(" and ").any(|name| name == one.0))
        };
        let is_unread = together.0.iter().any(|fault| names_it(&fault.place));
        for fault in alone.0.iter().filter(|fault| fault.place == place) {
            assert!(is_unread || together.0.contains(fault), "{fault} is not told beside {together}");
        }
    }
}
