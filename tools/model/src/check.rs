//! What must hold in every state, on every step, and what the end is.

use pipeline::domain::decide::Request;
use pipeline::domain::result::{Counter, ProcessStatus, Waits};

use crate::model::{Action, Who};
use crate::money::Key;
use crate::scope::{MAX_ATTEMPTS, Scope};
use crate::state::{Requeue, State, Task};
use crate::store::Promotion;
use crate::streams::{HELD, index};

/// The first rule that a state breaks.
pub fn broken(state: &State, scope: &Scope) -> Option<&'static str> {
    let row = state.db.row;
    let status = row.map(|row| row.status);
    // Nothing can fence a key whose first use nobody remembers, once `money` may have forgotten it too.
    let forgotten = state.first_use_lost && state.now > 0;
    // Both are stated to users: README (I1, I2), and the report.
    let excepted = forgotten || (state.intent_lost && !scope.cancel);
    if state.money.paid > 1 && !forgotten {
        return Some("a target is paid twice");
    }
    if status == Some(ProcessStatus::Success) && state.money.paid == 0 {
        return Some("SUCCESS but not paid");
    }
    if status == Some(ProcessStatus::Failed) && !excepted {
        if state.money.paid > 0 {
            return Some("FAILED but paid");
        }
        let generations = row.map_or(0, |row| usize::from(row.generation));
        if (0..generations).any(|key| may_still_be_paid(state, key)) {
            return Some("FAILED but a request that may pay is on its way");
        }
    }
    if status == Some(ProcessStatus::Retrying) && state.money.paid > 0 && !state.intent_lost {
        return Some("RETRYING but paid");
    }
    if state.db.promotion == Promotion::Completed && !state.db.is_final() {
        return Some("COMPLETED but not all final");
    }
    if state.nonsense {
        return Some("a target that cannot be paid was charged");
    }
    counts_broken(state)
}

/// I4 and I7. A requeue makes a row unfinished before its rebuild makes the counts follow; MySQL that loses
/// a commit loses what was counted; and what somebody did to the stream shows until the sweep.
fn counts_broken(state: &State) -> Option<&'static str> {
    let redis = &state.redis;
    if !redis.stream || state.commit_lost || state.requeued {
        return None;
    }
    let proved = state.db.counter();
    let exceeds = |counter: Counter| redis.counts[index(counter)] > u8::from(proved == Some(counter));
    if Counter::ALL.into_iter().any(exceeds) {
        return Some("a counter exceeds what MySQL proves");
    }
    let left = i16::from(redis.counts[0]) - i16::from(redis.settled());
    if !state.tampered && state.requeue == Requeue::None && left != i16::from(redis.entry) {
        return Some("published less settled is not the length of the stream");
    }
    None
}

/// Whether a request under this key, late or about to be sent, can still be executed.
pub fn may_still_be_paid(state: &State, key: usize) -> bool {
    let on_its_way = state.money.late[key] > 0
        || state.tasks.iter().any(|task| match task {
            Task::Calling { request: Request::Charge, row, since, .. } => {
                let fenced = since.old || row.first_sent_at.is_some_and(|first| first < state.now);
                usize::from(row.generation) == key + 1 && !fenced
            }
            _ => false,
        });
    match state.money.keys[key] {
        Key::NotSeen => on_its_way,
        Key::Executing => true,
        Key::Paid | Key::Refused | Key::RefusedNotListed | Key::Burnt => false,
    }
}

/// The rule that a step breaks: no final row changes without an operator's requeue.
pub fn broken_by(before: &State, action: &Action, after: &State) -> Option<&'static str> {
    let sanctioned = matches!(action.who, Who::Operator | Who::Mysql);
    if before.db.is_final() && after.db.row.map(facts) != before.db.row.map(facts) && !sanctioned {
        return Some("a final row changes");
    }
    None
}

/// A row without its token, which tells nothing once it is final.
fn facts(row: crate::store::Row) -> crate::store::Row {
    crate::store::Row { token: 0, ..row }
}

/// The end: nobody works on it, and either all is final, completed and cleared away, or the row waits for a
/// person with its entry held. It counts as waiting only where nothing better is left to do.
pub fn done(state: &State, scope: &Scope) -> bool {
    if state.tasks.iter().any(|task| *task != Task::Idle) || state.requeue != Requeue::None {
        return false;
    }
    let Some(row) = state.db.row else { return false };
    let key = state.money.keys[usize::from(row.generation) - 1];
    match row.status {
        ProcessStatus::Success | ProcessStatus::Failed => {
            state.db.promotion == Promotion::Completed && !state.redis.stream
        }
        ProcessStatus::Retrying => false,
        ProcessStatus::Pending => {
            let held = state.redis.entry && state.redis.owner == HELD;
            let expired = row.first_sent_at.is_some_and(|first| first < state.now);
            let nothing_better = match row.waits {
                None => false,
                // A key that is known by its look-up not to be executed, and has attempts left, gets them.
                Some(Waits::UnknownOutcome) => {
                    expired || (!scope.cancel && u32::from(row.retry_count) + 1 >= MAX_ATTEMPTS)
                }
                Some(Waits::Refusal) => key == Key::RefusedNotListed || key == Key::Burnt || expired,
                Some(Waits::KeyExpired | Waits::KeyReused | Waits::Poison) => true,
            };
            let known = scope.lookup && matches!(key, Key::Paid | Key::Refused);
            held && nothing_better && !known
        }
    }
}
