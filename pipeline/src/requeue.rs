//! Giving FAILED targets new attempts, a slice at a time.
//!
//! Prove by asking `money`, hold the promotion's row, make the streams of a completed one, write the rows together with
//! the plan's progress, add entries to the partitions concerned. A crash behind any of these is harmless: what is not
//! written is still to be done by the plan, and what is written and not added is found by the sweep.
//!
//! A rebuild would add the entries as well, but it reads every target of the promotion and delivers anew what is in
//! flight: once for each slice, that is quadratic. It is left for where the partition is not what it should be.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::charging::{Inquiry, Question};
use crate::crash;
use crate::domain::requeue::{KeyTaken, Step, Unproved};
use crate::domain::{Amount, EntryId, Partition, PlanId, ProcessStatus, Promotion, TargetId};
use crate::rebuild::{MAX_ENTRIES, MAX_TRIES, RebuildOutcome, rebuild, records};
use crate::store::{Became, Moved, OperatorAct, Planned, PlannedNow, SliceRefused, Store, StoreError, Wanted};
use crate::streams::{Position, Requeued, Streams, StreamsError};

/// Times that a slice is written anew after it lost against another transaction.
const MAX_CONFLICTS: u32 = 5;

/// Whether a later key may be taken where nothing can prove that the present one is dead.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Risk {
    /// Never.
    Refused,
    /// A person takes the risk of paying twice, in a deployment with neither look-up nor cancel.
    Accepted,
}

/// What a requeue works with.
pub struct Requeuer<'a> {
    /// The tables.
    pub store: &'a Store,
    /// The streams.
    pub streams: &'a Streams,
    /// Asks `money`.
    pub inquiry: &'a Inquiry,
    /// Whether the risk is accepted.
    pub risk: Risk,
}

/// What a slice came to.
#[derive(Clone, Debug, Default)]
pub struct SliceDone {
    /// Targets that are tried again, under their present key.
    pub same_key: u64,
    /// Targets that are tried again, under the next generation.
    pub next_key: u64,
    /// Targets that `money` calls paid.
    pub paid: Vec<TargetId>,
    /// Targets that stand otherwise than planned.
    pub changed: Vec<TargetId>,
    /// Targets for which nothing was proved.
    pub unproved: Vec<(TargetId, Unproved)>,
    /// Money of those that are tried again, and of those that were paid.
    pub amount: Amount,
    /// Whether the promotion was COMPLETED before.
    pub reopened: bool,
    /// Partitions to which the entries could not be added; the sweep does it.
    pub left_to_sweep: Vec<u32>,
}

/// Why a slice was not done.
#[derive(Debug, thiserror::Error)]
pub enum RequeueError {
    /// The promotion's status does not allow it (any more). Nothing of the slice was written.
    #[error("the promotion cannot be requeued")]
    Refused(SliceRefused),
    /// MySQL.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Redis. What of the slice was written stands in the plan.
    #[error(transparent)]
    Streams(#[from] StreamsError),
}

/// Last ids, by partition number; none where there is no stream.
type Lasts = HashMap<u32, EntryId>;

impl Requeuer<'_> {
    /// Does one slice of a plan. Repeating it is harmless: the plan and the rows say what is done.
    ///
    /// # Errors
    /// [`RequeueError`].
    pub async fn slice(
        &self,
        promotion: &Promotion,
        plan: PlanId,
        targets: &[PlannedNow],
        act: &OperatorAct,
    ) -> Result<SliceDone, RequeueError> {
        let mut done = SliceDone::default();
        let wanted = self.wanted(promotion, targets, &mut done).await?;
        let (moved, lasts) = self.write(promotion, plan, targets, &wanted, act).await?;
        crash::point("requeue.written");
        let to: HashMap<TargetId, Wanted> = wanted.iter().map(|(planned, wanted)| (planned.target, *wanted)).collect();
        for (target, became) in &moved.became {
            match (became, to.get(target)) {
                (Became::Requeued, Some(Wanted::Requeue(KeyTaken::Next))) => done.next_key += 1,
                (Became::Requeued, _) => done.same_key += 1,
                (Became::Paid, _) => done.paid.push(*target),
                (Became::Changed, _) => done.changed.push(*target),
                (Became::Unproved, _) => {}
            }
        }
        (done.amount, done.reopened) = (moved.amount, moved.reopened);
        self.add_entries(promotion, targets, &moved, &lasts, &mut done).await;
        crash::point("requeue.added");
        Ok(done)
    }

    /// What is to be done with each target, by its row as it stands now and by `money`'s word.
    async fn wanted<'t>(
        &self,
        promotion: &Promotion,
        targets: &'t [PlannedNow],
        done: &mut SliceDone,
    ) -> Result<Vec<(&'t Planned, Wanted)>, StoreError> {
        let ids: Vec<TargetId> = targets.iter().map(|now| now.planned.target).collect();
        let rows: HashMap<_, _> = self.store.results(&promotion.kind, &ids).await?.into_iter().collect();
        let mut questions = Vec::new();
        for now in targets.iter().filter(|now| now.unchanged) {
            let planned = &now.planned;
            if let Some(row) = rows.get(&planned.target)
                && row.status == ProcessStatus::Failed
                && (row.generation, row.requeues) == (planned.generation, planned.requeues)
            {
                let (target, customer, takes) = (planned.target, now.customer, planned.takes);
                questions.push(Question { target, customer, row: *row, takes });
            }
        }
        let steps: HashMap<_, _> = self.inquiry.prove(promotion, questions).await.into_iter().collect();
        let mut wanted = Vec::with_capacity(targets.len());
        for now in targets {
            let planned = &now.planned;
            let what = match steps.get(&planned.target) {
                None => Wanted::Changed,
                Some(Step::Requeue(takes)) => Wanted::Requeue(*takes),
                Some(Step::Paid) => Wanted::LookUp,
                Some(Step::Leave(Unproved::NoProof)) if self.risk == Risk::Accepted => Wanted::Requeue(KeyTaken::Next),
                Some(Step::Leave(why)) => {
                    done.unproved.push((planned.target, *why));
                    Wanted::Unproved
                }
                Some(Step::Ask(_)) => Wanted::Unproved,
            };
            wanted.push((planned, what));
        }
        Ok(wanted)
    }

    /// Written again where it lost against another transaction: then nothing of it was written. Gives the last ids of the
    /// partitions concerned from before it was written, too.
    async fn write(
        &self,
        promotion: &Promotion,
        plan: PlanId,
        targets: &[PlannedNow],
        wanted: &[(&Planned, Wanted)],
        act: &OperatorAct,
    ) -> Result<(Moved, Lasts), RequeueError> {
        let mut conflicts = 0;
        loop {
            let slice = match self.store.begin_requeue(promotion).await? {
                Ok(slice) => slice,
                Err(refused) => return Err(RequeueError::Refused(refused)),
            };
            crash::point("requeue.begun");
            let moves = wanted.iter().any(|(_, wanted)| matches!(wanted, Wanted::Requeue(_) | Wanted::LookUp));
            if slice.is_completed() && moves {
                // Under the promotion's row: nobody removes them before it runs again. Without them the dispatcher would
                // publish every target once more.
                self.make_streams(promotion).await?;
                crash::point("requeue.seeded");
            }
            let lasts = self.lasts(promotion, targets).await?;
            match self.store.write_requeue(slice, promotion, plan, wanted, act).await {
                Err(error) if error.is_conflict() && conflicts < MAX_CONFLICTS => conflicts += 1,
                done => return Ok((done?, lasts)),
            }
        }
    }

    async fn lasts(&self, promotion: &Promotion, targets: &[PlannedNow]) -> Result<Lasts, StreamsError> {
        let numbers: HashSet<u32> = targets.iter().map(|now| now.partition).collect();
        let partitions: Vec<Partition> =
            numbers.into_iter().map(|number| Partition { promotion: promotion.id, number }).collect();
        let positions = self.streams.positions(&partitions).await?;
        let last = |(partition, position): (Partition, Option<Position>)| Some((partition.number, position?.last));
        Ok(partitions.into_iter().zip(positions).filter_map(last).collect())
    }

    /// Makes streams and counts as they were before the promotion's keys were removed. Harmless where they are there.
    async fn make_streams(&self, promotion: &Promotion) -> Result<(), RequeueError> {
        let Some(bounds) = self.store.bounds(promotion).await? else { return Ok(()) };
        let partitions: Vec<Partition> = promotion.partitions().collect();
        let positions = self.streams.positions(&partitions).await?;
        if positions.iter().all(Option::is_some) {
            return Ok(());
        }
        let counts = self.store.partition_counts(promotion).await?;
        for (partition, _) in partitions.into_iter().zip(positions).filter(|(_, position)| position.is_none()) {
            let counts = counts.get(&partition.number).copied().unwrap_or_default();
            self.streams.seed(partition, bounds.last, &counts).await?;
        }
        Ok(())
    }

    /// What cannot be added is rebuilt, and what cannot be rebuilt is found by the sweep: slower, and no less sure.
    async fn add_entries(
        &self,
        promotion: &Promotion,
        targets: &[PlannedNow],
        moved: &Moved,
        lasts: &Lasts,
        done: &mut SliceDone,
    ) {
        let again: HashSet<TargetId> = moved
            .became
            .iter()
            .filter(|(_, became)| matches!(became, Became::Requeued | Became::Paid))
            .map(|(target, _)| *target)
            .collect();
        let mut concerned: BTreeMap<u32, Vec<TargetId>> = BTreeMap::new();
        for now in targets.iter().filter(|now| again.contains(&now.planned.target)) {
            concerned.entry(now.partition).or_default().push(now.planned.target);
        }
        for (number, targets) in concerned {
            let partition = Partition { promotion: promotion.id, number };
            // Without a stream the dispatcher fills it from the beginning.
            let Some(last) = lasts.get(&number) else { continue };
            // What lies behind the last id is published once more anyway: the stream went back.
            let (targets, behind): (Vec<TargetId>, Vec<TargetId>) =
                targets.into_iter().partition(|target| EntryId::published(*target).first <= last.first);
            let added = self.added(promotion, partition, *last, &targets).await
                && !self.was_passed(partition, behind.first().copied()).await;
            if !added && !self.rebuilt(promotion, partition).await {
                done.left_to_sweep.push(number);
            }
        }
    }

    /// Whether entries were added behind `last`, which was read before the rows were written. Had anybody rebuilt the
    /// partition since, they might lie there already.
    async fn added(
        &self,
        promotion: &Promotion,
        partition: Partition,
        mut last: EntryId,
        targets: &[TargetId],
    ) -> bool {
        let records = records(promotion, targets);
        for _ in 0..MAX_TRIES {
            match self.streams.requeue(partition, last, &records).await {
                Ok(Requeued::Done) => return true,
                // Published by the dispatcher. Were it behind a rebuild in the same moment, the targets would lie there
                // twice: each is paid once all the same, and the sweep puts the counts right.
                Ok(Requeued::Moved(now)) if now.first > last.first && now.second == 0 => last = now,
                Ok(Requeued::Moved(_) | Requeued::Differs | Requeued::Missing) | Err(_) => return false,
            }
        }
        false
    }

    /// Whether the dispatcher may have published this target before its row was written: its entry was settled then, as
    /// FAILED.
    async fn was_passed(&self, partition: Partition, target: Option<TargetId>) -> bool {
        let Some(target) = target else { return false };
        match self.streams.positions(&[partition]).await.as_deref() {
            Ok([Some(position)]) => position.last.first >= EntryId::published(target).first,
            Ok(_) => false,
            Err(_) => true,
        }
    }

    async fn rebuilt(&self, promotion: &Promotion, partition: Partition) -> bool {
        match rebuild(self.store, self.streams, promotion, partition, MAX_ENTRIES).await {
            Ok(RebuildOutcome::Done { .. } | RebuildOutcome::Missing) => true,
            Ok(RebuildOutcome::Moving) | Err(_) => false,
        }
    }
}
