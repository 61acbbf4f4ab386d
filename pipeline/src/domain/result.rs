//! The result of a target: the one place where it stands whether somebody was paid.

use chrono::NaiveDateTime;

/// `process_status` of a result row.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ProcessStatus {
    /// The intent to pay is recorded; `money` may or may not have been called. Whoever made the intent
    /// moves it on with the outcome; when it crashed, the retrier does.
    Pending,
    /// Known not to have been paid. The retrier moves it to PENDING for the next attempt.
    Retrying,
    /// Paid. Final.
    Success,
    /// Known not paid. Final, until an operator requeues it.
    Failed,
}

impl ProcessStatus {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Retrying, Self::Success, Self::Failed];

    /// The code in the database.
    pub fn code(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Retrying => "RETRYING",
            Self::Success => "SUCCESS",
            Self::Failed => "FAILED",
        }
    }

    /// The status with this code.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.code() == code)
    }

    /// Whether no stage changes the row any more.
    pub fn is_final(self) -> bool {
        match self {
            Self::Success | Self::Failed => true,
            Self::Pending | Self::Retrying => false,
        }
    }
}

/// Why a PENDING row waits for a person (`waits_for`). The retrier goes on looking it up all the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Waits {
    /// Attempts are used up, and nothing proves that none was executed; or nothing was learnt about it for long.
    UnknownOutcome,
    /// `money` refused with a code that is not on the list of final refusals.
    Refusal,
    /// `money` knows the key with another body.
    KeyReused,
    /// `money` may have forgotten the key: sending it again could pay twice.
    KeyExpired,
    /// The entry seems to crash its consumer.
    Poison,
}

impl Waits {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::UnknownOutcome, Self::Refusal, Self::KeyReused, Self::KeyExpired, Self::Poison];

    /// The code in the database.
    pub fn code(self) -> &'static str {
        match self {
            Self::UnknownOutcome => "UNKNOWN_OUTCOME",
            Self::Refusal => "REFUSAL_NOT_FINAL",
            Self::KeyReused => "KEY_REUSED",
            Self::KeyExpired => "KEY_EXPIRED",
            Self::Poison => "POISON",
        }
    }

    /// The reason with this code.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|waits| waits.code() == code)
    }
}

/// Marks who made or took over the intent of a row: one random number per batch and attempt.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct AttemptToken(pub u64);

/// A row of a result table, as far as decisions need it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ResultRow {
    /// Where it stands.
    pub status: ProcessStatus,
    /// Attempts after the first one.
    pub retry_count: u32,
    /// Whether any attempt under the present key may have been executed without our knowing.
    pub may_have_executed: bool,
    /// Generation of its idempotency key, from 1.
    pub generation: u32,
    /// How often an operator gave it new attempts.
    pub requeues: u32,
    /// When the present key was first sent, or nothing when it never was. Local time.
    pub first_sent_at: Option<NaiveDateTime>,
    /// What it waits for when it waits for a person.
    pub waits: Option<Waits>,
    /// Whose intent it carries.
    pub token: AttemptToken,
    /// When anything was last written about it before it was read, or nothing where that does not matter. Local time.
    pub updated_at: Option<NaiveDateTime>,
}

impl ResultRow {
    /// The counter of a final row; nothing for a row that is not final.
    pub fn counter(&self) -> Option<Counter> {
        match self.status {
            ProcessStatus::Success if self.retry_count == 0 && self.requeues == 0 => Some(Counter::Success),
            ProcessStatus::Success => Some(Counter::RetrySuccess),
            ProcessStatus::Failed => Some(Counter::Fail),
            ProcessStatus::Pending | ProcessStatus::Retrying => None,
        }
    }
}

/// The counter that a settled entry is added to. They are disjoint.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Counter {
    /// Paid at the first attempt.
    Success,
    /// Not paid.
    Fail,
    /// Paid at a later attempt, or after a requeue.
    RetrySuccess,
}

impl Counter {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Success, Self::Fail, Self::RetrySuccess];

    /// Its field in the counts of a partition and in the public hash, and its summary column.
    pub fn field(self) -> &'static str {
        match self {
            Self::Success => "success_count",
            Self::Fail => "fail_count",
            Self::RetrySuccess => "retry_success_count",
        }
    }
}

/// How far a partition or a promotion is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Counts {
    /// Targets put on a stream.
    pub published: u64,
    /// Paid at the first attempt.
    pub success: u64,
    /// Not paid.
    pub fail: u64,
    /// Paid later.
    pub retry_success: u64,
}

impl Counts {
    /// Targets with a final result.
    pub fn settled(self) -> u64 {
        self.success + self.fail + self.retry_success
    }

    /// Published targets without one: what must be on the streams. Never the lag of `XINFO GROUPS`, which deletions make wrong.
    pub fn backlog(self) -> u64 {
        self.published.saturating_sub(self.settled())
    }

    /// Adds `n` to a counter.
    pub fn add(&mut self, counter: Counter, n: u64) {
        match counter {
            Counter::Success => self.success += n,
            Counter::Fail => self.fail += n,
            Counter::RetrySuccess => self.retry_success += n,
        }
    }
}

impl std::ops::Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            published: self.published + other.published,
            success: self.success + other.success,
            fail: self.fail + other.fail,
            retry_success: self.retry_success + other.retry_success,
        }
    }
}

impl std::iter::Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), std::ops::Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(status: ProcessStatus, retry_count: u32, requeues: u32) -> ResultRow {
        ResultRow {
            status,
            retry_count,
            may_have_executed: false,
            generation: 1,
            requeues,
            first_sent_at: None,
            waits: None,
            token: AttemptToken(0),
            updated_at: None,
        }
    }

    #[test]
    fn the_counter_is_that_of_the_rows_status() {
        use ProcessStatus::{Failed, Pending, Retrying, Success};
        assert_eq!(row(Success, 0, 0).counter(), Some(Counter::Success));
        assert_eq!(row(Success, 1, 0).counter(), Some(Counter::RetrySuccess));
        assert_eq!(row(Success, 0, 1).counter(), Some(Counter::RetrySuccess));
        assert_eq!(row(Failed, 4, 0).counter(), Some(Counter::Fail));
        assert_eq!(row(Pending, 0, 0).counter(), None);
        assert_eq!(row(Retrying, 0, 0).counter(), None);
    }
}
