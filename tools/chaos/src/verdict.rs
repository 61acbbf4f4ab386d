//! The judgement of an iteration: the books against the ledger first, then the product's own audit.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::stand::Stand;

/// How long figures that follow a promotion's end may take: the public hash that a flush has removed is written again
/// by the next sweep.
const CLOSED_BOUND: std::time::Duration = std::time::Duration::from_secs(15);
/// The audit's own patience with what is in flight.
const AUDIT_PATIENCE: &str = "3s";
/// Breaches that are named, of each judge.
const SHOWN: usize = 15;

impl Stand<'_> {
    /// Every breach of every invariant; none is what everybody hopes for. And how many of them are of exactly once.
    ///
    /// # Errors
    /// The audit cannot be run.
    pub fn judge(&mut self) -> Result<(Vec<String>, u64)> {
        // What money has done is done: no waiting makes a double payment single.
        let mut breaches = self.books()?.exactly_once();
        let wrong = breaches.len() as u64;
        if breaches.is_empty() {
            let closed = servers::poll(CLOSED_BOUND, || {
                // A summarizer may have died behind COMPLETED.
                self.crew.tend().ok()?;
                self.books().ok()?.closed().is_empty().then_some(())
            });
            if closed.is_none() {
                breaches.extend(self.books()?.closed());
            }
        }
        breaches.truncate(SHOWN);
        breaches.extend(self.audit()?);
        Ok((breaches, wrong))
    }

    /// What `promoctl audit` finds.
    fn audit(&self) -> Result<Vec<String>> {
        let (id, ledger) = (self.campaign()?.id.to_string(), self.money.url());
        let finished =
            self.promoctl(&["audit", &id, "--ledger", &ledger, "--patience", AUDIT_PATIENCE, "-o", "json"])?;
        if finished.status.success() {
            return Ok(Vec::new());
        }
        let report: Value = serde_json::from_str(&finished.stdout)
            .with_context(|| format!("the audit says {}{}", finished.stdout, finished.stderr))?;
        let broken = report["invariants"].as_array().into_iter().flatten().filter(|line| line["breaches"] != 0);
        let broken: Vec<String> = broken.map(|line| format!("audit: {line}")).take(SHOWN).collect();
        ensure!(!broken.is_empty(), "the audit fails without a breach: {}", finished.stderr);
        Ok(broken)
    }
}
