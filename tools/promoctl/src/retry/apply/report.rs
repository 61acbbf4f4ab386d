//! What applying a plan came to.

use std::collections::BTreeMap;

use anyhow::Result;
use pipeline::domain::{Amount, PlanId, TargetId};
use pipeline::requeue::SliceDone;
use pipeline::store::PlannedNow;
use serde::Serialize;

use crate::ended::Ended;
use crate::output;
use crate::session::Session;

/// Targets that are named for each thing that went otherwise.
const NAMED: usize = 20;

/// Counts over all slices.
#[derive(Default)]
pub(super) struct Report {
    /// Targets that were looked at.
    pub(super) seen: u64,
    /// Why it ended before its time.
    pub(super) ended: Option<String>,
    /// Whether nothing is left of the plan.
    pub(super) finished: bool,
    same_key: u64,
    next_key: u64,
    amount: Amount,
    reopened: bool,
    paid: Group,
    changed: Group,
    unproved: BTreeMap<&'static str, Group>,
    left_to_sweep: u64,
}

/// Some of many.
#[derive(Serialize, Default)]
struct Group {
    targets: u64,
    for_example: Vec<i64>,
}

impl Group {
    fn add(&mut self, target: TargetId) {
        self.targets += 1;
        if self.for_example.len() < NAMED {
            self.for_example.push(target.0);
        }
    }
}

#[derive(Serialize)]
struct Printed<'a> {
    plan_id: i64,
    requeued: u64,
    same_key: u64,
    next_key: u64,
    amount: Amount,
    /// The promotion was COMPLETED.
    reopened: bool,
    /// `money` calls them paid: they are looked up, and become SUCCESS.
    paid: &'a Group,
    /// They stood otherwise than planned.
    changed: &'a Group,
    /// Nothing proves that they may get a later key.
    unproved: &'a BTreeMap<&'static str, Group>,
    /// Rebuilds that the sweep makes up for.
    partitions_left_to_the_sweep: u64,
    finished: bool,
    ended: Option<&'a str>,
}

impl Report {
    /// Adds a slice.
    pub(super) fn add(&mut self, page: &[PlannedNow], done: &SliceDone) {
        self.seen += page.len() as u64;
        self.same_key += done.same_key;
        self.next_key += done.next_key;
        self.amount = self.amount + done.amount;
        self.reopened |= done.reopened;
        self.left_to_sweep += done.left_to_sweep.len() as u64;
        done.paid.iter().for_each(|target| self.paid.add(*target));
        done.changed.iter().for_each(|target| self.changed.add(*target));
        for (target, why) in &done.unproved {
            self.unproved.entry(why.code()).or_default().add(*target);
        }
    }

    /// Prints it; 3 when not all was done as planned.
    pub(super) fn print(&self, session: &Session, plan: PlanId) -> Result<Ended> {
        let printed = Printed {
            plan_id: plan.0,
            requeued: self.same_key + self.next_key,
            same_key: self.same_key,
            next_key: self.next_key,
            amount: self.amount,
            reopened: self.reopened,
            paid: &self.paid,
            changed: &self.changed,
            unproved: &self.unproved,
            partitions_left_to_the_sweep: self.left_to_sweep,
            finished: self.finished,
            ended: self.ended.as_deref(),
        };
        session.print(&printed, || table(&printed))?;
        let whole = self.finished && self.paid.targets == 0 && self.changed.targets == 0 && self.ended.is_none();
        Ok(if whole { Ended::Done } else { Ended::Partly })
    }
}

fn table(printed: &Printed<'_>) {
    println!(
        "tried again: {} targets, {} ({} under their own key, {} under the next)",
        output::count(printed.requeued),
        output::money(printed.amount),
        output::count(printed.same_key),
        output::count(printed.next_key)
    );
    let show = |what: &str, group: &Group| {
        if group.targets > 0 {
            println!("{what}: {} targets, for example {:?}", output::count(group.targets), group.for_example);
        }
    };
    show("paid already, says money; they are looked up and become SUCCESS", printed.paid);
    show("not FAILED as planned any more, left alone", printed.changed);
    for (why, group) in printed.unproved {
        show(&format!("left FAILED, nothing proves that a later key is safe ({why})"), group);
    }
    if printed.partitions_left_to_the_sweep > 0 {
        println!("{} rebuilds are left to the sweep", printed.partitions_left_to_the_sweep);
    }
    if let Some(why) = printed.ended {
        println!("ended early: {why}");
    }
    if !printed.finished {
        println!("not all of the plan is done; `promoctl retry apply {} --reason …` goes on", printed.plan_id);
    }
}
