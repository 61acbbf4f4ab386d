//! Payer and retrier: take an entry, intent, call, outcome, settle. A crash may come between any two.

use pipeline::domain::decide::{Next, Request, Write};
use pipeline::domain::outcome::Effect;
use pipeline::domain::result::{Counter, ProcessStatus};

use super::{Steps, Who};
use crate::judge::Age;
use crate::mutant::Mutant;
use crate::state::{Since, State, Task};
use crate::store::{self, Called, Promotion, Row, STALE};
use crate::streams::{HELD, NOBODY, RETRY};

impl Steps<'_> {
    /// The next step of a worker.
    pub(super) fn work(&mut self, worker: usize) {
        match self.from.tasks[worker] {
            Task::Idle => self.take(worker),
            Task::Taken { seq } => self.intend(worker, seq),
            Task::Intended { seq } => self.read_back(worker, seq),
            Task::Calling { seq, request, row, resent, since } => {
                let fresh = self.model.judge.may_still_send(row, request, since.old, self.from.now);
                if !fresh || self.from.db.promotion != Promotion::InProgress {
                    self.do_not_call(worker, seq, row, resent);
                }
                // Stopped, too: it may have looked just before.
                if fresh {
                    self.call(worker, seq, request, row, resent, since);
                }
            }
            Task::Writing { seq, called, write } => self.write(worker, seq, called, write),
            Task::Written { seq, reopened } => self.read_outcome(worker, seq, reopened),
            Task::Settling { seq, counter } => {
                let mut state = self.from;
                state.redis = state.redis.settle(seq, Some(counter), self.model.mutant);
                state.end_task(worker);
                self.step(Who::Worker(worker), "settles the entry", state);
            }
            Task::Parking { seq, held } => {
                let mut state = self.from;
                let to = if held { HELD } else { RETRY };
                state.redis = state.redis.park(seq, worker as u8, to, self.model.mutant);
                state.end_task(worker);
                let what = if held { "leaves the entry to a person" } else { "parks the entry" };
                self.step(Who::Worker(worker), what, state);
            }
        }
    }

    fn take(&mut self, worker: usize) {
        let redis = self.from.redis;
        if self.from.db.promotion != Promotion::InProgress || !redis.stream {
            return;
        }
        let who = Who::Worker(worker);
        let mut state = self.from;
        let payer = worker < 2;
        if redis.undelivered {
            if payer && redis.entry {
                state.redis = redis.deliver(worker as u8);
                state.tasks[worker] = Task::Taken { seq: redis.seq };
                self.step(who, "reads the entry", state);
            }
            return;
        }
        if redis.owner == NOBODY {
            return;
        }
        state.redis = redis.claim(worker as u8);
        if redis.entry {
            state.tasks[worker] = Task::Taken { seq: redis.seq };
        }
        let owner = usize::from(redis.owner);
        if owner == worker {
            if !self.model.is(Mutant::NoDrain) {
                self.step(who, "drains what its name holds", state);
            }
        } else if !payer {
            if redis.owner == RETRY || redis.owner == HELD {
                self.step(who, "claims the parked entry", state);
            } else if !self.works_on_entry(owner) {
                self.step(who, "claims the entry of a dead owner", state);
            } else if self.model.scope.faults.freeze {
                self.fault(who, "claims the entry of a frozen owner", state);
            }
        }
    }

    fn intend(&mut self, worker: usize, seq: u8) {
        let (mine, now, mutant) = (worker as u8, self.from.now, self.model.mutant);
        let db = if worker < 2 {
            store::payer_intent(self.from.db, mine, now, mutant)
        } else {
            store::retrier_intent(self.from.db, mine, now, mutant)
        };
        let mut state = self.from;
        state.tasks[worker] = Task::Intended { seq };
        let written = |row: Option<Row>| row.map(|row| (row.status, row.token));
        if written(db.row) != written(self.from.db.row) {
            state.touch();
        }
        self.commit(Who::Worker(worker), "commits the intent", db, true, state);
    }

    /// A payer whose statement proved that the row is new does not read it: the same as reading it at once, which is one of
    /// the orders that are explored here.
    fn read_back(&mut self, worker: usize, seq: u8) {
        let (mine, now) = (worker as u8, self.from.now);
        let row = match self.from.db.row {
            Some(row) => row,
            None if self.model.is(Mutant::NoIntent) && worker < 2 => Row::fresh(mine, now),
            // MySQL lost the intent: the worker lets go, and the entry is delivered again.
            None => return self.let_go(worker),
        };
        let next = if worker < 2 {
            self.model.judge.first_delivery(row, mine, now)
        } else {
            self.model.judge.redelivery(row, mine, self.from.row_old, now)
        };
        let resent = row.token != mine || row.may_have_executed;
        let mut state = self.from;
        let since = Since { old: self.from.row_old, overtaken: false };
        state.tasks[worker] = self.follow(next, seq, row, resent, since);
        self.step(Who::Worker(worker), "reads the row", state);
    }

    fn let_go(&mut self, worker: usize) {
        let mut state = self.from;
        state.end_task(worker);
        self.step(Who::Worker(worker), "misses the row and lets go", state);
    }

    /// What a decision makes of a task.
    fn follow(&self, next: Next, seq: u8, row: Row, resent: bool, since: Since) -> Task {
        let Row { generation, first_sent_at, .. } = row;
        let called = Called { generation, first_sent_at, may_have_executed: resent, since };
        match next {
            Next::Settle(counter) => Task::Settling { seq, counter },
            Next::Park => Task::Parking { seq, held: false },
            Next::Hold => Task::Parking { seq, held: true },
            Next::Fail(_) => {
                Task::Writing { seq, called, write: Write { effect: Effect::Failed, another_attempt: false } }
            }
            Next::Send(request) => {
                // Whose token the row carried matters no more; whether there were others is in `resent`.
                let row = Row { token: STALE, ..row };
                Task::Calling { seq, request, row, resent, since }
            }
            Next::Write(write) => Task::Writing { seq, called, write },
        }
    }

    /// The promotion is not IN_PROGRESS any more, or the decision is too old.
    fn do_not_call(&mut self, worker: usize, seq: u8, row: Row, resent: bool) {
        let mut state = self.from;
        let next = self.model.judge.not_called(row, resent);
        let since = state.tasks[worker].since_mut().copied().unwrap_or_default();
        state.tasks[worker] = self.follow(next, seq, row, resent, since);
        self.step(Who::Worker(worker), "does not call", state);
    }

    fn call(&mut self, worker: usize, seq: u8, request: Request, row: Row, resent: bool, since: Since) {
        let scope = &self.model.scope;
        let retriers_own = self.model.is(Mutant::FreshKeyPerAttempt) && worker >= 2;
        let key = if retriers_own { 1 } else { usize::from(row.generation) - 1 };
        let now = self.from.now;
        let exchanges = match request {
            Request::Charge => self.from.money.charge(key, now, scope),
            Request::LookUp => self.from.money.look_up(key, scope),
            Request::Cancel => self.from.money.cancel(key, now, scope),
        };
        for exchange in exchanges {
            if exchange.fault && !scope.faults.network {
                continue;
            }
            let mut state = self.from;
            state.money = exchange.money;
            state.nonsense |= scope.unpayable && request == Request::Charge;
            if exchange.long_open && !since.overtaken && scope.closings > 0 {
                state.grow_old();
            }
            let age = if exchange.long_open { Age::LongOpen } else { Age::of(since.old) };
            let next = self.model.judge.answered(request, row, resent, exchange.verdict, (age, now));
            let resent = resent || next == Next::Send(Request::Charge);
            state.tasks[worker] = self.follow(next, seq, row, resent, since);
            if self.model.is(Mutant::AckBeforeOutcome) {
                self.ack_before_outcome(&mut state, worker);
            }
            if exchange.fault {
                self.fault(Who::Worker(worker), exchange.what, state);
            } else {
                self.step(Who::Worker(worker), exchange.what, state);
            }
        }
    }

    fn ack_before_outcome(&self, state: &mut State, worker: usize) {
        if let Task::Writing { seq, write, .. } = state.tasks[worker] {
            let counter = match write.effect {
                Effect::Paid => Counter::Success,
                Effect::Failed => Counter::Fail,
                Effect::NotExecuted | Effect::GiveUp | Effect::NotCalled | Effect::Unknown(_) | Effect::Reopened => {
                    return;
                }
            };
            state.redis = state.redis.settle(seq, Some(counter), None);
        }
    }

    fn write(&mut self, worker: usize, seq: u8, called: Called, write: Write) {
        let db = store::outcome(self.from.db, worker as u8, called, write, self.model.mutant);
        let mut state = self.from;
        if self.from.db.row.is_none_or(|row| !row.status.is_final() && row.generation == called.generation) {
            state.touch();
        }
        state.tasks[worker] = match write.effect {
            Effect::Paid if self.model.is(Mutant::CounterFromMemory) => {
                let counter = if write.another_attempt { Counter::RetrySuccess } else { Counter::Success };
                Task::Settling { seq, counter }
            }
            effect => {
                let reopened = (effect == Effect::Reopened).then_some(called.generation);
                Task::Written { seq, reopened }
            }
        };
        let no_first_use = self.from.db.row.is_none_or(|row| row.first_sent_at.is_none());
        if db != self.from.db && no_first_use && called.first_sent_at.is_some() {
            // The worker remembers what MySQL has lost, and its outcome says so.
            state.first_use_lost = false;
        }
        let what = match write.effect {
            Effect::Paid => "writes PAID",
            Effect::Failed => "writes FAILED",
            Effect::NotExecuted => "writes NOT EXECUTED",
            Effect::GiveUp => "writes GIVE UP",
            Effect::NotCalled => "writes NOT CALLED",
            Effect::Unknown(_) => "writes UNKNOWN",
            Effect::Reopened => "writes REOPENED",
        };
        self.commit(Who::Worker(worker), what, db, false, state);
    }

    fn read_outcome(&mut self, worker: usize, seq: u8, reopened: Option<u8>) {
        let Some(row) = self.from.db.row else { return self.let_go(worker) };
        let mut state = self.from;
        if self.model.is(Mutant::SettleUnfinished) && row.status == ProcessStatus::Pending {
            state.redis = state.redis.settle(seq, None, None);
        }
        let next = match reopened {
            Some(generation) => self.model.judge.reopened(Row { generation, ..row }, row),
            None => self.model.judge.written(row),
        };
        let since = Since { old: self.from.row_old, overtaken: false };
        state.tasks[worker] = self.follow(next, seq, row, reopened.is_some(), since);
        self.step(Who::Worker(worker), "reads the outcome back", state);
    }
}
