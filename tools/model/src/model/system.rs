//! Dispatcher, sweep, rebuild, completion, the operator, and what `money` does by itself.

use super::{Steps, Who};
use crate::check::may_still_be_paid;
use crate::money::{Exchange, Key, Money};
use crate::mutant::Mutant;
use crate::state::{Dispatcher, Requeue, Snapshot, State, To};
use crate::store::{self, Promotion, Row};
use crate::streams::{NOBODY, Redis, index};

use pipeline::domain::decide::Request;
use pipeline::domain::requeue::{KeyTaken, Step};
use pipeline::domain::result::{ProcessStatus, ResultRow};

/// Index of the sweep's rebuild.
const SWEEP: usize = 0;
/// Index of the operator's rebuild.
const OPERATOR: usize = 1;

impl Steps<'_> {
    /// All steps but those of the workers and the faults.
    pub(super) fn system(&mut self) {
        for dispatcher in 0..self.model.scope.dispatchers {
            self.dispatch(dispatcher);
        }
        if self.from.db.promotion == Promotion::InProgress && self.figures_differ() {
            self.read_snapshot(SWEEP, false);
        }
        for rebuild in [SWEEP, OPERATOR] {
            self.rebuild(rebuild);
        }
        self.complete();
        self.delete_keys();
        self.stop_and_resume();
        self.requeue();
        self.close();
        for key in 0..2 {
            self.late_requests(key);
        }
        if self.from.now < self.model.scope.ticks {
            let mut state = self.from;
            state.now += 1;
            // What was committed a key lifetime ago is on disk.
            state.lost_commit = None;
            self.push(Who::Clock, "a key lifetime passes", 0, false, true, state);
        }
    }

    fn dispatch(&mut self, dispatcher: usize) {
        let who = Who::Dispatcher(dispatcher);
        let mut state = self.from;
        let published = self.from.redis.stream;
        let running = self.from.db.promotion == Promotion::InProgress;
        match self.from.dispatchers[dispatcher] {
            Dispatcher::Behind if running => {
                state.dispatchers[dispatcher] = Dispatcher::Publishing;
                self.step(who, "sees IN_PROGRESS", state);
            }
            Dispatcher::Behind => {}
            Dispatcher::Publishing => {
                state.redis = self.from.redis.publish(self.from.next_seq(), self.model.mutant);
                state.dispatchers[dispatcher] = Dispatcher::Comparing;
                self.step(who, if published { "is told the last id" } else { "publishes" }, state);
            }
            Dispatcher::Comparing if running && !published && !self.model.is(Mutant::DispatcherLooksAway) => {
                state.dispatchers[dispatcher] = Dispatcher::Behind;
                self.step(who, "is told that the stream is gone", state);
            }
            Dispatcher::Comparing => {}
        }
    }

    /// The sweep's conditions (a), (b), (c), where nobody can be working on the entry or take it.
    fn figures_differ(&self) -> bool {
        let State { redis, db, .. } = self.from;
        if !redis.stream || self.from.rebuilds[SWEEP].is_some() || self.model.is(Mutant::NoSweep) {
            return false;
        }
        let at_work = redis.entry && (redis.undelivered || redis.owner != NOBODY);
        if at_work || self.entry_in_hand() {
            return false;
        }
        let not_final = u8::from(!db.is_final());
        let length = u8::from(redis.entry);
        let consumed = u8::from(redis.owner != NOBODY) + u8::from(redis.undelivered);
        let mut proved = [0; 4];
        if let Some(counter) = db.counter() {
            proved[index(counter)] = 1;
        }
        length != not_final || length != consumed || (length == 0 && redis.counts[1..] != proved[1..])
    }

    /// Reads the last id and then MySQL. Between the two nothing matters: were the last id to move, the
    /// script would refuse.
    pub(super) fn read_snapshot(&mut self, rebuild: usize, fault: bool) {
        let mut state = self.from;
        let snapshot = Snapshot { last: self.from.redis.seq, counter: self.from.db.counter() };
        state.rebuilds[rebuild] = Some(snapshot);
        if rebuild == OPERATOR && matches!(self.from.requeue, Requeue::Committed { .. }) {
            state.requeue = Requeue::None;
        }
        match (rebuild, fault) {
            (SWEEP, _) => self.step(Who::Sweep, "finds a difference and reads a snapshot", state),
            (_, false) => self.step(Who::Operator, "reads a snapshot for the rebuild", state),
            (_, true) => self.fault(Who::Operator, "begins a repair that nothing asks for", state),
        }
    }

    fn rebuild(&mut self, rebuild: usize) {
        let Some(Snapshot { last, counter }) = self.from.rebuilds[rebuild] else { return };
        let before = self.from.redis;
        let mut state = self.from;
        state.rebuilds[rebuild] = None;
        state.redis = before.rebuild(last, counter, self.from.next_seq(), self.model.mutant);
        let done = before.stream && (before.seq == last || self.model.is(Mutant::RebuildWithoutGuard));
        if done && counter == self.from.db.counter() {
            state.requeued = false;
        }
        let who = if rebuild == SWEEP { Who::Sweep } else { Who::Operator };
        self.step(who, if done { "rebuilds the partition" } else { "finds that the last id has moved" }, state);
    }

    fn complete(&mut self) {
        let mut db = store::complete(self.from.db);
        if self.model.is(Mutant::CompletionByCounts) {
            db = self.from.db;
            if db.promotion == Promotion::InProgress && self.from.redis.settled() > 0 {
                db.promotion = Promotion::Completed;
            }
        }
        if db != self.from.db {
            self.commit(Who::Summarizer, "completes the promotion", db, false, self.from);
        }
    }

    fn delete_keys(&mut self) {
        let mut state = self.from;
        if self.from.deleting {
            state.deleting = false;
            state.redis = Redis::EMPTY;
            state.requeued = self.counts_may_be_old() && !self.model.is(Mutant::KeysDeletedWithoutLock);
            self.step(Who::Summarizer, "deletes the keys", state);
        } else if self.from.db.promotion == Promotion::Completed && self.from.redis.stream {
            // Under the lock of the promotion row, nothing comes between looking and deleting.
            state.deleting = self.model.scope.late_deletes || self.model.is(Mutant::KeysDeletedWithoutLock);
            if !state.deleting {
                state.redis = Redis::EMPTY;
                state.requeued = self.counts_may_be_old();
            }
            self.step(Who::Summarizer, "sees COMPLETED and keys", state);
        }
    }

    fn stop_and_resume(&mut self) {
        let mut db = self.from.db;
        match db.promotion {
            Promotion::InProgress if self.from.left.stops > 0 => {
                let mut state = self.from;
                state.left.stops -= 1;
                state.db.promotion = Promotion::Stopped;
                state.lost_commit = None;
                self.push(Who::Operator, "stops the promotion", 0, false, true, state);
            }
            Promotion::Stopped => {
                db.promotion = Promotion::InProgress;
                self.commit(Who::Operator, "resumes the promotion", db, false, self.from);
            }
            Promotion::InProgress | Promotion::Completed => {}
        }
    }

    fn requeue(&mut self) {
        match self.from.requeue {
            Requeue::None if self.from.left.requeues > 0 => self.prove(),
            Requeue::None => {}
            Requeue::Proved { generation, to, last } => self.write_requeue(generation, to, last),
            Requeue::Committed { last } if self.from.redis.stream => self.add_entry(last),
            Requeue::Committed { .. } => {
                let state = State { requeue: Requeue::None, ..self.from };
                self.step(Who::Operator, "finds no stream: the dispatcher refills it", state);
            }
        }
    }

    /// Under the promotion's row: the streams of a completed promotion are made, then the rows are written. Nothing that
    /// takes that row comes between; a crash does.
    fn write_requeue(&mut self, generation: u8, to: To, mut last: u8) {
        let mut state = self.from;
        let db = store::requeue(self.from.db, generation, to);
        let requeued = db != self.from.db;
        if requeued && self.from.db.promotion == Promotion::Completed && !self.from.redis.stream {
            let mut counts = [1, 0, 0, 0];
            if let Some(counter) = self.from.db.counter() {
                counts[index(counter)] = 1;
            }
            state.redis = Redis { stream: true, counts, ..Redis::EMPTY };
            last = state.redis.seq;
            if self.model.scope.faults.crash {
                let crashed = State { requeue: Requeue::None, ..state };
                self.fault(Who::Operator, "makes the stream anew (XSETID), and crashes", crashed);
            }
        }
        state.requeue = if requeued { Requeue::Committed { last } } else { Requeue::None };
        state.requeued |= requeued;
        if requeued {
            state.touch();
        }
        self.commit(Who::Operator, "requeues the target", db, false, state);
    }

    /// The script adds the entry; where the partition is not as it was read before the commit, a rebuild does.
    fn add_entry(&mut self, last: u8) {
        let Some(redis) = self.from.redis.requeue(last, self.from.next_seq(), self.model.mutant) else {
            return self.read_snapshot(OPERATOR, false);
        };
        let mut state = State { redis, requeue: Requeue::None, ..self.from };
        if !self.from.db.is_final() {
            state.requeued = false;
        }
        self.step(Who::Operator, "adds the entry of the requeued target", state);
    }

    /// Whether a FAILED row may be requeued, and with which key: a plan may keep the key, or ask for the next one.
    fn prove(&mut self) {
        let Some(row) = self.from.db.row else { return };
        if row.status != ProcessStatus::Failed || row.generation > 1 || self.from.db.promotion == Promotion::Stopped {
            return;
        }
        let rules = self.model.scope.rules();
        let (row, now) = (row.to_domain(), store::local_time(self.from.now));
        if self.model.is(Mutant::RequeueWithoutProof) {
            self.proved(&row, Step::Requeue(KeyTaken::Next), self.from.money, false);
            return;
        }
        for takes in KeyTaken::ALL {
            self.proved(&row, rules.requeue(&row, takes, now), self.from.money, false);
        }
    }

    /// Follows what `money` answers to the end. Only its last word counts, so nothing that comes between two questions
    /// matters.
    fn proved(&mut self, row: &ResultRow, step: Step, money: Money, fault: bool) {
        let scope = self.model.scope;
        let (what, to) = match step {
            Step::Requeue(KeyTaken::Same) => ("plans the target under its own key", Some(To::SameKey)),
            Step::Requeue(KeyTaken::Next) if self.model.is(Mutant::RequeueKeepsKey) => {
                ("finds the key dead, and keeps it", Some(To::SameKey))
            }
            Step::Requeue(KeyTaken::Next) => ("finds the key dead, for the next one", Some(To::NextKey)),
            Step::Paid => ("finds the target paid", Some(To::LookUp)),
            Step::Leave(_) if money == self.from.money => return,
            Step::Leave(_) => ("burns the key, and hears no answer", None),
            Step::Ask(request) => {
                let (key, now) = (usize::try_from(row.generation).unwrap_or(1) - 1, self.from.now);
                let exchanges = match request {
                    Request::LookUp => money.look_up(key, &scope),
                    Request::Cancel => money.cancel(key, now, &scope),
                    Request::Charge => return,
                };
                let heard = |exchange: &Exchange| !exchange.long_open && (scope.faults.network || !exchange.fault);
                for exchange in exchanges.into_iter().filter(heard) {
                    let time = store::local_time(now);
                    let next = scope.rules().requeue_answered(row, request, exchange.verdict, time);
                    self.proved(row, next, exchange.money, fault || exchange.fault);
                }
                return;
            }
        };
        let mut state = State { money, ..self.from };
        state.left.requeues -= 1;
        if let Some(to) = to {
            state.requeue = Requeue::Proved { generation: row.generation as u8, to, last: self.from.redis.seq };
        }
        if fault {
            self.fault(Who::Operator, what, state);
        } else {
            self.step(Who::Operator, what, state);
        }
    }

    /// A person finds out that a target that waits for one was not paid and that nothing is on its way, and closes it. Who
    /// froze just before a charge shows here; a person has to wait for it.
    fn close(&mut self) {
        let may_be_paid = self.from.money.paid > 0 || (0..2).any(|key| may_still_be_paid(&self.from, key));
        let waiting = |row: &Row| row.status == ProcessStatus::Pending && row.waits.is_some();
        let Some(row) = self.from.db.row.filter(waiting) else { return };
        // A MySQL that forgot that the row was taken back from the person is beyond a client; README says so.
        if self.from.left.closings == 0 || may_be_paid || self.from.commit_lost {
            return;
        }
        let mut state = State { lost_commit: None, ..self.from };
        state.left.closings -= 1;
        state.db.row = Some(Row { status: ProcessStatus::Failed, waits: None, ..row });
        state.touch();
        // Nobody has to wait for a person.
        self.push(Who::Operator, "closes the target as not paid", 0, false, true, state);
    }

    /// Charges that the client gave up: each may still arrive, or never.
    fn late_requests(&mut self, key: usize) {
        let money = self.from.money;
        let (scope, now) = (&self.model.scope, self.from.now);
        let mut push = |what, money| {
            let state = State { money, ..self.from };
            self.push(Who::Money, what, key + 1, false, false, state);
        };
        if money.late[key] > 0 {
            let mut arrived = money;
            arrived.late[key] -= 1;
            push("a late charge is lost, or finds its key known", arrived);
            if money.keys[key] == Key::NotSeen {
                if scope.executing {
                    push("a late charge arrives", arrived.know(key, Key::Executing, now));
                } else {
                    push("a late charge is executed", arrived.know(key, Key::Paid, now));
                    if scope.refusals {
                        push("a late charge is refused", arrived.know(key, Key::Refused, now));
                    }
                }
            }
        }
        if money.keys[key] == Key::Executing {
            push("a late charge is executed", money.know(key, Key::Paid, now));
            if scope.refusals {
                push("a late charge is refused", money.know(key, Key::Refused, now));
            }
        }
    }
}
