//! The decisions: the pipeline's own, `pipeline::domain::decide::Rules`, and what mutants make of them.

use std::time::Duration;

use pipeline::domain::Unpayable;
use pipeline::domain::decide::{Next, Request, Rules, UNANSWERED_FOR, Write};
use pipeline::domain::outcome::{Effect, Verdict};
use pipeline::domain::result::{AttemptToken, ProcessStatus, ResultRow};

use crate::mutant::Mutant;
use crate::scope::Scope;
use crate::store::{Row, local_time};

/// Why the target cannot be paid, in scopes where it cannot.
const UNPAYABLE: Unpayable = Unpayable::NoAmount;

/// How long ago a row was written that is decided on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Age {
    /// Not long ago.
    Young,
    /// So long ago that another may leave it to a person.
    Old,
    /// So long ago that it is left to a person where a question is left open once more.
    LongOpen,
}

impl Age {
    /// Young or old.
    pub fn of(old: bool) -> Self {
        if old { Self::Old } else { Self::Young }
    }
}

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
        if self.is(Mutant::PayerCallsAnyPending) && row.status == ProcessStatus::Pending {
            row.token = mine;
            row.may_have_executed = false;
        }
        if self.is(Mutant::FirstChargeIsNotFenced) {
            row.first_sent_at = None;
        }
        self.rules.first_delivery(&row, mine, self.unpayable.then_some(UNPAYABLE), local_time(now))
    }

    /// After the retrier's intent.
    pub fn redelivery(&self, row: Row, mine: u8, old: bool, now: u8) -> Next {
        let mut row = self.aged(row, Age::of(old), now);
        let mine = AttemptToken(u64::from(mine));
        let pending = row.status == ProcessStatus::Pending;
        let own = row.token == mine && !row.may_have_executed;
        if self.is(Mutant::RetryingIsNotFenced) && pending && own {
            return Next::Send(Request::Charge);
        }
        if self.is(Mutant::IntentNotInTheRowIsIgnored) || self.is(Mutant::ForgetfulRowDecides) {
            row.may_have_executed |= pending && !own;
        }
        let known = !self.is(Mutant::UnpayableIsRetried) || own;
        let unpayable = (self.unpayable && known).then_some(UNPAYABLE);
        self.patch(&row, false, self.rules.redelivery(&row, mine, unpayable, local_time(now)))
    }

    /// After an answer.
    pub fn answered(&self, request: Request, row: Row, resent: bool, verdict: Verdict, (age, now): (Age, u8)) -> Next {
        let row = self.aged(row, age, now);
        let time = local_time(now);
        let failed = |mutant, is: Verdict| self.is(mutant) && verdict == is;
        match request {
            Request::LookUp if failed(Mutant::NotSeenMeansFailed, Verdict::NotSeen) => write(Effect::Failed, false),
            Request::LookUp | Request::Charge if failed(Mutant::AnyRefusalIsFinal, Verdict::RefusalNotListed) => {
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
                let turned_away = verdict == Verdict::NotExecuted;
                let used_up = self.used_up(&row, resent);
                if self.is(Mutant::GiveUpAfterExpiry) && turned_away && used_up && self.expired(&row, now) {
                    return write(Effect::GiveUp, resent);
                }
                if self.is(Mutant::ForgetfulRowDecides) && turned_away && resent && !(used_up && self.rules.cancel) {
                    return write(if used_up { Effect::GiveUp } else { Effect::NotExecuted }, true);
                }
                self.patch(&row, resent, self.rules.charged(&row, verdict, resent, time))
            }
        }
    }

    /// Whether a request may be sent now: the decision may be old.
    pub fn may_still_send(&self, row: Row, request: Request, old: bool, now: u8) -> bool {
        let row = self.aged(row, Age::of(old), now);
        self.is(Mutant::OldDecisionIsSent) || self.rules.may_still_send(&row, request, local_time(now))
    }

    /// The row as it is known, so long after it was written.
    fn aged(&self, row: Row, age: Age, now: u8) -> ResultRow {
        let row = row.to_domain();
        let then = local_time(now) - UNANSWERED_FOR;
        match age {
            Age::Young => ResultRow { updated_at: Some(local_time(now)), ..row },
            Age::Old if self.is(Mutant::OldRowIsCharged) => ResultRow { updated_at: Some(local_time(now)), ..row },
            Age::Old => ResultRow { updated_at: Some(then), ..row },
            Age::LongOpen => {
                let first_sent_at = row.first_sent_at.map(|first| first.min(then));
                ResultRow { updated_at: Some(then), first_sent_at, ..row }
            }
        }
    }

    /// Nothing was sent. A first charge gives its attempt back; one whose outcome was unknown leaves the row alone.
    pub fn not_called(&self, row: Row, resent: bool) -> Next {
        match (resent, row.waits) {
            (false, _) => write(Effect::NotCalled, false),
            (true, None) => Next::Park,
            (true, Some(_)) => Next::Hold,
        }
    }

    /// After the outcome is written.
    pub fn written(&self, row: Row) -> Next {
        Rules::written(&row.to_domain())
    }

    /// After the row is reopened.
    pub fn reopened(&self, before: Row, row: Row) -> Next {
        self.rules.reopened(&before.to_domain(), &row.to_domain())
    }

    fn patch(&self, row: &ResultRow, resent: bool, next: Next) -> Next {
        let exhausted = self.is(Mutant::ExhaustedMeansFailed) && self.used_up(row, false);
        let unresolved = matches!(
            next,
            Next::Send(Request::Cancel)
                | Next::Hold
                | Next::Write(Write { effect: Effect::Unknown(_) | Effect::GiveUp, .. })
        );
        let reopened = row.waits.is_some() && next == write(Effect::Reopened, false);
        match next {
            _ if reopened && self.is(Mutant::HeldIsCharged) => Next::Send(Request::Charge),
            _ if exhausted && unresolved => write(Effect::Failed, resent),
            Next::Send(Request::Cancel) if self.is(Mutant::CancelNotAsked) => write(Effect::GiveUp, resent),
            other => other,
        }
    }
}

fn write(effect: Effect, another_attempt: bool) -> Next {
    Next::Write(Write { effect, another_attempt })
}
