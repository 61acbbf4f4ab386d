//! Asking before writing.

use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::Result;
use pipeline::domain::Amount;
use serde::Serialize;

use crate::cli::Consent;
use crate::ended::{Ended, refuse};
use crate::output::{count, money};
use crate::session::Session;

/// What a write is about: shown before it, printed after it.
#[derive(Serialize, Debug)]
pub(crate) struct Plan {
    /// As in the audit trail.
    pub(crate) action: &'static str,
    /// In words: `stop promotion 17 (SPRING)`.
    #[serde(skip)]
    pub(crate) what: String,
    /// To which promotion.
    pub(crate) promotion_id: Option<i64>,
    /// To which target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) target_id: Option<i64>,
    /// How many targets it concerns.
    pub(crate) targets: u64,
    /// How much money they are.
    pub(crate) amount: Amount,
    /// Status before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<String>,
    /// Status after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) to: Option<String>,
    /// Whether nothing was written.
    pub(crate) dry_run: bool,
}

impl Plan {
    /// Shows what would be done and asks. `false` means a dry run: it has been printed, and nothing is to be written.
    ///
    /// # Errors
    /// Refused, by the person or for want of one.
    pub(crate) fn consented(&mut self, session: &Session, consent: &Consent) -> Result<bool> {
        if consent.dry_run {
            self.dry_run = true;
            session.print(self, || println!("would {}: {}", self.what, self.extent()))?;
            return Ok(false);
        }
        if consent.yes {
            return Ok(true);
        }
        if !io::stdin().is_terminal() {
            return refuse(format!("{} ({}) without a terminal needs --yes", self.what, self.extent()));
        }
        eprint!("{}: {}. Go on? Type yes: ", self.what, self.extent());
        io::stderr().flush()?;
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        match answer.trim() {
            "yes" => Ok(true),
            _ => refuse("not confirmed; nothing was written"),
        }
    }

    /// Prints what was done.
    pub(crate) fn done(&self, session: &Session) -> Result<Ended> {
        session.print(self, || {
            let moved = match (&self.from, &self.to) {
                (Some(from), Some(to)) => format!(" ({from} → {to})"),
                (Some(_) | None, _) => String::new(),
            };
            println!("done: {}{moved}: {}", self.what, self.extent());
        })
    }

    /// Count and money, for people.
    pub(crate) fn extent(&self) -> String {
        format!("{} targets, {}", count(self.targets), money(self.amount))
    }
}
