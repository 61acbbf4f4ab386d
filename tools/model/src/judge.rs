//! The decisions: the pipeline's own, `pipeline::domain::decide::Rules`, and what mutants make of them.

use std::time::Duration;

use pipeline::domain::Unpayable;
use pipeline::domain::decide::{Next, Request, Rules, Write};
use pipeline::domain::outcome::{Effect, Verdict};
use pipeline::domain::result::{AttemptToken, ProcessStatus, ResultRow, Waits};

use crate::mutant::Mutant;
use crate::scope::Scope;
use crate::store::{Row, local_time};

/// Why the target cannot be paid, in scopes where it cannot.
const UNPAYABLE: Unpayable = Unpayable::NoAmount;

/// Decides as the stages do.
#[derive(Clone, Copy, Debug)]
pub struct Judge {
    rules: Rules,
    unpayable: bool,
    mutant: Option<Mutant>,
}

impl Judge {
    /// For a scope.
    pub fn new(scope: &Scope, mutant: Option<Mutant>) -> Self {
        let mut rules = scope.rules();
        if mutant == Some(Mutant::NoRetentionFence) {
            rules.key_lifetime = Duration::MAX;
        }
        Self { rules, unpayable: scope.unpayable, mutant }
    }

    fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    fn expired(&self, row: &ResultRow, now: u8) -> bool {
        row.first_sent_at
            .is_some_and(|first| (local_time(now) - first).to_std().unwrap_or_default() >= self.rules.key_lifetime)
    }

    fn used_up(&self, row: &ResultRow, resent: bool) -> bool {
        row.retry_count + 1 + u32::from(resent) >= self.rules.max_attempts
    }

    /// After the payer's intent.
    pub fn first_delivery(&self, row: Row, mine: u8, now: u8) -> Next {
        let mut row = row.to_domain();
        let mine = AttemptToken(u64::from(mine));
        // Not yet in the pipeline's rules: see the mutant of the same name.
        let pending = row.status == ProcessStatus::Pending;
        if pending && self.expired(&row, now) && !self.is(Mutant::FirstChargeIsNotFenced) {
            return Next::Park;
        }
        if self.is(Mutant::PayerCallsAnyPending) && row.status == ProcessStatus::Pending {
            row.token = mine;
            row.may_have_executed = false;
        }
        self.rules.first_delivery(&row, mine, self.unpayable.then_some(UNPAYABLE))
    }

    /// After the retrier's intent.
    pub fn redelivery(&self, row: Row, mine: u8, now: u8) -> Next {
        let row = row.to_domain();
        let mine = AttemptToken(u64::from(mine));
        let unpayable = self.unpayable.then_some(UNPAYABLE);
        let pending = row.status == ProcessStatus::Pending;
        let own = pending && row.token == mine && !row.may_have_executed;
        // Not yet in the pipeline's rules: see the mutants of the same names.
        if pending && self.unpayable && !self.is(Mutant::UnpayableIsRetried) {
            return Next::Fail(UNPAYABLE);
        }
        if pending && row.token != mine && !row.may_have_executed && !self.is(Mutant::IntentNotInTheRowIsIgnored) {
            return Next::Park;
        }
        if own && self.expired(&row, now) && !self.is(Mutant::RetryingIsNotFenced) {
            return write(Effect::Unknown(Some(Waits::KeyExpired)), false);
        }
        self.patch(&row, false, self.rules.redelivery(&row, mine, unpayable, local_time(now)))
    }

    /// After an answer.
    pub fn answered(&self, request: Request, row: Row, resent: bool, verdict: Verdict, now: u8) -> Next {
        let row = row.to_domain();
        let time = local_time(now);
        let failed = |mutant, is: Verdict| self.is(mutant) && verdict == is;
        match request {
            Request::LookUp if failed(Mutant::NotSeenMeansFailed, Verdict::NotSeen) => write(Effect::Failed, false),
            Request::LookUp | Request::Charge
                if failed(Mutant::AnyRefusalIsFinal, Verdict::RefusalNotListed) =>
            {
                write(Effect::Failed, false)
            }
            Request::Charge if failed(Mutant::TimeoutMeansFailed, Verdict::Unknown) => write(Effect::Failed, resent),
            Request::Cancel if failed(Mutant::CancelUnansweredMeansFailed, Verdict::Unknown) => {
                write(Effect::Failed, false)
            }
            Request::Cancel if failed(Mutant::CancelAfterExpiryProves, Verdict::Cancelled) => {
                write(Effect::Failed, false)
            }
            Request::LookUp => self.patch(&row, true, self.rules.looked_up(&row, verdict, time)),
            Request::Cancel => self.rules.cancelled(&row, verdict, time),
            Request::Charge => {
                let gives_up = verdict == Verdict::NotExecuted && self.used_up(&row, resent) && self.rules.cancel;
                // Not yet in the pipeline's rules: see the mutant of the same name.
                if gives_up && self.expired(&row, now) && !self.is(Mutant::GiveUpAfterExpiry) {
                    return write(Effect::Unknown(Some(Waits::KeyExpired)), resent);
                }
                let next = self.rules.charged(&row, verdict, resent, time);
                self.patch(&row, resent, if resent { self.remember(&row, next) } else { next })
            }
        }
    }

    /// A worker that knew of other attempts never writes what makes nothing of them. Not yet in the pipeline's
    /// rules: see the mutant.
    fn remember(&self, row: &ResultRow, next: Next) -> Next {
        match next {
            _ if self.is(Mutant::ResentTrustsTheRow) => next,
            Next::Write(Write { effect: Effect::NotExecuted, another_attempt }) => {
                write(Effect::Unknown(row.waits), another_attempt)
            }
            Next::Write(Write { effect: Effect::GiveUp, another_attempt }) => {
                write(Effect::Unknown(Some(Waits::UnknownOutcome)), another_attempt)
            }
            Next::Write(Write { effect: Effect::NotCalled, .. }) => Next::Park,
            other => other,
        }
    }

    /// Nothing was sent. A first charge gives its attempt back.
    pub fn not_called(&self, request: Request, resent: bool) -> Next {
        match request {
            Request::Charge if !resent || self.is(Mutant::ResentTrustsTheRow) => write(Effect::NotCalled, false),
            Request::Charge | Request::LookUp | Request::Cancel => Next::Park,
        }
    }

    /// After the outcome is written.
    pub fn written(&self, row: Row) -> Next {
        Rules::written(&row.to_domain())
    }

    fn patch(&self, row: &ResultRow, resent: bool, next: Next) -> Next {
        let exhausted = self.is(Mutant::ExhaustedMeansFailed) && self.used_up(row, false);
        let unresolved = matches!(
            next,
            Next::Send(Request::Cancel) | Next::Hold | Next::Write(Write { effect: Effect::Unknown(_) | Effect::GiveUp, .. })
        );
        match next {
            _ if exhausted && unresolved => write(Effect::Failed, resent),
            Next::Send(Request::Cancel) if self.is(Mutant::CancelNotAsked) => write(Effect::GiveUp, resent),
            other => other,
        }
    }
}

fn write(effect: Effect, another_attempt: bool) -> Next {
    Next::Write(Write { effect, another_attempt })
}
