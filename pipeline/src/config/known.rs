//! Every key there is: what the embedded file says, read once.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::value::{Entry, Found, Origin, Raw, entries};

/// The embedded defaults.
pub(super) const DEFAULTS: &str = include_str!("default.toml");

/// Names the file that overrides the defaults, where `--config` does not.
pub const CONFIG_FILE_VARIABLE: &str = "PAYOUT_CONFIG_FILE";

/// Addresses and secrets: their variables have names of their own, and their values are hidden.
const SECRETS: [(&str, &str); 6] = [
    ("database.url", "DATABASE_URL"),
    ("redis.url", "REDIS_URL"),
    ("money.url", "MONEY_URL"),
    ("money.token", "MONEY_TOKEN"),
    ("webhook.url", "PAYOUT_WEBHOOK_URL"),
    ("webhook.secret", "PAYOUT_WEBHOOK_SECRET"),
];

/// A key of the configuration.
pub(super) struct Key {
    /// `section.key`
    pub(super) name: String,
    /// Its environment variable.
    pub(super) variable: String,
    /// The twin of the variable, which names a file with the value; addresses and secrets have one.
    pub(super) file_variable: Option<String>,
    pub(super) default: Found,
}

/// All of them, in the order of the embedded file.
pub(super) static KEYS: LazyLock<Vec<Key>> = LazyLock::new(|| {
    let defaults = entries(DEFAULTS).expect("default.toml is embedded, and every test reads it");
    defaults.into_iter().map(Key::new).collect()
});

static BY_NAME: LazyLock<HashMap<&str, &Key>> =
    LazyLock::new(|| KEYS.iter().map(|key| (key.name.as_str(), key)).collect());

static VARIABLES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let of_keys = KEYS.iter().flat_map(|key| std::iter::once(&key.variable).chain(&key.file_variable));
    std::iter::once(&CONFIG_FILE_VARIABLE.to_owned()).chain(of_keys).cloned().collect()
});

/// Every environment variable that is read, in the order of the embedded file.
pub fn variables() -> &'static [String] {
    &VARIABLES
}

impl Key {
    fn new(Entry { key: name, value, .. }: Entry) -> Self {
        let secret = SECRETS.iter().find(|(key, _)| *key == name);
        let variable = match secret {
            Some((_, variable)) => (*variable).to_owned(),
            None => format!("PAYOUT_{}", name.replace('.', "_").to_ascii_uppercase()),
        };
        let file_variable = secret.map(|_| format!("{variable}_FILE"));
        Self { name, variable, file_variable, default: Found { raw: Raw::Toml(value), origin: Origin::Default } }
    }

    /// The key of this name.
    pub(super) fn find(name: &str) -> Option<&'static Self> {
        BY_NAME.get(name).copied()
    }

    /// The same for a name that stands in the code: a test holds those and the embedded file together.
    pub(super) fn named(name: &str) -> &'static Self {
        Self::find(name).unwrap_or_else(|| panic!("{name} is not in default.toml"))
    }

    /// Section and key; the section is empty where there is none.
    pub(super) fn parts(&self) -> (&str, &str) {
        self.name.split_once('.').unwrap_or(("", &self.name))
    }

    /// Whether its value is hidden.
    pub(super) fn is_secret(&self) -> bool {
        self.file_variable.is_some()
    }
}
