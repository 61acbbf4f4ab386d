//! `audit`: every invariant of the protocol against MySQL, Redis and the ledger.
//!
//! Works on a live system: Redis is read first, then the rows, then the ledger, so that what was counted or paid must be
//! found by what is read later; what may be in flight is read again until it is gone, or for `--patience`, and counts as
//! broken only when it stays. One pass over the rows in pages, one over the ledger as it streams; memory is 40 bytes a
//! target (with a ledger), and the entries on the streams, which the window bounds.

mod book;
mod ending;
mod ledger;
mod partitions;
mod report;
mod rows;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::Result;
use pipeline::domain::{Amount, Partition, Promotion, PromotionStatus, TargetId};
use rust_decimal::Decimal;

use crate::cli::AuditArgs;
use crate::ended::Ended;
use crate::session::Session;
use book::{Posted, Wrong, judge_again};
use partitions::{Broken, Snapshot, broken, compared, snapshot};
use report::{Finding, Invariant, Printed, Report};
use rows::{Pass, Truth};

/// Between two looks at what may be in flight.
const PAUSE: Duration = Duration::from_millis(400);
/// Rows read again by one statement.
const AGAIN: usize = 5_000;

/// Audits a promotion; ends with 1 when an invariant is broken.
pub(crate) async fn run(session: &Session, args: &AuditArgs) -> Result<Ended> {
    let begun = Instant::now();
    let promotion = session.promotion(args.promotion).await?;
    let mut report = Report::new(args.name);
    let figures = ending::figures(session, &promotion).await?;
    let mut snapshots = Vec::new();
    for partition in promotion.partitions() {
        snapshots.push(snapshot(session.streams()?, &promotion, partition).await?);
    }
    let lasts: Vec<TargetId> = snapshots.iter().map(Snapshot::last).collect();
    let mut pass = rows::pass(&session.store, &promotion, &lasts, args.ledger.is_some(), &mut report).await?;
    let mut audit = Audit { session, promotion: &promotion, report: &mut report, deadline: begun + args.patience };
    audit.partitions(&snapshots, &pass.truths).await?;
    let entries = match &args.ledger {
        Some(url) => Some(audit.ledger(url, &mut pass).await?),
        None => None,
    };
    // The ledger of a large campaign takes longer than any patience that began with the audit.
    audit.deadline = Instant::now() + args.patience;
    audit.figures(&figures, &pass).await?;
    audit.seal(&figures, &pass);
    let held = report.held();
    let printed = Printed {
        promotion_id: promotion.id.0,
        campaign_code: promotion.campaign_code.to_string(),
        promotion_status: promotion.status.code(),
        targets: pass.targets,
        ledger_entries: entries,
        held,
        elapsed_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        invariants: report.into_lines(),
    };
    session.print(&printed, || printed.tables())?;
    Ok(if held { Ended::Done } else { Ended::Failed })
}

struct Audit<'a> {
    session: &'a Session,
    promotion: &'a Promotion,
    report: &'a mut Report,
    /// Until when what may be in flight is looked at again.
    deadline: Instant,
}

impl Audit<'_> {
    /// I4, I6 and I7 of the partitions.
    async fn partitions(&mut self, snapshots: &[Snapshot], truths: &[Truth]) -> Result<()> {
        let (entries, partitions) = compared(snapshots);
        self.report.checked(Invariant::I4, "counts, entries and rows of each partition", entries.max(partitions));
        self.report.checked(Invariant::I6, "reported backlog and entries of each partition", partitions);
        self.report.checked(Invariant::I7, "counts of each partition", partitions);
        let looked =
            snapshots.iter().zip(truths).map(|(snapshot, truth)| (snapshot.partition, broken(snapshot, truth)));
        let mut found: Vec<(Partition, Vec<Broken>)> = looked.filter(|(_, found)| !found.is_empty()).collect();
        while !found.is_empty() && Instant::now() < self.deadline {
            tokio::time::sleep(PAUSE).await;
            for (partition, broken) in &mut found {
                *broken = stays(std::mem::take(broken), self.look_again(*partition).await?);
            }
            found.retain(|(_, broken)| !broken.is_empty());
        }
        for (invariant, finding) in found.into_iter().flat_map(|(_, broken)| broken) {
            self.report.breach(invariant, finding);
        }
        Ok(())
    }

    /// The same partition now, by one snapshot of each side.
    async fn look_again(&self, partition: Partition) -> Result<Vec<Broken>> {
        let again = snapshot(self.session.streams()?, self.promotion, partition).await?;
        let proof = self.session.store.prove_partition(self.promotion, partition, again.last(), usize::MAX).await?;
        Ok(broken(&again, &Truth { counts: proof.counts, unfinished: proof.unfinished }))
    }

    /// I1, I2 and the sum of I5. Gives the number of the ledger's entries that belong to the campaign.
    async fn ledger(&mut self, url: &str, pass: &mut Pass) -> Result<u64> {
        let campaign = self.promotion.campaign_code.as_ref();
        let (book, report, session) = (&mut pass.book, &mut *self.report, self.session);
        ledger::read(url, |entry| match book.post(campaign, entry) {
            Posted::Yes | Posted::Elsewhere => {}
            Posted::NoTarget => {
                let key = entry.key.0.rsplit_once('_').map_or(entry.key.0.as_ref(), |(_, customer)| customer);
                let shown = if session.show_pii { key.to_owned() } else { crate::output::masked(key) };
                report
                    .breach(Invariant::I1, Finding::figure("a payment without a target", format!("customer {shown}")));
            }
        })
        .await?;
        self.report.checked(Invariant::I1, "rows and the ledger", pass.book.len());
        self.report.checked(Invariant::I2, "the ledger's entries", pass.book.entries);
        let suspects = pass.book.suspects();
        let (again, sure): (Vec<_>, Vec<_>) = suspects.into_iter().partition(|suspect| suspect.in_flight);
        for suspect in sure {
            self.wrong(suspect.target, suspect.wrong);
        }
        // A row that moved on while the ledger was read has the right to be paid. Judged by what it is now.
        for slice in again.chunks(AGAIN) {
            let ids: Vec<TargetId> = slice.iter().map(|suspect| TargetId(suspect.target)).collect();
            let rows = self.session.store.evidence_of(self.promotion, &ids).await?;
            let rows: std::collections::HashMap<i64, _> = rows.into_iter().map(|row| (row.target.0, row)).collect();
            for suspect in slice {
                if let Some(wrong) = rows.get(&suspect.target).and_then(|row| judge_again(suspect, row)) {
                    self.wrong(suspect.target, wrong);
                }
            }
        }
        if self.promotion.status == PromotionStatus::Completed {
            self.report.checked(Invariant::I5, "Σ SUCCESS and Σ ledger", 1);
            if pass.book.paid_cents != pass.success_cents {
                let detail = format!("rows {}, ledger {}", money(pass.success_cents), money(pass.book.paid_cents));
                self.report.breach(Invariant::I5, Finding::figure("Σ SUCCESS is not Σ ledger", detail));
            }
        }
        Ok(pass.book.entries)
    }

    fn wrong(&mut self, target: i64, wrong: Wrong) {
        let finding = Finding::target(target, wrong.what());
        match wrong {
            Wrong::NotPaid | Wrong::PaidTwice | Wrong::RetryingButPaid | Wrong::PaidWithoutIntent => {
                self.report.breach(Invariant::I1, finding);
            }
            // Both say so: none if it is FAILED; a FAILED row's key is refused, cancelled or never seen.
            Wrong::FailedButPaid => {
                self.report.breach(Invariant::I1, finding.clone());
                self.report.breach(Invariant::I2, finding);
            }
            Wrong::Amount | Wrong::Customer | Wrong::Campaign | Wrong::MoneyKey => {
                self.report.breach(Invariant::I2, finding);
            }
        }
    }

    /// I7 of the public figures, and I5.
    async fn figures(&mut self, figures: &ending::Figures, pass: &Pass) -> Result<()> {
        self.report.checked(Invariant::I7, "the summary row and the public hash", 2);
        let streams = self.session.streams()?;
        let mut found = ending::ahead(figures, pass.counts);
        let is_completed = figures.overview.status == PromotionStatus::Completed;
        if is_completed {
            self.report.checked(
                Invariant::I5,
                "keys of each partition, summary row, results, public hash",
                pass.targets,
            );
            found.extend(ending::completed(self.session, streams, self.promotion, figures, pass.counts).await?);
        }
        while !found.is_empty() && Instant::now() < self.deadline {
            tokio::time::sleep(PAUSE).await;
            let figures = ending::figures(self.session, self.promotion).await?;
            let proved = self.session.store.prove(self.promotion).await?.counts();
            let mut again = ending::ahead(&figures, proved);
            if is_completed && figures.overview.status == PromotionStatus::Completed {
                again.extend(ending::completed(self.session, streams, self.promotion, &figures, proved).await?);
            }
            found = stays(found, again);
        }
        for (invariant, finding) in found {
            self.report.breach(invariant, finding);
        }
        Ok(())
    }

    /// The targets are those that were sealed.
    fn seal(&mut self, figures: &ending::Figures, pass: &Pass) {
        if !ending::is_sealed(figures) {
            return;
        }
        self.report.checked(Invariant::Seal, "total_count, total_amount and the targets", pass.targets);
        if pass.targets != self.promotion.total_count {
            let detail = format!("total_count {}, targets {}", self.promotion.total_count, pass.targets);
            self.report.breach(Invariant::Seal, Finding::figure("total_count is not the number of targets", detail));
        }
        if Amount::from_row(decimal(pass.cents)) != self.promotion.total_amount {
            let detail = format!("total_amount {}, targets {}", self.promotion.total_amount, money(pass.cents));
            self.report
                .breach(Invariant::Seal, Finding::figure("total_amount is not what the targets add up to", detail));
        }
    }
}

/// What was broken before and still is: the same trouble of the same target or figure, with the figures of now.
fn stays(before: Vec<Broken>, now: Vec<Broken>) -> Vec<Broken> {
    let key = |broken: &Broken| (broken.0, broken.1.target_id, broken.1.partition, broken.1.what);
    let known: BTreeSet<_> = before.iter().map(key).collect();
    now.into_iter().filter(|broken| known.contains(&key(broken))).collect()
}

fn decimal(cents: i128) -> Decimal {
    Decimal::try_from_i128_with_scale(cents, 2).unwrap_or(Decimal::MAX)
}

fn money(cents: i128) -> String {
    crate::output::money(Amount::from_row(decimal(cents)))
}
