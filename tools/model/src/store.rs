//! MySQL: the result row of the one target, and the statements that the stages run on it.
//!
//! Each function is one statement (one transaction), written so that it can be laid beside its SQL.
//! Nothing here decides what to do next: that is `pipeline::domain::decide`.

use std::time::Duration;

use chrono::{NaiveDate, NaiveDateTime};
use pipeline::domain::decide::Write;
use pipeline::domain::outcome::Effect;
use pipeline::domain::result::{AttemptToken, Counter, ProcessStatus, ResultRow, Waits};

use crate::mutant::Mutant;
use crate::state::{Since, To};

/// Attempts are counted up to here; what lies beyond `max_attempts` makes no difference.
pub const MOST_RETRIES: u8 = 3;

/// The token of an attempt that nobody works on any more.
pub const STALE: u8 = 4;

/// How long a key may be sent. The model's clock ticks in these.
pub const KEY_LIFETIME: Duration = Duration::from_secs(86_400);

/// The model's time, as the stages see it.
pub fn local_time(now: u8) -> NaiveDateTime {
    NaiveDate::from_ymd_opt(2030, 1, 1).unwrap_or_default().and_time(chrono::NaiveTime::MIN)
        + KEY_LIFETIME * u32::from(now)
}

/// Where the promotion stands. READY and LOADING come before the model begins.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Promotion {
    /// Being paid.
    InProgress,
    /// Stopped by hand.
    Stopped,
    /// All final.
    Completed,
}

/// A result row, as far as the protocol needs it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Row {
    /// `process_status`
    pub status: ProcessStatus,
    /// `retry_count`, saturating at [`MOST_RETRIES`].
    pub retry_count: u8,
    /// `may_have_executed`
    pub may_have_executed: bool,
    /// `key_generation`, 1 or 2.
    pub generation: u8,
    /// `requeues`, 0 or 1.
    pub requeues: u8,
    /// `first_sent_at`, in ticks of the clock.
    pub first_sent_at: Option<u8>,
    /// `waits_for`
    pub waits: Option<Waits>,
    /// `attempt_token`: the worker whose present task it is, or [`STALE`].
    pub token: u8,
}

impl Row {
    /// What the decisions see.
    pub fn to_domain(self) -> ResultRow {
        ResultRow {
            status: self.status,
            retry_count: u32::from(self.retry_count),
            may_have_executed: self.may_have_executed,
            generation: u32::from(self.generation),
            requeues: u32::from(self.requeues),
            first_sent_at: self.first_sent_at.map(local_time),
            waits: self.waits,
            token: AttemptToken(u64::from(self.token)),
            // Whether that is long ago, `judge::Age` says.
            updated_at: None,
        }
    }

    /// A row as the intent inserts it.
    pub fn fresh(token: u8, now: u8) -> Self {
        Self {
            status: ProcessStatus::Pending,
            retry_count: 0,
            may_have_executed: false,
            generation: 1,
            requeues: 0,
            first_sent_at: Some(now),
            waits: None,
            token,
        }
    }
}

/// What is committed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Db {
    /// The result row of the target.
    pub row: Option<Row>,
    /// `promotion_status`
    pub promotion: Promotion,
}

impl Db {
    /// The counter of a final row.
    pub fn counter(&self) -> Option<Counter> {
        self.row.and_then(|row| row.to_domain().counter())
    }

    /// Whether the row is final.
    pub fn is_final(&self) -> bool {
        self.row.is_some_and(|row| row.status.is_final())
    }
}

/// The payer's intent.
///
/// ```sql
/// INSERT INTO results (process_status, attempt_token, may_have_executed, retry_count, key_generation, first_sent_at)
/// VALUES ('PENDING', :mine, 0, 0, 1, :now)
/// ON DUPLICATE KEY UPDATE may_have_executed =
///   IF(process_status = 'PENDING' AND attempt_token <> :mine, 1, may_have_executed)
/// ```
/// Twice: the second time the token is `mine`, so nothing changes.
pub fn payer_intent(mut db: Db, mine: u8, now: u8, mutant: Option<Mutant>) -> Db {
    match &mut db.row {
        _ if mutant == Some(Mutant::NoIntent) => {}
        None => db.row = Some(Row::fresh(mine, now)),
        Some(row) if row.status == ProcessStatus::Pending && row.token != mine => {
            row.may_have_executed |= mutant != Some(Mutant::PayerLeavesPendingAlone);
        }
        Some(_) => {}
    }
    db
}

/// The retrier's intent: the payer's, and a RETRYING row becomes PENDING, one attempt more.
///
/// ```sql
/// … ON DUPLICATE KEY UPDATE
///   may_have_executed = IF(process_status = 'PENDING' AND attempt_token <> :mine, 1, may_have_executed),
///   retry_count   = IF(process_status = 'RETRYING', retry_count + (first_sent_at IS NOT NULL), retry_count),
///   first_sent_at = IF(process_status = 'RETRYING', COALESCE(first_sent_at, :now), first_sent_at),
///   attempt_token = IF(process_status = 'RETRYING', :mine, attempt_token),
///   process_status = IF(process_status = 'RETRYING', 'PENDING', process_status)   -- last: it is read above
/// ```
pub fn retrier_intent(mut db: Db, mine: u8, now: u8, mutant: Option<Mutant>) -> Db {
    match &mut db.row {
        None => db.row = Some(Row::fresh(mine, now)),
        Some(row) => match row.status {
            ProcessStatus::Pending => {
                row.may_have_executed |= row.token != mine && mutant != Some(Mutant::RetrierLeavesPendingAlone);
            }
            ProcessStatus::Retrying => {
                count(row, u8::from(row.first_sent_at.is_some()));
                row.first_sent_at = row.first_sent_at.or(Some(now));
                row.token = mine;
                row.status = ProcessStatus::Pending;
            }
            ProcessStatus::Success | ProcessStatus::Failed => {}
        },
    }
    db
}

/// What a worker remembers of the row that it called `money` for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Called {
    /// Generation of the key.
    pub generation: u8,
    /// When that key was first sent.
    pub first_sent_at: Option<u8>,
    /// What it believed about other attempts. Only a mutant decides by it.
    pub may_have_executed: bool,
    /// What became of the row since it was read.
    pub since: Since,
}

/// The outcome.
///
/// ```sql
/// INSERT …                        -- the row is missing, MySQL lost the intent: `lost_row`
/// ON DUPLICATE KEY UPDATE …       -- by effect, below, where
///   guard:    process_status IN ('PENDING', 'RETRYING') AND key_generation = :called
///   unproved: may_have_executed = 1 OR attempt_token <> :mine
///   a person is told of an unknown outcome where updated_at is what was read
/// ```
/// `first_sent_at` is filled in where MySQL lost the intent that had set it: a key that was sent needs its fence.
///
/// Twice: the row is final, or gets the same status again; a worker that did not hear the answer to its
/// COMMIT reads the row first. (The product counts an attempt only where `retry_count` stands as the worker read it: fewer than
/// here when two speak at once.)
pub fn outcome(mut db: Db, mine: u8, called: Called, write: Write, mutant: Option<Mutant>) -> Db {
    let Some(row) = &mut db.row else {
        db.row = Some(lost_row(mine, called, write));
        return db;
    };
    let guarded_final = row.status.is_final() && mutant != Some(Mutant::BlindWrite);
    let guarded_key = row.generation != called.generation && mutant != Some(Mutant::GenerationNotGuarded);
    if guarded_final || guarded_key {
        return db;
    }
    let unproved = match mutant {
        Some(Mutant::MemoryDecides) => called.may_have_executed,
        Some(Mutant::OutcomeIgnoresToken | Mutant::ForgetfulRowDecides) => row.may_have_executed,
        Some(_) | None => row.may_have_executed || row.token != mine,
    };
    let not_called = write.effect == Effect::NotCalled && (!unproved || mutant == Some(Mutant::NotCalledFromMemory));
    if !(not_called && row.retry_count == 0) && mutant != Some(Mutant::OutcomeLeavesNoFirstUse) {
        row.first_sent_at = row.first_sent_at.or(called.first_sent_at);
    }
    match write.effect {
        Effect::Paid => finish(row, ProcessStatus::Success),
        Effect::Failed => finish(row, ProcessStatus::Failed),
        Effect::NotExecuted if !unproved => row.status = ProcessStatus::Retrying,
        Effect::GiveUp if !unproved => finish(row, ProcessStatus::Failed),
        Effect::GiveUp => row.waits = Some(Waits::UnknownOutcome),
        Effect::NotCalled if not_called => {
            row.status = ProcessStatus::Retrying;
            match row.retry_count.checked_sub(1) {
                Some(fewer) => row.retry_count = fewer,
                None => row.first_sent_at = None,
            }
        }
        Effect::NotExecuted | Effect::NotCalled => {}
        Effect::Unknown(waits) => {
            row.status = ProcessStatus::Pending;
            row.may_have_executed |= mutant != Some(Mutant::UnknownIsForgotten);
            let telling = waits == Some(Waits::UnknownOutcome) && mutant != Some(Mutant::PersonIsToldLate);
            row.waits = if telling && called.since.overtaken { row.waits } else { waits.or(row.waits) };
        }
        Effect::Reopened => {
            row.status = ProcessStatus::Pending;
            row.waits = row.waits.filter(|waits| !matches!(waits, Waits::UnknownOutcome | Waits::Refusal));
        }
    }
    count(row, u8::from(write.another_attempt));
    db
}

fn lost_row(mine: u8, called: Called, write: Write) -> Row {
    let (status, waits) = match write.effect {
        Effect::Paid => (ProcessStatus::Success, None),
        Effect::Failed => (ProcessStatus::Failed, None),
        Effect::Unknown(waits) => (ProcessStatus::Pending, waits),
        Effect::NotExecuted | Effect::GiveUp | Effect::NotCalled | Effect::Reopened => (ProcessStatus::Pending, None),
    };
    Row {
        status,
        retry_count: u8::from(write.another_attempt),
        may_have_executed: !status.is_final(),
        generation: called.generation,
        requeues: 0,
        first_sent_at: called.first_sent_at,
        waits,
        token: mine,
    }
}

fn finish(row: &mut Row, status: ProcessStatus) {
    row.status = status;
    row.waits = None;
}

fn count(row: &mut Row, attempts: u8) {
    row.retry_count = (row.retry_count + attempts).min(MOST_RETRIES);
}

/// Completion: locks the promotion row, proves from the results that all is final, and ends it.
///
/// Twice: the promotion is COMPLETED already.
pub fn complete(mut db: Db) -> Db {
    if db.promotion == Promotion::InProgress && db.is_final() {
        db.promotion = Promotion::Completed;
    }
    db
}

/// A requeue: locks the promotion row, then FAILED → RETRYING by compare-and-set on status and generation, or PENDING
/// where `money` says that it was paid. A stopped promotion is refused.
///
/// ```sql
/// UPDATE results SET
///   key_generation    = :generation + (:to = 'NEXT'),
///   first_sent_at     = IF(:to = 'NEXT', NULL, first_sent_at),
///   may_have_executed = CASE :to WHEN 'NEXT' THEN 0 WHEN 'LOOK_UP' THEN 1 ELSE may_have_executed END,
///   requeues = requeues + 1, retry_count = 0, waits_for = NULL, attempt_token = :fresh,
///   process_status    = IF(:to = 'LOOK_UP', 'PENDING', 'RETRYING')
/// WHERE process_status = 'FAILED' AND key_generation = :generation AND requeues = :requeues
/// ```
pub fn requeue(mut db: Db, generation: u8, to: To) -> Db {
    if let Some(row) = &mut db.row
        && row.status == ProcessStatus::Failed
        && row.generation == generation
        && db.promotion != Promotion::Stopped
    {
        row.status = ProcessStatus::Retrying;
        row.retry_count = 0;
        row.requeues = 1;
        row.waits = None;
        row.token = STALE;
        match to {
            To::SameKey => {}
            To::NextKey => {
                row.generation += 1;
                row.may_have_executed = false;
                row.first_sent_at = None;
            }
            To::LookUp => {
                row.status = ProcessStatus::Pending;
                row.may_have_executed = true;
            }
        }
        if db.promotion == Promotion::Completed {
            db.promotion = Promotion::InProgress;
        }
    }
    db
}
