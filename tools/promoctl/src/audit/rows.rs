//! One pass over a promotion's targets and results, in the order of their ids.

use anyhow::Result;
use pipeline::domain::{Counts, ProcessStatus, Promotion, TargetId};
use pipeline::store::{Evidence, Store};

use super::book::Book;
use super::report::{Finding, Invariant, Report};

/// Rows of a page: some 3 MB, and a read view that is held for 0.1 s.
const PAGE: u32 = 20_000;

/// What MySQL says about a partition's targets up to the stream's last id.
#[derive(Clone, Default, Debug)]
pub(super) struct Truth {
    /// Published and settled.
    pub(super) counts: Counts,
    /// Published and not final, ascending.
    pub(super) unfinished: Vec<TargetId>,
}

/// What a pass found.
pub(super) struct Pass {
    /// Targets.
    pub(super) targets: u64,
    /// Their money.
    pub(super) cents: i128,
    /// Money of those that are SUCCESS.
    pub(super) success_cents: i128,
    /// Counts of all partitions; published counts the targets.
    pub(super) counts: Counts,
    /// By partition, up to its last id.
    pub(super) truths: Vec<Truth>,
    /// The rows to compare with the ledger.
    pub(super) book: Book,
}

/// Reads all targets. `lasts` are the streams' last ids, read before.
pub(super) async fn pass(
    store: &Store,
    promotion: &Promotion,
    lasts: &[TargetId],
    with_book: bool,
    report: &mut Report,
) -> Result<Pass> {
    let extent = store.extent(promotion).await?;
    let mut pass = Pass {
        targets: 0,
        cents: 0,
        success_cents: 0,
        counts: Counts::default(),
        truths: vec![Truth::default(); lasts.len()],
        book: Book::with_capacity(if with_book { extent.targets } else { 0 }),
    };
    let mut requeued = Vec::new();
    if let Some(bounds) = extent.bounds {
        let mut after = TargetId(bounds.first.0 - 1);
        loop {
            let page = store.evidence(promotion, after, bounds.last, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.target;
            for row in &page {
                pass.add(row, lasts, report);
                row_rules(row, report);
                if row.requeues > 0 {
                    requeued.push(row.target);
                }
                if with_book {
                    pass.book.add(row);
                }
            }
        }
    }
    pass.book.close();
    report.checked(Invariant::I2, "rows", pass.targets);
    report.checked(Invariant::I3, "rows, results without a target", pass.targets);
    for stray in store.strays(promotion, STRAYS).await? {
        report.breach(Invariant::I3, Finding::target(stray.0.0, "a result without a target"));
    }
    if !requeued.is_empty() && store.acts(promotion).await? == 0 {
        for target in requeued {
            report.breach(Invariant::I3, Finding::target(target.0, "requeued, and the audit trail does not know"));
        }
    }
    Ok(pass)
}

/// Results without a target that are counted.
const STRAYS: u32 = 100_000;

impl Pass {
    fn add(&mut self, row: &Evidence, lasts: &[TargetId], report: &mut Report) {
        self.targets += 1;
        let cents = i128::from(row.cents.unwrap_or(0));
        self.cents += cents;
        self.counts.published += 1;
        let counter = row.counter();
        if let Some(counter) = counter {
            self.counts.add(counter, 1);
        }
        if row.status == Some(ProcessStatus::Success) {
            self.success_cents += cents;
        }
        let partition = row.partition as usize;
        let (Some(truth), Some(last)) = (self.truths.get_mut(partition), lasts.get(partition)) else {
            report.breach(Invariant::Seal, Finding::target(row.target.0, "partition_key out of range"));
            return;
        };
        if row.target > *last {
            return;
        }
        truth.counts.published += 1;
        match counter {
            Some(counter) => truth.counts.add(counter, 1),
            None => truth.unfinished.push(row.target),
        }
    }
}

/// What a row alone can break.
fn row_rules(row: &Evidence, report: &mut Report) {
    let target = row.target.0;
    if row.status.is_some_and(ProcessStatus::is_final) {
        if !row.intent {
            report.breach(Invariant::I3, Finding::target(target, "final without an intent"));
        } else if !row.sent_or_unpayable {
            report.breach(Invariant::I3, Finding::target(target, "final, and never sent"));
        }
    }
    if !row.own_promotion {
        report.breach(Invariant::I3, Finding::target(target, "the result names another promotion"));
    }
    if row.generation > row.requeues + 1 {
        report.breach(Invariant::I3, Finding::target(target, "a later key without a requeue"));
    }
    match (row.status, &row.transaction_key) {
        (Some(ProcessStatus::Success), None) => {
            report.breach(Invariant::I2, Finding::target(target, "SUCCESS without a transaction_key"));
        }
        (Some(ProcessStatus::Failed | ProcessStatus::Retrying), Some(_)) => {
            report.breach(Invariant::I2, Finding::target(target, "a transaction_key without SUCCESS"));
        }
        (Some(ProcessStatus::Success | ProcessStatus::Pending), _) | (_, None) | (None, Some(_)) => {}
    }
    if row.status == Some(ProcessStatus::Success) && row.cents.is_none_or(|cents| cents <= 0) {
        report.breach(Invariant::I2, Finding::target(target, "SUCCESS without an amount"));
    }
}
