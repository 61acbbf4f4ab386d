//! Streams and counts against MySQL: I4, I6 and I7.

use std::collections::{BTreeSet, HashMap, HashSet};

use anyhow::Result;
use pipeline::domain::{Counts, EntryId, Partition, Promotion, TargetId};
use pipeline::record::Record;
use pipeline::streams::{PartitionState, Streams};

use super::report::{Finding, Invariant};
use super::rows::Truth;

/// Entries of a page of XRANGE or XPENDING: under 1 ms of the Redis thread.
const PAGE: usize = 1_000;

/// A partition as Redis has it.
pub(super) struct Snapshot {
    pub(super) partition: Partition,
    state: PartitionState,
    /// Whether the undelivered entries were counted one by one.
    counted: bool,
    /// Targets of the entries, and how many entries each has.
    entries: HashMap<TargetId, u32>,
    /// Entries that were read.
    read: u64,
    /// Entries that name no target, or another promotion's.
    undecodable: u64,
    /// Targets whose entry was delivered, and which nobody holds.
    lost: BTreeSet<TargetId>,
    /// Entries that somebody holds, and which are gone.
    gone: BTreeSet<Option<TargetId>>,
}

/// A breach and what it breaks.
pub(super) type Broken = (Invariant, Finding);

impl Snapshot {
    /// The last published target.
    pub(super) fn last(&self) -> TargetId {
        let first = self.state.position.map_or(0, |position| position.last.first);
        TargetId(i64::try_from(first).unwrap_or(i64::MAX))
    }
}

/// Reads a partition: its state in one instant, then its entries.
pub(super) async fn snapshot(streams: &Streams, promotion: &Promotion, partition: Partition) -> Result<Snapshot> {
    let (state, counted) = streams.surveyed(partition).await?;
    let mut snapshot = Snapshot {
        partition,
        counted,
        entries: HashMap::new(),
        read: 0,
        undecodable: 0,
        lost: BTreeSet::new(),
        gone: BTreeSet::new(),
        state,
    };
    if snapshot.state.position.is_none() {
        return Ok(snapshot);
    }
    // Which entries are not where they should be is asked only when the figures say that some are.
    let is_odd = snapshot.counted && snapshot.state.len() != snapshot.state.pending + snapshot.state.undelivered;
    let held = if is_odd { Some(held(streams, partition, &snapshot.state).await?) } else { None };
    let mut seen: HashSet<EntryId> = HashSet::new();
    let mut after = None;
    loop {
        let page = streams.entries(partition, after, PAGE).await?;
        after = page.last().map(|(id, _)| *id).or(after);
        let full = page.len() == PAGE;
        for (id, body) in page {
            let target = named(promotion, id, body.as_deref());
            snapshot.add(id, target);
            if let Some(held) = &held {
                seen.insert(id);
                let delivered = snapshot.state.last_delivered.is_some_and(|last| id <= last);
                if let (true, Some(target)) = (delivered && !held.contains(&id), target) {
                    snapshot.lost.insert(target);
                }
            }
        }
        if !full {
            break;
        }
    }
    for id in held.iter().flatten().filter(|id| !seen.contains(id)) {
        snapshot.gone.insert(id.target());
    }
    Ok(snapshot)
}

impl Snapshot {
    fn add(&mut self, id: EntryId, target: Option<TargetId>) {
        let last = self.state.position.map_or(EntryId::ZERO, |position| position.last);
        // Published since the state was read.
        if id > last {
            return;
        }
        self.read += 1;
        match target {
            Some(target) => *self.entries.entry(target).or_default() += 1,
            None => self.undecodable += 1,
        }
    }
}

/// The target of an entry: by its record, or by its id where the record cannot be read.
fn named(promotion: &Promotion, id: EntryId, body: Option<&[u8]>) -> Option<TargetId> {
    match body.map(Record::decode) {
        Some(Ok(record)) => (record.promotion == promotion.id).then_some(record.target),
        Some(Err(_)) | None => id.target(),
    }
}

/// Everything that somebody holds.
async fn held(streams: &Streams, partition: Partition, state: &PartitionState) -> Result<HashSet<EntryId>> {
    let mut held = HashSet::new();
    for (consumer, _) in &state.consumers {
        let mut after = None;
        loop {
            let page = streams.pending_page(partition, consumer, after, PAGE).await?;
            after = page.last().map(|entry| entry.id).or(after);
            held.extend(page.iter().map(|entry| entry.id));
            if page.len() < PAGE {
                break;
            }
        }
    }
    Ok(held)
}

/// What a partition breaks. Of a running promotion some of it may be in flight: then it is looked at again.
pub(super) fn broken(snapshot: &Snapshot, truth: &Truth) -> Vec<Broken> {
    let mut broken = Vec::new();
    let number = snapshot.partition.number;
    let mut add = |invariant, finding: Finding| broken.push((invariant, finding.of(number)));
    let state = &snapshot.state;
    let counts = state.counts;
    let backlog = i128::from(counts.published) - i128::from(counts.settled());
    if backlog != i128::from(state.len()) {
        let detail = format!("published {} − settled {}, entries {}", counts.published, counts.settled(), state.len());
        add(Invariant::I4, Finding::figure("published − settled is not the number of entries", detail));
    }
    exceeding(counts, truth.counts, &mut add);
    let Some(position) = state.position else { return broken };
    if counts.published != truth.counts.published {
        let detail = format!(
            "published_count {}, targets up to {}: {}",
            counts.published, position.last, truth.counts.published
        );
        add(Invariant::I4, Finding::figure("published_count is not the number of targets up to the last id", detail));
    }
    for target in &truth.unfinished {
        if !snapshot.entries.contains_key(target) {
            add(Invariant::I4, Finding::target(target.0, "published, not final, and not on the stream"));
        }
    }
    let unfinished: HashSet<TargetId> = truth.unfinished.iter().copied().collect();
    for (target, entries) in &snapshot.entries {
        if *entries > 1 {
            add(Invariant::I4, Finding::target(target.0, "more than one entry"));
        } else if !unfinished.contains(target) {
            add(Invariant::I4, Finding::target(target.0, "an entry of a target that is final or unknown"));
        }
    }
    if snapshot.undecodable > 0 {
        add(
            Invariant::I4,
            Finding::figure("entries that name no target of the promotion", snapshot.undecodable.to_string()),
        );
    }
    backlog_is_real(snapshot, &mut add);
    broken
}

/// I6: what `promotion show` and the metrics report, against the entries one by one.
fn backlog_is_real(snapshot: &Snapshot, add: &mut impl FnMut(Invariant, Finding)) {
    let state = &snapshot.state;
    if state.position.is_some_and(|position| !position.group) {
        add(Invariant::I6, Finding::figure("the consumer group is missing", format!("{} entries", state.len())));
        return;
    }
    let reported = state.counts.backlog();
    let real = state.pending + state.undelivered;
    if snapshot.counted && (reported != real || state.len() != real) {
        let detail = format!(
            "reported {reported}, entries {}, pending {} + undelivered {}",
            state.len(),
            state.pending,
            state.undelivered
        );
        add(Invariant::I6, Finding::figure("the reported backlog is not pending + undelivered", detail));
    }
    for target in &snapshot.lost {
        add(Invariant::I6, Finding::target(target.0, "delivered, and nobody holds it"));
    }
    for target in &snapshot.gone {
        match target {
            Some(target) => add(Invariant::I6, Finding::target(target.0, "somebody holds it, and the entry is gone")),
            None => add(Invariant::I6, Finding::figure("somebody holds it, and the entry is gone", String::new())),
        }
    }
}

/// I7: no counter exceeds what MySQL proves.
pub(super) fn exceeding(counts: Counts, proved: Counts, add: &mut impl FnMut(Invariant, Finding)) {
    let figures = [
        ("success_count exceeds what MySQL proves", counts.success, proved.success),
        ("fail_count exceeds what MySQL proves", counts.fail, proved.fail),
        ("retry_success_count exceeds what MySQL proves", counts.retry_success, proved.retry_success),
    ];
    for (what, counted, proved) in figures {
        if counted > proved {
            add(Invariant::I7, Finding::figure(what, format!("counted {counted}, proved {proved}")));
        }
    }
}

/// What was compared, in entries and partitions.
pub(super) fn compared(snapshots: &[Snapshot]) -> (u64, u64) {
    (snapshots.iter().map(|snapshot| snapshot.read).sum(), snapshots.len() as u64)
}
