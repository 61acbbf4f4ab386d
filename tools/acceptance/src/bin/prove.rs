//! The long runs of what `tests/rules` holds in short; `cargo xtask prove` builds and starts it. Each panics at the
//! first breach and leaves its figures for the report.

use std::time::SystemTime;

use acceptance::{terminations, weaker};
use clap::Parser;
use reliability::Section;

/// Long runs of the whole system, judged by the ledger
#[derive(Debug, Parser)]
#[command(name = "cargo xtask prove")]
enum Prove {
    /// SIGTERMs at random moments: exit within the grace, nothing that was recorded is delivered again
    Sigterm {
        /// How many SIGTERMs
        #[arg(long, default_value_t = 200)]
        times: u32,
        /// Which moments; another one each time without it
        #[arg(long)]
        seed: Option<u64>,
    },
    /// A money service that does not honour keys: kills and frozen payers with its look-up, lost answers without
    WeakerMoney {
        /// SIGKILLs of payers and retriers
        #[arg(long, default_value_t = 200)]
        kills: u32,
        /// Payers frozen past the visibility timeout
        #[arg(long, default_value_t = 20)]
        freezes: u32,
        /// Which moments; another one each time without it
        #[arg(long)]
        seed: Option<u64>,
    },
}

fn main() -> anyhow::Result<()> {
    match Prove::parse() {
        Prove::Sigterm { times, seed } => {
            let seed = seed.unwrap_or_else(by_the_clock);
            let command = format!("cargo xtask prove sigterm --times {times} --seed {seed}");
            let section = Section::begin("sigterm", "SIGTERM at random moments", &command);
            terminations::run(times, seed).save(section)
        }
        Prove::WeakerMoney { kills, freezes, seed } => {
            let seed = seed.unwrap_or_else(by_the_clock);
            let command = format!("cargo xtask prove weaker-money --kills {kills} --freezes {freezes} --seed {seed}");
            let section = Section::begin("weaker-money", "Weaker money services", &command);
            let outcomes = [
                ("look-up, no key", weaker::killed(kills, seed)),
                ("look-up, no key", weaker::frozen(freezes)),
                ("neither", weaker::without_look_up(kills / 10)),
            ];
            weaker::save(section, outcomes)
        }
    }
}

fn by_the_clock() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs())
}
