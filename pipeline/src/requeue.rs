//! Giving FAILED targets new attempts, a slice at a time.
//!
//! Prove by asking `money`, hold the promotion's row, make the streams of a completed one, write the rows together with
//! the plan's progress, rebuild the partitions concerned. A crash behind any of these is harmless: what is not written is
//! still to be done by the plan, and what is written and not rebuilt is found by the sweep.

use std::collections::{BTreeSet, HashMap};

use crate::charging::{Inquiry, Question};
use crate::crash;
use crate::domain::requeue::{KeyTaken, Step, Unproved};
use crate::domain::{Amount, Partition, PlanId, ProcessStatus, Promotion, TargetId};
use crate::rebuild::{RebuildError, RebuildOutcome, rebuild};
use crate::store::{Became, Moved, OperatorAct, Planned, PlannedNow, SliceRefused, Store, StoreError, Wanted};
use crate::streams::{Streams, StreamsError};

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
    /// Partitions that could not be rebuilt; the sweep does it.
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
        let moved = self.write(promotion, plan, &wanted, act).await?;
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
        self.rebuild(promotion, targets, &moved, &mut done).await;
        crash::point("requeue.rebuilt");
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

    /// Written again where it lost against another transaction: then nothing of it was written.
    async fn write(
        &self,
        promotion: &Promotion,
        plan: PlanId,
        wanted: &[(&Planned, Wanted)],
        act: &OperatorAct,
    ) -> Result<Moved, RequeueError> {
        let mut conflicts = 0;
        loop {
            let slice = match self.store.begin_requeue(promotion).await? {
                Ok(slice) => slice,
                Err(refused) => return Err(RequeueError::Refused(refused)),
            };
            crash::point("requeue.begun");
            if slice.is_completed() {
                // Under the promotion's row: nobody removes them before it runs again. Without them the dispatcher would
                // publish every target once more.
                self.make_streams(promotion).await?;
                crash::point("requeue.seeded");
            }
            match self.store.write_requeue(slice, promotion, plan, wanted, act).await {
                Err(error) if error.is_conflict() && conflicts < MAX_CONFLICTS => conflicts += 1,
                done => return Ok(done?),
            }
        }
    }

    /// Makes streams and counts as they were before the promotion's keys were removed. Harmless where they are there.
    async fn make_streams(&self, promotion: &Promotion) -> Result<(), RequeueError> {
        let Some(bounds) = self.store.bounds(promotion).await? else { return Ok(()) };
        let partitions: Vec<Partition> = promotion.partitions().collect();
        let positions = self.streams.positions(&partitions).await?;
        for (partition, _) in partitions.into_iter().zip(positions).filter(|(_, position)| position.is_none()) {
            let proof = self.store.prove_partition(promotion, partition, bounds.last).await?;
            self.streams.seed(partition, bounds.last, &proof.counts).await?;
        }
        Ok(())
    }

    /// The partitions concerned. What fails here is found by the sweep: it is slower, and no less sure.
    async fn rebuild(&self, promotion: &Promotion, targets: &[PlannedNow], moved: &Moved, done: &mut SliceDone) {
        let again: BTreeSet<TargetId> = moved
            .became
            .iter()
            .filter(|(_, became)| matches!(became, Became::Requeued | Became::Paid))
            .map(|(target, _)| *target)
            .collect();
        let numbers: BTreeSet<u32> =
            targets.iter().filter(|now| again.contains(&now.planned.target)).map(|now| now.partition).collect();
        for number in numbers {
            let partition = Partition { promotion: promotion.id, number };
            let rebuilt: Result<RebuildOutcome, RebuildError> =
                rebuild(self.store, self.streams, promotion, partition).await;
            match rebuilt {
                // Without a stream the dispatcher fills it from the beginning.
                Ok(RebuildOutcome::Done { .. } | RebuildOutcome::Missing) => {}
                Ok(RebuildOutcome::Moving) | Err(_) => done.left_to_sweep.push(number),
            }
        }
    }
}
