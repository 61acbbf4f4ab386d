//! What may go wrong.

use super::{Steps, Who};
use crate::money::Key;
use crate::state::{Dispatcher, Requeue, State, Task};
use crate::store::Db;
use crate::streams::{NOBODY, Redis};

fn first_use(db: &Db) -> Option<u8> {
    db.row.and_then(|row| row.first_sent_at)
}

impl Steps<'_> {
    /// Everything that costs one of the budget and is not part of another step.
    pub(super) fn faults(&mut self) {
        let faults = self.model.scope.faults;
        if faults.crash {
            self.crashes();
        }
        if faults.redis {
            self.redis_faults();
        }
        if faults.tamper {
            self.tampering();
        }
        if faults.forget {
            (0..2).for_each(|key| self.forget(key));
        }
    }

    /// What was not durable is lost.
    pub(super) fn losses(&mut self) {
        if let Some(lost) = self.from.lost_commit {
            let mut state = self.from;
            state.db = lost.db;
            state.lost_commit = None;
            state.commit_lost = true;
            state.intent_lost |= lost.intent;
            state.first_use_lost |= first_use(&self.from.db) != first_use(&lost.db);
            self.push(Who::Mysql, "loses its last commit", 0, false, true, state);
        }
        if let Some(redis) = self.from.lost_writes {
            let state = State { redis, lost_writes: None, requeued: self.counts_may_be_old(), ..self.from };
            self.push(Who::Redis, "loses its last writes", 0, false, true, state);
        }
    }

    /// When Redis loses something after a requeue, the counts may be those from before it; and who settles late
    /// what he read before it meets the entry under its old id again.
    pub(super) fn counts_may_be_old(&self) -> bool {
        self.from.requeued || self.from.left.requeues < self.model.scope.requeues
    }

    fn crashes(&mut self) {
        for worker in self.model.workers() {
            if self.from.tasks[worker] != Task::Idle {
                let mut state = self.from;
                state.end_task(worker);
                self.fault(Who::Worker(worker), "crashes", state);
            }
        }
        for dispatcher in 0..self.model.scope.dispatchers {
            if self.from.dispatchers[dispatcher] == Dispatcher::Publishing {
                let mut state = self.from;
                state.dispatchers[dispatcher] = Dispatcher::Behind;
                self.fault(Who::Dispatcher(dispatcher), "crashes", state);
            }
        }
        for (rebuild, who) in [(0, Who::Sweep), (1, Who::Operator)] {
            if self.from.rebuilds[rebuild].is_some() {
                let mut state = self.from;
                state.rebuilds[rebuild] = None;
                self.fault(who, "crashes before the rebuild", state);
            }
        }
        if self.from.requeue != Requeue::None {
            let state = State { requeue: Requeue::None, ..self.from };
            self.fault(Who::Operator, "crashes in the requeue", state);
        }
    }

    fn redis_faults(&mut self) {
        if self.from.redis.stream {
            let state = State { redis: Redis::EMPTY, requeued: self.counts_may_be_old(), ..self.from };
            self.fault(Who::Redis, "FLUSHALL", state);
        }
        if self.from.lost_writes.is_none() {
            let state = State { lost_writes: Some(self.from.redis), ..self.from };
            self.fault(Who::Redis, "writes from now on are not durable", state);
        }
    }

    fn tampering(&mut self) {
        let redis = self.from.redis;
        if redis.entry {
            let mut state = State { tampered: true, ..self.from };
            state.redis.entry = false;
            state.redis.undelivered = false;
            self.fault(Who::Redis, "somebody deletes the entry", state);
        }
        if redis.owner != NOBODY {
            let mut state = State { tampered: true, ..self.from };
            state.redis.owner = NOBODY;
            self.fault(Who::Redis, "somebody acknowledges the entry, or deletes its consumer", state);
        }
        if redis.stream && self.from.rebuilds[1].is_none() {
            self.read_snapshot(1, true);
        }
    }

    /// The key's retention has passed. The margin between the lifetime, after which we send nothing, and the
    /// retention exceeds the longest time between the last look at the clock and the arrival of the request, so
    /// nothing that was sent before is still to come.
    fn forget(&mut self, key: usize) {
        let money = self.from.money;
        let known = money.keys[key] != Key::NotSeen && money.keys[key] != Key::Executing;
        if known && money.known_since[key] < self.from.now && money.late[key] == 0 {
            let mut state = self.from;
            state.money.keys[key] = Key::NotSeen;
            self.fault(Who::Money, if key == 0 { "forgets the key" } else { "forgets the key .g2" }, state);
        }
    }
}
