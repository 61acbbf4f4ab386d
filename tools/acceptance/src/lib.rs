//! Whole-system tests. The stages' own binaries run as separate processes against a private Redis, a private
//! MySQL server and the money sandbox; what they did is judged from outside.
//!
//! The judge shares no code with the stages: it reads the money ledger over plain HTTP, the tables by SQL and the
//! keys with plain Redis commands, and it reads the ledger first. Nothing paid twice, nothing lost; only then rows,
//! counts, summary and streams ([`Books`]).
//!
//! ```no_run
//! # fn main() {
//! use acceptance::{Plan, World};
//! use std::time::Duration;
//!
//! let world = World::plain();
//! let campaign = world.write(&Plan::points("SPRING", 300));
//! let _stages = world.run(2);
//! world.completed(&campaign, Duration::from_secs(60));
//! world.books(&campaign).assert_paid_and_closed();
//! # }
//! ```
//!
//! Everything panics on trouble: a harness for tests has nobody to hand an error to. When a test fails, the ends of
//! all its logs are printed.

mod books;
mod cache;
mod campaign;
mod http;
mod ledger;
mod money;
mod pin;
mod receiver;
mod sql;
mod stages;
pub mod terminations;
pub mod weaker;
mod world;

pub use books::{Books, Row};
pub use cache::{Cache, Counts};
pub use campaign::{Campaign, Kind, Plan};
pub use http::{Answer, get};
pub use ledger::{Entry, Ledger};
pub use money::{Money, Visit};
pub use pin::{key_file, open_pin};
pub use receiver::{Message, Receiver, WEBHOOK_SECRET};
pub use sql::Sql;
pub use stages::{Stage, Stages};
pub use world::{Build, World};

use std::time::Duration;

/// Waits for a condition, at most for `bound`; panics with what was waited for when it does not come true.
pub fn until<T>(what: &str, bound: Duration, ready: impl FnMut() -> Option<T>) -> T {
    servers::poll(bound, ready).unwrap_or_else(|| panic!("waited {bound:?} in vain: {what}"))
}

/// Seconds.
pub const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Milliseconds.
pub const fn millis(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}
