//! The flags, which are also the settings for a sandbox inside a test.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Parser;

use crate::faults::Faults;

/// Where the ledger is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LedgerPlace {
    /// It ends with the process.
    Memory,
    /// It survives kill -9.
    File(PathBuf),
}

impl FromStr for LedgerPlace {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "memory" => Self::Memory,
            path => Self::File(path.into()),
        })
    }
}

/// A stand-in for the money service: charges, look-ups, cancels, and every fault on request
#[derive(Debug, Clone, Parser)]
#[command(name = "money-sandbox", version)]
pub struct Settings {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    pub addr: SocketAddr,
    /// Writes the port here once it is open
    #[arg(long)]
    pub port_file: Option<PathBuf>,
    /// The bearer token that clients must send
    #[arg(long, env = "MONEY_SANDBOX_TOKEN", hide_env_values = true, default_value = "sandbox")]
    pub token: String,
    /// Reads the token from a file instead (surrounding white space is cut off)
    #[arg(long)]
    pub token_file: Option<PathBuf>,
    /// The ledger's file, or `memory`
    #[arg(long, default_value = "memory")]
    pub ledger: LedgerPlace,
    /// Writes one JSON line per request here
    #[arg(long)]
    pub journal: Option<PathBuf>,
    /// What every voucher PIN starts with, so that a test can search for it where it must not be
    #[arg(long, default_value = "PIN")]
    pub pin_prefix: String,
    /// The seed of every random decision
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Threads that serve requests (default: one per core)
    #[arg(long)]
    pub threads: Option<usize>,
    /// A deployment without look-up: 405
    #[arg(long)]
    pub no_lookup: bool,
    /// A deployment without cancel: 405
    #[arg(long)]
    pub no_cancel: bool,
    /// Pays each time, whatever the key
    #[arg(long)]
    pub ignore_idempotency_key: bool,
    /// How long a key is remembered, e.g. `30s` (default: for ever)
    #[arg(long, value_parser = humantime::parse_duration)]
    pub forget_keys_after: Option<Duration>,
    /// Faults at start
    #[command(flatten, next_help_heading = "Faults")]
    pub faults: Faults,
}

impl Default for Settings {
    /// What the flags say when none is given.
    fn default() -> Self {
        Self::parse_from(["money-sandbox"])
    }
}

impl Settings {
    /// The token, from its file when one is named.
    ///
    /// # Errors
    /// The file cannot be read, or the token is empty.
    pub fn read_token(&self) -> anyhow::Result<String> {
        let token = match &self.token_file {
            Some(path) => {
                std::fs::read_to_string(path).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?
            }
            None => self.token.clone(),
        };
        let token = token.trim();
        anyhow::ensure!(!token.is_empty(), "the token is empty");
        Ok(token.to_owned())
    }
}
