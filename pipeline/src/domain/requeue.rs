//! May a FAILED target get new attempts, and under which key? The decisions that `retry apply` executes, and that
//! the model checker explores.
//!
//! Sending a key again is harmless for as long as `money` remembers it. A later key is safe only when the present one
//! can never pay any more, and only `money` can say so, now: by repeating a final refusal, or by burning the key.

use chrono::NaiveDateTime;

use super::decide::{Request, Rules};
use super::outcome::Verdict;
use super::result::{ProcessStatus, ResultRow, Waits};
use super::target::Unpayable;

/// The key of a requeued target's next attempts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum KeyTaken {
    /// Its present one: no attempt under it can have been executed, or a person says that none was.
    Same,
    /// The next generation: the present one was refused or cancelled, and would only repeat that answer.
    Next,
}

impl KeyTaken {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Same, Self::Next];

    /// The code in the database.
    pub fn code(self) -> &'static str {
        match self {
            Self::Same => "SAME",
            Self::Next => "NEXT",
        }
    }

    /// The one with this code.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|taken| taken.code() == code)
    }

    /// What a FAILED row takes, by how it failed. Nothing rests on it: a key that is taken again wrongly only repeats
    /// its answer, and a later one needs `money`'s word in any case.
    pub fn of(code: Option<&str>, may_have_executed: bool) -> Self {
        match code {
            Some(RESOLVED_NOT_PAID) => Self::Same,
            Some(code) if !may_have_executed && failed_unexecuted(code) => Self::Same,
            Some(_) | None => Self::Next,
        }
    }
}

/// `error_code` of a row that a person closed as not paid.
pub const RESOLVED_NOT_PAID: &str = "RESOLVED_NOT_PAID";

/// Whether a row failed by attempts that never reached execution: turned away by a status (429), or never connected.
pub fn failed_unexecuted(code: &str) -> bool {
    code.starts_with("HTTP_") || code.starts_with("CONNECT_") || code.starts_with("TLS_")
}

/// Whether a row failed because its target cannot be paid as it stands.
pub fn failed_unpayable(code: &str) -> bool {
    [Unpayable::NoAmount, Unpayable::BadAmount, Unpayable::BadExpiry, Unpayable::NoVoucherNumber]
        .iter()
        .any(|unpayable| unpayable.code() == code)
}

/// How a target stands, as far as a plan asks.
#[derive(Clone, Copy, Debug)]
pub struct Standing<'a> {
    /// Its status; nothing without a result row.
    pub status: Option<ProcessStatus>,
    /// What it waits for, when it waits for a person.
    pub waits: Option<Waits>,
    /// How it failed.
    pub code: Option<&'a str>,
    /// Whether it has an amount, of its own or by default.
    pub has_amount: bool,
    /// Whether an attempt under its present key may have been executed.
    pub may_have_executed: bool,
    /// When its present key was first sent.
    pub first_sent_at: Option<NaiveDateTime>,
}

/// Why a plan leaves a target out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum LeftOut {
    /// No attempt was begun yet: the stages do that.
    NotTried,
    /// Its outcome is unknown: the retrier looks it up. Never requeued.
    OutcomeUnknown,
    /// Its outcome is unknown and waits for a person, who may resolve it. Never requeued.
    WaitsForPerson,
    /// The retrier tries it again by itself.
    StillRetrying,
    /// It is paid.
    AlreadyPaid,
    /// It cannot be paid as it stands: it has no amount, say. Its targets and defaults are frozen.
    CannotBePaid,
    /// Its attempts never reached execution, and `money` may have forgotten its key meanwhile: the stages would not
    /// send it any more.
    KeyExpired,
}

impl LeftOut {
    /// The code in plans and results.
    pub fn code(self) -> &'static str {
        match self {
            Self::NotTried => "NOT_TRIED_YET",
            Self::OutcomeUnknown => "OUTCOME_UNKNOWN",
            Self::WaitsForPerson => "WAITS_FOR_A_PERSON",
            Self::StillRetrying => "STILL_RETRYING",
            Self::AlreadyPaid => "ALREADY_PAID",
            Self::CannotBePaid => "CANNOT_BE_PAID",
            Self::KeyExpired => "KEY_EXPIRED",
        }
    }
}

/// What is done next about a FAILED row that is to be tried again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Ask `money` about its present key.
    Ask(Request),
    /// It becomes RETRYING, with this key.
    Requeue(KeyTaken),
    /// `money` says that it was paid: it becomes PENDING under its present key, an outcome that has to be looked up.
    /// Nothing is charged anew.
    Paid,
    /// It stays FAILED.
    Leave(Unproved),
}

/// Why nothing proves that a target may get a later key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Unproved {
    /// `money` gave no answer, or none that says anything. Asking again may help.
    NoAnswer,
    /// `money` does not take what it is sent: a fault of contract or configuration, such as a wrong token.
    Fault,
    /// The key is being executed right now. Asking again helps.
    Executing,
    /// The key was not seen, and cannot be cancelled here.
    NotSeen,
    /// The refusal's code is not on the list of final ones.
    NotFinal,
    /// `money` knows the key with another body.
    KeyReused,
    /// `money` may have forgotten the key: neither a cancel nor another charge under it proves or does any good.
    KeyExpired,
    /// This deployment has neither look-up nor cancel.
    NoProof,
}

impl Unproved {
    /// The code in the database and in results.
    pub fn code(self) -> &'static str {
        match self {
            Self::NoAnswer => "NO_ANSWER",
            Self::Fault => "MONEY_FAULT",
            Self::Executing => "EXECUTING",
            Self::NotSeen => "NOT_SEEN",
            Self::NotFinal => "REFUSAL_NOT_FINAL",
            Self::KeyReused => "KEY_REUSED",
            Self::KeyExpired => "KEY_EXPIRED",
            Self::NoProof => "NO_PROOF",
        }
    }
}

impl Rules {
    /// The key that a target's next attempts take, or why a plan leaves it out.
    ///
    /// # Errors
    /// Whatever is not FAILED, and what can never be paid.
    pub fn plan(&self, standing: &Standing<'_>, now: NaiveDateTime) -> Result<KeyTaken, LeftOut> {
        match standing.status {
            None => return Err(LeftOut::NotTried),
            Some(ProcessStatus::Pending) if standing.waits.is_some() => return Err(LeftOut::WaitsForPerson),
            Some(ProcessStatus::Pending) => return Err(LeftOut::OutcomeUnknown),
            Some(ProcessStatus::Retrying) => return Err(LeftOut::StillRetrying),
            Some(ProcessStatus::Success) => return Err(LeftOut::AlreadyPaid),
            Some(ProcessStatus::Failed) => {}
        }
        if !standing.has_amount || standing.code.is_some_and(failed_unpayable) {
            return Err(LeftOut::CannotBePaid);
        }
        match KeyTaken::of(standing.code, standing.may_have_executed) {
            KeyTaken::Same if self.outlived(standing.first_sent_at, now) => Err(LeftOut::KeyExpired),
            takes => Ok(takes),
        }
    }

    /// How the requeue of a FAILED row begins.
    pub fn requeue(&self, row: &ResultRow, takes: KeyTaken, now: NaiveDateTime) -> Step {
        match takes {
            // The fence of the stages would only hold it for a person.
            KeyTaken::Same if self.expired(row, now) => Step::Leave(Unproved::KeyExpired),
            KeyTaken::Same => Step::Requeue(KeyTaken::Same),
            KeyTaken::Next if self.lookup => Step::Ask(Request::LookUp),
            KeyTaken::Next => self.ask_to_cancel(row, Unproved::NoProof, now),
        }
    }

    /// How it goes on after an answer to [`Step::Ask`].
    pub fn requeue_answered(&self, row: &ResultRow, request: Request, verdict: Verdict, now: NaiveDateTime) -> Step {
        match verdict {
            Verdict::Paid => Step::Paid,
            Verdict::Refused => Step::Requeue(KeyTaken::Next),
            // A key that money has forgotten can be cancelled, which proves nothing about its first life.
            Verdict::Cancelled if self.expired(row, now) => Step::Leave(Unproved::KeyExpired),
            Verdict::Cancelled => Step::Requeue(KeyTaken::Next),
            Verdict::NotSeen if request == Request::LookUp => self.ask_to_cancel(row, Unproved::NotSeen, now),
            Verdict::NotSeen => Step::Leave(Unproved::NotSeen),
            // A burnt key may answer with a code that is on no list; a cancel says it plainly.
            Verdict::RefusalNotListed if request == Request::LookUp => self.ask_to_cancel(row, Unproved::NotFinal, now),
            Verdict::RefusalNotListed => Step::Leave(Unproved::NotFinal),
            Verdict::KeyReused => Step::Leave(Unproved::KeyReused),
            Verdict::KeyExpired => Step::Leave(Unproved::KeyExpired),
            Verdict::Executing => Step::Leave(Unproved::Executing),
            Verdict::NotExecuted | Verdict::Unknown => Step::Leave(Unproved::NoAnswer),
            Verdict::Fault => Step::Leave(Unproved::Fault),
        }
    }

    fn ask_to_cancel(&self, row: &ResultRow, otherwise: Unproved, now: NaiveDateTime) -> Step {
        match self.cancel {
            true if self.expired(row, now) => Step::Leave(Unproved::KeyExpired),
            true => Step::Ask(Request::Cancel),
            false => Step::Leave(otherwise),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::{NaiveDate, TimeDelta};

    use super::*;
    use crate::domain::result::AttemptToken;

    const HOUR: Duration = Duration::from_secs(3600);
    const FULL: Rules = Rules { lookup: true, cancel: true, max_attempts: 5, key_lifetime: HOUR, unanswered_for: HOUR };
    const NO_CANCEL: Rules = Rules { cancel: false, ..FULL };
    const NO_LOOKUP: Rules = Rules { lookup: false, ..FULL };
    const NEITHER: Rules = Rules { lookup: false, cancel: false, ..FULL };

    fn now() -> NaiveDateTime {
        NaiveDate::from_ymd_opt(2026, 11, 20).and_then(|day| day.and_hms_opt(12, 0, 0)).unwrap()
    }

    fn first_sent(ago: TimeDelta) -> ResultRow {
        ResultRow {
            status: ProcessStatus::Failed,
            retry_count: 4,
            may_have_executed: true,
            generation: 1,
            requeues: 0,
            first_sent_at: Some(now() - ago),
            waits: None,
            token: AttemptToken(1),
            updated_at: None,
        }
    }

    #[test]
    fn only_what_never_reached_execution_or_a_person_closed_keeps_its_key() {
        for (code, may_have_executed, takes) in [
            (Some("HTTP_429"), false, KeyTaken::Same),
            (Some("CONNECT_REFUSED"), false, KeyTaken::Same),
            (Some("HTTP_429"), true, KeyTaken::Next),
            (Some("RESOLVED_NOT_PAID"), true, KeyTaken::Same),
            (Some("LIMIT_EXCEEDED"), false, KeyTaken::Next),
            (Some("CANCELLED"), false, KeyTaken::Next),
            (None, false, KeyTaken::Next),
        ] {
            assert_eq!(KeyTaken::of(code, may_have_executed), takes, "{code:?} {may_have_executed}");
        }
    }

    #[test]
    fn only_a_failed_target_that_can_be_paid_is_planned() {
        use ProcessStatus::{Failed, Pending, Retrying, Success};
        let recent = Some(now() - TimeDelta::minutes(1));
        let base = Standing {
            status: Some(Failed),
            waits: None,
            code: Some("LIMIT"),
            has_amount: true,
            may_have_executed: false,
            first_sent_at: recent,
        };
        let old = Some(now() - TimeDelta::hours(2));
        let table = [
            (base, Ok(KeyTaken::Next)),
            (Standing { first_sent_at: old, ..base }, Ok(KeyTaken::Next)),
            (Standing { code: Some("HTTP_429"), ..base }, Ok(KeyTaken::Same)),
            (Standing { code: Some("HTTP_429"), first_sent_at: old, ..base }, Err(LeftOut::KeyExpired)),
            (Standing { code: Some("NO_AMOUNT"), ..base }, Err(LeftOut::CannotBePaid)),
            (Standing { has_amount: false, ..base }, Err(LeftOut::CannotBePaid)),
            (Standing { status: None, ..base }, Err(LeftOut::NotTried)),
            (Standing { status: Some(Pending), ..base }, Err(LeftOut::OutcomeUnknown)),
            (Standing { status: Some(Pending), waits: Some(Waits::Refusal), ..base }, Err(LeftOut::WaitsForPerson)),
            (Standing { status: Some(Retrying), ..base }, Err(LeftOut::StillRetrying)),
            (Standing { status: Some(Success), ..base }, Err(LeftOut::AlreadyPaid)),
        ];
        for (line, (standing, planned)) in (1..).zip(table) {
            assert_eq!(FULL.plan(&standing, now()), planned, "line {line}");
        }
    }

    #[test]
    fn a_later_key_needs_moneys_word_now() {
        let (young, old) = (first_sent(TimeDelta::minutes(1)), first_sent(TimeDelta::hours(2)));
        let begins = [
            (FULL, young, KeyTaken::Next, Step::Ask(Request::LookUp)),
            (FULL, old, KeyTaken::Next, Step::Ask(Request::LookUp)),
            (NO_LOOKUP, young, KeyTaken::Next, Step::Ask(Request::Cancel)),
            (NO_LOOKUP, old, KeyTaken::Next, Step::Leave(Unproved::KeyExpired)),
            (NEITHER, young, KeyTaken::Next, Step::Leave(Unproved::NoProof)),
            (NEITHER, young, KeyTaken::Same, Step::Requeue(KeyTaken::Same)),
            (FULL, old, KeyTaken::Same, Step::Leave(Unproved::KeyExpired)),
        ];
        for (line, (rules, row, takes, step)) in (1..).zip(begins) {
            assert_eq!(rules.requeue(&row, takes, now()), step, "line {line}");
        }
        let next = Step::Requeue(KeyTaken::Next);
        let answers = [
            (FULL, young, Request::LookUp, Verdict::Refused, next),
            (NO_CANCEL, old, Request::LookUp, Verdict::Refused, next),
            (FULL, young, Request::LookUp, Verdict::Paid, Step::Paid),
            (FULL, young, Request::LookUp, Verdict::NotSeen, Step::Ask(Request::Cancel)),
            (FULL, old, Request::LookUp, Verdict::NotSeen, Step::Leave(Unproved::KeyExpired)),
            (NO_CANCEL, young, Request::LookUp, Verdict::NotSeen, Step::Leave(Unproved::NotSeen)),
            (FULL, young, Request::LookUp, Verdict::RefusalNotListed, Step::Ask(Request::Cancel)),
            (NO_CANCEL, young, Request::LookUp, Verdict::RefusalNotListed, Step::Leave(Unproved::NotFinal)),
            (FULL, young, Request::LookUp, Verdict::Executing, Step::Leave(Unproved::Executing)),
            (FULL, young, Request::LookUp, Verdict::Unknown, Step::Leave(Unproved::NoAnswer)),
            (FULL, young, Request::Cancel, Verdict::Cancelled, next),
            (FULL, old, Request::Cancel, Verdict::Cancelled, Step::Leave(Unproved::KeyExpired)),
            (FULL, young, Request::Cancel, Verdict::Refused, next),
            (FULL, young, Request::Cancel, Verdict::Paid, Step::Paid),
            (FULL, young, Request::Cancel, Verdict::RefusalNotListed, Step::Leave(Unproved::NotFinal)),
            (FULL, young, Request::Cancel, Verdict::NotSeen, Step::Leave(Unproved::NotSeen)),
            (FULL, young, Request::Cancel, Verdict::Unknown, Step::Leave(Unproved::NoAnswer)),
            (FULL, young, Request::LookUp, Verdict::Fault, Step::Leave(Unproved::Fault)),
            (FULL, young, Request::Cancel, Verdict::Fault, Step::Leave(Unproved::Fault)),
        ];
        for (line, (rules, row, request, verdict, step)) in (1..).zip(answers) {
            assert_eq!(rules.requeue_answered(&row, request, verdict, now()), step, "line {line}: {verdict:?}");
        }
    }
}
