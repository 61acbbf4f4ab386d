//! Reading files of the workspace.

use std::collections::BTreeMap;
use std::path::PathBuf;

use pipeline::config::{Config, Environment, Needs};
use serde_yaml_ng::Value;

/// Stages that run for ever, and what each cannot do without.
pub const STAGES: [(&str, Needs); 4] = [
    ("dispatcher", Needs { redis: true, money: false, pin: false, webhook: false }),
    ("payer", Needs { redis: true, money: true, pin: true, webhook: false }),
    ("retrier", Needs { redis: true, money: true, pin: true, webhook: false }),
    ("summarizer", Needs { redis: true, money: false, pin: false, webhook: true }),
];

/// A path in the workspace.
pub fn path(name: &str) -> PathBuf {
    checks::root().join(name)
}

/// A file of the workspace.
pub fn text(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The only document of a YAML file, its merge keys applied.
pub fn yaml(name: &str) -> Value {
    let mut documents = documents(name);
    assert_eq!(documents.len(), 1, "{name} holds one document");
    documents.remove(0)
}

/// The documents of a YAML file.
pub fn documents(name: &str) -> Vec<Value> {
    let text = text(name);
    let parse = |document| {
        let mut value = <Value as serde::Deserialize>::deserialize(document).unwrap_or_else(|e| panic!("{name}: {e}"));
        // What is merged may itself merge.
        for _ in 0..4 {
            value.apply_merge().unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        value
    };
    serde_yaml_ng::Deserializer::from_str(&text).map(parse).collect()
}

/// Files in a folder of the workspace with this ending, by their paths in it, sorted.
pub fn files(folder: &str, ending: &str) -> Vec<String> {
    let entries = std::fs::read_dir(path(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut files: Vec<String> =
        names.filter(|name| name.ends_with(ending)).map(|name| format!("{folder}/{name}")).collect();
    files.sort();
    assert!(!files.is_empty(), "{folder} holds no {ending}");
    files
}

/// A text, a number or a truth value, as text.
pub fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
        Value::Null | Value::Sequence(_) | Value::Mapping(_) | Value::Tagged(_) => panic!("no scalar: {value:?}"),
    }
}

/// Name and value of everything in a mapping.
pub fn entries(mapping: &Value) -> Vec<(String, &Value)> {
    mapping.as_mapping().map(|all| all.iter().map(|(key, value)| (plain(key), value)).collect()).unwrap_or_default()
}

/// The configuration that a process with these variables would have. Files that only a container has stand for values
/// of the right form.
pub fn load(needs: Needs, variables: &BTreeMap<String, String>) -> Result<Config, String> {
    let mut environment = Environment::new();
    for (name, value) in variables {
        match name.as_str() {
            "DATABASE_URL_FILE" => environment.insert("DATABASE_URL".into(), "mysql://u:p@host:3306/d".into()),
            "REDIS_URL_FILE" => environment.insert("REDIS_URL".into(), "redis://:p@host:6379/0".into()),
            "MONEY_TOKEN_FILE" => environment.insert("MONEY_TOKEN".into(), "token".into()),
            "PAYOUT_PIN_KEY_FILE" => None,
            _ => environment.insert(name.clone(), value.clone()),
        };
    }
    Config::load(needs, None, &environment).map_err(|faults| faults.to_string())
}

/// Every key of the embedded configuration, with its default.
pub fn defaults() -> toml::Table {
    text("pipeline/src/config/default.toml").parse().expect("default.toml is TOML")
}
