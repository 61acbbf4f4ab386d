//! What is explored: the deployment, how many of each stage, which faults, how many.

use pipeline::domain::decide::{Rules, UNANSWERED_FOR};

use crate::store::KEY_LIFETIME;

/// Attempts per target in the model: two, so that using them up is near.
pub const MAX_ATTEMPTS: u32 = 2;

/// Which faults may happen, each of them against the one budget.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Faults {
    /// How many in all.
    pub budget: u8,
    /// A stage crashes between two effects and starts anew.
    pub crash: bool,
    /// A worker freezes, its entry is taken over, and it wakes.
    pub freeze: bool,
    /// Requests and answers are lost or delayed.
    pub network: bool,
    /// Redis loses its last writes, or all.
    pub redis: bool,
    /// An entry is deleted or acknowledged from outside; an operator repairs what needs no repair.
    pub tamper: bool,
    /// MySQL loses its last commit.
    pub mysql: bool,
    /// `money` forgets a key whose retention has passed.
    pub forget: bool,
}

impl Faults {
    /// All kinds but forgetting, which needs time to pass.
    pub const fn all(budget: u8) -> Self {
        Self { budget, crash: true, freeze: true, network: true, redis: true, tamper: true, mysql: true, forget: false }
    }

    /// Without what Redis and MySQL lose.
    pub const fn processes(budget: u8) -> Self {
        Self { redis: false, tamper: false, mysql: false, ..Self::all(budget) }
    }
}

/// One exploration.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Scope {
    /// Its name.
    pub name: &'static str,
    /// Whether keys can be looked up.
    pub lookup: bool,
    /// Whether keys can be cancelled.
    pub cancel: bool,
    /// Whether `money` may refuse.
    pub refusals: bool,
    /// Whether it may answer with codes that are not on the list of final ones.
    pub not_listed: bool,
    /// Whether the answer for a burnt key is on that list.
    pub burnt_is_listed: bool,
    /// Whether a late request is seen executing for a while.
    pub executing: bool,
    /// Whether the target cannot be paid at all.
    pub unpayable: bool,
    /// 1 or 2.
    pub dispatchers: usize,
    /// 1 or 2.
    pub payers: usize,
    /// 1 or 2.
    pub retriers: usize,
    /// What may go wrong.
    pub faults: Faults,
    /// How often an operator may stop the promotion; resuming is free.
    pub stops: u8,
    /// Whether an operator may requeue a FAILED target once.
    pub requeues: u8,
    /// How often a person may close as not paid what waits for one.
    pub closings: u8,
    /// Whether the summarizer deletes keys without the lock of the promotion row, so that a requeue can come
    /// between.
    pub late_deletes: bool,
    /// How many key lifetimes may pass.
    pub ticks: u8,
}

impl Scope {
    /// One dispatcher, two payers, one retrier, a complete money service.
    pub const fn new(name: &'static str, faults: Faults) -> Self {
        Self {
            name,
            lookup: true,
            cancel: true,
            refusals: true,
            not_listed: false,
            burnt_is_listed: false,
            executing: false,
            unpayable: false,
            dispatchers: 1,
            payers: 2,
            retriers: 1,
            faults,
            stops: 0,
            requeues: 0,
            closings: 0,
            late_deletes: false,
            ticks: 0,
        }
    }

    /// With a money service that has these.
    pub const fn money(self, lookup: bool, cancel: bool) -> Self {
        Self { lookup, cancel, ..self }
    }

    /// With so many of each stage.
    pub const fn stages(self, dispatchers: usize, payers: usize, retriers: usize) -> Self {
        Self { dispatchers, payers, retriers, ..self }
    }

    /// The rules that the stages would run with.
    pub fn rules(&self) -> Rules {
        Rules {
            lookup: self.lookup,
            cancel: self.cancel,
            max_attempts: MAX_ATTEMPTS,
            key_lifetime: KEY_LIFETIME,
            unanswered_for: UNANSWERED_FOR,
        }
    }
}
