//! What next? Given a row, an answer and the time: the decisions that payer and retrier execute, and
//! that the model checker explores. Nothing here does I/O, and nothing elsewhere decides these things.

use std::time::Duration;

use chrono::NaiveDateTime;

use super::outcome::{Effect, Verdict};
use super::result::{AttemptToken, Counter, ProcessStatus, ResultRow, Waits};
use super::target::Unpayable;

/// What a deployment's `money` service can do, and how far we go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rules {
    /// Whether a key can be looked up.
    pub lookup: bool,
    /// Whether a key can be cancelled.
    pub cancel: bool,
    /// Attempts per target, the first included.
    pub max_attempts: u32,
    /// How long after its first use a key may still be sent: `money.key_retention` less its margin.
    pub key_lifetime: Duration,
    /// How long nothing may be written about a row before a question that is left open leaves it to a person:
    /// [`UNANSWERED_FOR`].
    pub unanswered_for: Duration,
}

/// An hour: a `money` that leaves questions open for longer is a person's business. More where clocks are set forward.
pub const UNANSWERED_FOR: Duration = Duration::from_secs(60 * 60);

/// A request to `money` about a key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Request {
    /// Pay.
    Charge,
    /// Ask what became of it.
    LookUp,
    /// Burn the key.
    Cancel,
}

/// What is done next about a delivered entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// The row is final: acknowledge, delete and count the entry.
    Settle(Counter),
    /// Leave the entry to the retrier.
    Park,
    /// Leave the entry to a person (and to the retrier's slowest pace).
    Hold,
    /// The target cannot be paid: write FAILED without a call.
    Fail(Unpayable),
    /// Ask `money`.
    Send(Request),
    /// Write an outcome; the row as it stands then says what becomes of the entry.
    Write(Write),
}

/// An outcome to be written.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Write {
    /// What it does to the row.
    pub effect: Effect,
    /// Whether the row's `retry_count` goes up: a key whose outcome is unknown was sent again.
    pub another_attempt: bool,
}

impl Rules {
    /// After the payer's intent step. Only the row that this payer has just made is called: its token
    /// stands in the row, and nobody else has touched it since.
    pub fn first_delivery(
        &self,
        row: &ResultRow,
        mine: AttemptToken,
        unpayable: Option<Unpayable>,
        now: NaiveDateTime,
    ) -> Next {
        match row.status {
            ProcessStatus::Success | ProcessStatus::Failed => settle(row),
            // Frozen since the intent for longer than a key lives: whoever has the entry now decides.
            ProcessStatus::Pending if self.expired(row, now) => Next::Park,
            ProcessStatus::Pending if row.token == mine && !row.may_have_executed => {
                unpayable.map_or(Next::Send(Request::Charge), Next::Fail)
            }
            ProcessStatus::Pending if row.waits.is_some() => Next::Hold,
            ProcessStatus::Pending | ProcessStatus::Retrying => Next::Park,
        }
    }

    /// After the retrier's intent step: a RETRYING row has become PENDING under the retrier's token, any
    /// other PENDING row may have been executed by somebody else.
    pub fn redelivery(
        &self,
        row: &ResultRow,
        mine: AttemptToken,
        unpayable: Option<Unpayable>,
        now: NaiveDateTime,
    ) -> Next {
        match row.status {
            ProcessStatus::Success | ProcessStatus::Failed => settle(row),
            ProcessStatus::Retrying => Next::Park,
            ProcessStatus::Pending => match unpayable {
                // Frozen with the promotion: no attempt was ever sent, whoever made the intent.
                Some(unpayable) => Next::Fail(unpayable),
                // "Not executed" is MySQL's word, and MySQL may have lost a commit: the fence holds here too.
                None if row.token == mine && !row.may_have_executed && self.expired(row, now) => {
                    hold(row, Waits::KeyExpired)
                }
                None if row.token == mine && !row.may_have_executed => Next::Send(Request::Charge),
                // Our intent would have marked it: MySQL has lost a commit since. The step is run again.
                None if row.token != mine && !row.may_have_executed => Next::Park,
                None if self.lookup => Next::Send(Request::LookUp),
                None => self.not_seen(row, now),
            },
        }
    }

    /// After the answer to a look-up.
    pub fn looked_up(&self, row: &ResultRow, verdict: Verdict, now: NaiveDateTime) -> Next {
        match verdict {
            Verdict::Paid => write(Effect::Paid, false),
            Verdict::Refused => write(Effect::Failed, false),
            Verdict::NotSeen => self.not_seen(row, now),
            Verdict::RefusalNotListed if self.used_up(row) && self.cancel && !self.expired(row, now) => {
                Next::Send(Request::Cancel)
            }
            Verdict::RefusalNotListed if self.used_up(row) => write(Effect::Unknown(Some(Waits::Refusal)), false),
            Verdict::RefusalNotListed => write(Effect::Unknown(None), true),
            Verdict::KeyReused => write(Effect::Unknown(Some(Waits::KeyReused)), false),
            Verdict::KeyExpired => write(Effect::Unknown(Some(Waits::KeyExpired)), false),
            // A look-up that failed says nothing and uses up nothing.
            Verdict::Executing | Verdict::NotExecuted | Verdict::Unknown | Verdict::Cancelled => {
                self.unanswered(row, now)
            }
            Verdict::Fault => wait_on(row),
        }
    }

    /// After the answer to a charge. `resent` says that the row's outcome was unknown before: such an
    /// attempt is not counted yet.
    pub fn charged(&self, row: &ResultRow, verdict: Verdict, resent: bool, now: NaiveDateTime) -> Next {
        match verdict {
            Verdict::Paid => write(Effect::Paid, resent),
            Verdict::Refused => write(Effect::Failed, resent),
            Verdict::NotExecuted => {
                let used_up = row.retry_count.saturating_add(1).saturating_add(u32::from(resent)) >= self.max_attempts;
                let may_cancel = self.cancel && !self.expired(row, now);
                match (used_up, resent) {
                    (false, false) => write(Effect::NotExecuted, false),
                    // It says nothing about the attempt before, whatever the row says by now.
                    (false, true) => write(Effect::Unknown(None), true),
                    (true, false) if may_cancel => Next::Send(Request::Cancel),
                    // Counted before the cancel is asked, which may never be answered.
                    (true, true) if may_cancel => write(Effect::Unknown(None), true),
                    (true, _) if self.expired(row, now) => write(Effect::Unknown(Some(Waits::KeyExpired)), resent),
                    (true, false) => write(Effect::GiveUp, false),
                    (true, true) => write(Effect::Unknown(Some(Waits::UnknownOutcome)), true),
                }
            }
            // Nothing else can ever tell more about this refusal than the list of final codes.
            Verdict::RefusalNotListed if self.used_up(row) && !self.lookup && !self.cancel => {
                write(Effect::Unknown(Some(Waits::Refusal)), resent)
            }
            Verdict::KeyReused => write(Effect::Unknown(Some(Waits::KeyReused)), resent),
            Verdict::KeyExpired => write(Effect::Unknown(Some(Waits::KeyExpired)), resent),
            // Uses up nothing, but where the key is so old that it may go on for ever.
            Verdict::Executing => {
                let old = row.first_sent_at.is_some_and(|first| is_older(first, self.unanswered_for, now));
                write(Effect::Unknown(None), resent && old)
            }
            Verdict::RefusalNotListed | Verdict::Unknown | Verdict::NotSeen | Verdict::Cancelled => {
                write(Effect::Unknown(None), resent)
            }
            Verdict::Fault if resent => wait_on(row),
            Verdict::Fault => write(Effect::NotCalled, false),
        }
    }

    /// After the answer to a cancel.
    pub fn cancelled(&self, row: &ResultRow, verdict: Verdict, now: NaiveDateTime) -> Next {
        match verdict {
            Verdict::Paid => write(Effect::Paid, false),
            Verdict::Refused => write(Effect::Failed, false),
            // A key that money has forgotten can be cancelled, which proves nothing about its first life.
            Verdict::Cancelled if self.expired(row, now) => write(Effect::Unknown(Some(Waits::KeyExpired)), false),
            Verdict::Cancelled => write(Effect::Failed, false),
            Verdict::RefusalNotListed => write(Effect::Unknown(Some(Waits::Refusal)), false),
            Verdict::KeyReused => write(Effect::Unknown(Some(Waits::KeyReused)), false),
            Verdict::KeyExpired => write(Effect::Unknown(Some(Waits::KeyExpired)), false),
            // Asked again after a backoff; an unanswered cancel never makes a row FAILED.
            Verdict::Executing | Verdict::NotExecuted | Verdict::NotSeen | Verdict::Unknown | Verdict::Fault
                if !row.may_have_executed =>
            {
                write(Effect::Unknown(None), false)
            }
            Verdict::Executing | Verdict::NotExecuted | Verdict::NotSeen | Verdict::Unknown => {
                self.unanswered(row, now)
            }
            Verdict::Fault => wait_on(row),
        }
    }

    /// What becomes of the entry once the outcome is written, by the row alone.
    pub fn written(row: &ResultRow) -> Next {
        match row.status {
            ProcessStatus::Success | ProcessStatus::Failed => settle(row),
            ProcessStatus::Pending | ProcessStatus::Retrying => wait_on(row),
        }
    }

    /// What becomes of the entry once its row was reopened: its key was not seen just before, or cannot be looked up. Were it
    /// delivered anew, the row might be old again by then. It is charged where it is still what it was, under the same key and
    /// with our intent in it; else the next delivery decides.
    pub fn reopened(&self, before: &ResultRow, row: &ResultRow) -> Next {
        let ours = row.generation == before.generation && row.may_have_executed;
        match row.status {
            ProcessStatus::Pending if ours && row.waits.is_none() && !self.used_up(row) => Next::Send(Request::Charge),
            ProcessStatus::Pending | ProcessStatus::Retrying | ProcessStatus::Success | ProcessStatus::Failed => {
                Self::written(row)
            }
        }
    }

    /// Whether a request that was decided on a while ago may still be sent: not once `money` may have forgotten
    /// the key, and no charge of a row that a person may be told of by now, but for one that only repeats a refusal. Asking
    /// never hurts.
    pub fn may_still_send(&self, row: &ResultRow, request: Request, now: NaiveDateTime) -> bool {
        match request {
            Request::LookUp => true,
            Request::Charge => {
                let told = self.may_be_a_persons(row, now) && row.waits != Some(Waits::Refusal);
                !self.expired(row, now) && !told
            }
            Request::Cancel => !self.expired(row, now),
        }
    }

    /// The key was not seen, or cannot be looked up: send it again, cancel it, or leave it to a person.
    fn not_seen(&self, row: &ResultRow, now: NaiveDateTime) -> Next {
        if self.expired(row, now) {
            return hold(row, Waits::KeyExpired);
        }
        match row.waits {
            // Sent again under the same key, a recorded refusal is only repeated, and judged anew.
            Some(Waits::Refusal) if !self.lookup => Next::Send(Request::Charge),
            Some(Waits::KeyReused | Waits::KeyExpired | Waits::Poison) => Next::Hold,
            Some(Waits::UnknownOutcome | Waits::Refusal) | None if self.used_up(row) => {
                if self.cancel {
                    Next::Send(Request::Cancel)
                } else {
                    hold(row, Waits::UnknownOutcome)
                }
            }
            // A person was told, who may be closing it at this very moment: that is taken back before it is charged.
            Some(Waits::UnknownOutcome | Waits::Refusal) => write(Effect::Reopened, false),
            None if self.may_be_a_persons(row, now) => write(Effect::Reopened, false),
            None => Next::Send(Request::Charge),
        }
    }

    /// A question was left open. Where nothing is learnt about a key for long, a person is told; it is asked on, at the
    /// slowest pace.
    fn unanswered(&self, row: &ResultRow, now: NaiveDateTime) -> Next {
        if row.waits.is_none() && row.updated_at.is_none_or(|then| is_older(then, self.unanswered_for, now)) {
            return write(Effect::Unknown(Some(Waits::UnknownOutcome)), false);
        }
        wait_on(row)
    }

    /// Whether another may soon leave the row to a person, or has: nothing was written about it for half of the time after
    /// which that is done. So a charge is sent, and answered, long before a person hears that its questions stay open.
    fn may_be_a_persons(&self, row: &ResultRow, now: NaiveDateTime) -> bool {
        row.updated_at.is_none_or(|then| is_older(then, self.unanswered_for / 2, now))
    }

    fn used_up(&self, row: &ResultRow) -> bool {
        row.retry_count.saturating_add(1) >= self.max_attempts
    }

    /// Whether the key may have been forgotten by `money`. A row without a first use has sent nothing.
    pub(super) fn expired(&self, row: &ResultRow, now: NaiveDateTime) -> bool {
        self.outlived(row.first_sent_at, now)
    }

    /// The same, by when the key was first sent.
    pub(super) fn outlived(&self, first_sent_at: Option<NaiveDateTime>, now: NaiveDateTime) -> bool {
        first_sent_at.is_some_and(|first| is_older(first, self.key_lifetime, now))
    }
}

fn is_older(then: NaiveDateTime, than: Duration, now: NaiveDateTime) -> bool {
    (now - then).to_std().unwrap_or(Duration::ZERO) >= than
}

fn settle(row: &ResultRow) -> Next {
    row.counter().map_or(Next::Park, Next::Settle)
}

fn wait_on(row: &ResultRow) -> Next {
    if row.waits.is_some() { Next::Hold } else { Next::Park }
}

fn hold(row: &ResultRow, waits: Waits) -> Next {
    if row.waits == Some(waits) { Next::Hold } else { write(Effect::Unknown(Some(waits)), false) }
}

fn write(effect: Effect, another_attempt: bool) -> Next {
    Next::Write(Write { effect, another_attempt })
}

#[cfg(test)]
mod tests {
    use chrono::{NaiveDate, TimeDelta};

    use super::*;

    const MINE: AttemptToken = AttemptToken(1);
    const ANOTHERS: AttemptToken = AttemptToken(2);
    /// In which order these two pass, decides between a person who is told and a key that is not sent.
    const LIFETIME: Duration = Duration::from_secs(3600);
    const LONG: Duration = Duration::from_secs(600);
    const FULL: Rules =
        Rules { lookup: true, cancel: true, max_attempts: 5, key_lifetime: LIFETIME, unanswered_for: LONG };
    const NO_CANCEL: Rules = Rules { cancel: false, ..FULL };
    const NO_LOOKUP: Rules = Rules { lookup: false, ..FULL };
    const NEITHER: Rules = Rules { lookup: false, cancel: false, ..FULL };

    fn now() -> NaiveDateTime {
        NaiveDate::from_ymd_opt(2026, 11, 20).and_then(|day| day.and_hms_opt(12, 0, 0)).unwrap()
    }

    /// PENDING by us, first sent a minute ago, nothing else known.
    fn row() -> ResultRow {
        ResultRow {
            status: ProcessStatus::Pending,
            retry_count: 0,
            may_have_executed: false,
            generation: 1,
            requeues: 0,
            first_sent_at: Some(now() - TimeDelta::minutes(1)),
            waits: None,
            token: MINE,
            updated_at: Some(now() - TimeDelta::minutes(1)),
        }
    }

    fn unknown(retry_count: u32) -> ResultRow {
        ResultRow { may_have_executed: true, token: ANOTHERS, retry_count, ..row() }
    }

    fn old(row: ResultRow) -> ResultRow {
        ResultRow { first_sent_at: Some(now() - TimeDelta::hours(2)), ..row }
    }

    /// First sent twenty minutes ago, and nothing learnt since.
    fn long_open(row: ResultRow) -> ResultRow {
        let then = Some(now() - TimeDelta::minutes(20));
        ResultRow { first_sent_at: then, updated_at: then, ..row }
    }

    fn waiting(row: ResultRow, waits: Waits) -> ResultRow {
        ResultRow { waits: Some(waits), ..row }
    }

    fn writes(effect: Effect) -> Next {
        write(effect, false)
    }

    fn adds(effect: Effect) -> Next {
        write(effect, true)
    }

    #[test]
    fn only_a_row_that_was_just_made_is_called_at_the_first_delivery() {
        let retrying = ResultRow { status: ProcessStatus::Retrying, ..row() };
        let success = ResultRow { status: ProcessStatus::Success, ..row() };
        let table = [
            (row(), None, Next::Send(Request::Charge)),
            (row(), Some(Unpayable::NoAmount), Next::Fail(Unpayable::NoAmount)),
            (unknown(0), None, Next::Park),
            (ResultRow { token: ANOTHERS, ..row() }, None, Next::Park),
            (ResultRow { may_have_executed: true, ..row() }, None, Next::Park),
            (old(row()), None, Next::Park),
            (waiting(unknown(4), Waits::Refusal), None, Next::Hold),
            (retrying, None, Next::Park),
            (success, None, Next::Settle(Counter::Success)),
            (ResultRow { retry_count: 1, ..success }, None, Next::Settle(Counter::RetrySuccess)),
            (ResultRow { status: ProcessStatus::Failed, ..row() }, None, Next::Settle(Counter::Fail)),
        ];
        for (line, (row, unpayable, next)) in (1..).zip(table) {
            assert_eq!(FULL.first_delivery(&row, MINE, unpayable, now()), next, "line {line}");
        }
    }

    #[test]
    fn an_unknown_outcome_is_looked_up_before_it_is_paid_again() {
        let used_up = unknown(4);
        let table = [
            // Ours: it was known not to have been paid.
            (FULL, row(), Next::Send(Request::Charge)),
            (FULL, old(row()), writes(Effect::Unknown(Some(Waits::KeyExpired)))),
            // Not ours: look up, or send again under the same key.
            (FULL, unknown(0), Next::Send(Request::LookUp)),
            (NO_CANCEL, used_up, Next::Send(Request::LookUp)),
            (NO_LOOKUP, unknown(3), Next::Send(Request::Charge)),
            (NO_LOOKUP, used_up, Next::Send(Request::Cancel)),
            (NEITHER, used_up, writes(Effect::Unknown(Some(Waits::UnknownOutcome)))),
            (NEITHER, waiting(used_up, Waits::UnknownOutcome), Next::Hold),
            // Nothing is sent once the key may be forgotten, but asking never hurts.
            (FULL, old(unknown(0)), Next::Send(Request::LookUp)),
            (NO_LOOKUP, old(unknown(0)), writes(Effect::Unknown(Some(Waits::KeyExpired)))),
            // A refusal whose code is on the list by now is judged anew.
            (NEITHER, waiting(used_up, Waits::Refusal), Next::Send(Request::Charge)),
            (NO_LOOKUP, waiting(unknown(1), Waits::KeyReused), Next::Hold),
            // Our intent is not in the row: the database has lost a commit.
            (FULL, ResultRow { token: ANOTHERS, ..row() }, Next::Park),
        ];
        for (line, (rules, row, next)) in (1..).zip(table) {
            assert_eq!(rules.redelivery(&row, MINE, None, now()), next, "line {line}");
        }
        let next = FULL.redelivery(&unknown(0), MINE, Some(Unpayable::NoAmount), now());
        assert_eq!(next, Next::Fail(Unpayable::NoAmount), "no attempt of it was ever sent");
    }

    #[test]
    fn failed_comes_only_from_a_recorded_refusal_an_acknowledged_cancel_or_attempts_that_never_reached_execution() {
        let last = ResultRow { retry_count: 4, ..row() };
        let table = [
            (FULL, row(), Verdict::Paid, false, writes(Effect::Paid)),
            (FULL, unknown(0), Verdict::Paid, true, adds(Effect::Paid)),
            (FULL, row(), Verdict::Refused, false, writes(Effect::Failed)),
            (FULL, row(), Verdict::NotExecuted, false, writes(Effect::NotExecuted)),
            (FULL, unknown(0), Verdict::NotExecuted, true, adds(Effect::Unknown(None))),
            (FULL, last, Verdict::NotExecuted, false, Next::Send(Request::Cancel)),
            (FULL, unknown(3), Verdict::NotExecuted, true, adds(Effect::Unknown(None))),
            (FULL, old(last), Verdict::NotExecuted, false, writes(Effect::Unknown(Some(Waits::KeyExpired)))),
            (NO_CANCEL, last, Verdict::NotExecuted, false, writes(Effect::GiveUp)),
            (NO_CANCEL, unknown(3), Verdict::NotExecuted, true, adds(Effect::Unknown(Some(Waits::UnknownOutcome)))),
            (FULL, last, Verdict::Unknown, false, writes(Effect::Unknown(None))),
            (FULL, unknown(0), Verdict::Unknown, true, adds(Effect::Unknown(None))),
            (FULL, row(), Verdict::Executing, false, writes(Effect::Unknown(None))),
            (FULL, row(), Verdict::RefusalNotListed, false, writes(Effect::Unknown(None))),
            (NEITHER, last, Verdict::RefusalNotListed, false, writes(Effect::Unknown(Some(Waits::Refusal)))),
            (FULL, row(), Verdict::KeyReused, false, writes(Effect::Unknown(Some(Waits::KeyReused)))),
            (FULL, row(), Verdict::KeyExpired, false, writes(Effect::Unknown(Some(Waits::KeyExpired)))),
            (FULL, row(), Verdict::Fault, false, writes(Effect::NotCalled)),
            (FULL, unknown(0), Verdict::Fault, true, Next::Park),
        ];
        for (line, (rules, row, verdict, resent, next)) in (1..).zip(table) {
            assert_eq!(rules.charged(&row, verdict, resent, now()), next, "line {line}: {verdict:?}");
        }
    }

    #[test]
    fn a_look_up_that_finds_nothing_is_no_proof() {
        let table = [
            (FULL, unknown(0), Verdict::Paid, writes(Effect::Paid)),
            (FULL, unknown(0), Verdict::Refused, writes(Effect::Failed)),
            (FULL, unknown(0), Verdict::NotSeen, Next::Send(Request::Charge)),
            (FULL, unknown(4), Verdict::NotSeen, Next::Send(Request::Cancel)),
            (NO_CANCEL, unknown(4), Verdict::NotSeen, writes(Effect::Unknown(Some(Waits::UnknownOutcome)))),
            (FULL, old(unknown(0)), Verdict::NotSeen, writes(Effect::Unknown(Some(Waits::KeyExpired)))),
            (FULL, unknown(0), Verdict::Executing, Next::Park),
            (FULL, unknown(0), Verdict::Unknown, Next::Park),
            (FULL, waiting(unknown(4), Waits::UnknownOutcome), Verdict::Unknown, Next::Hold),
            (FULL, unknown(0), Verdict::RefusalNotListed, adds(Effect::Unknown(None))),
            (FULL, unknown(4), Verdict::RefusalNotListed, Next::Send(Request::Cancel)),
            (NO_CANCEL, unknown(4), Verdict::RefusalNotListed, writes(Effect::Unknown(Some(Waits::Refusal)))),
        ];
        for (line, (rules, row, verdict, next)) in (1..).zip(table) {
            assert_eq!(rules.looked_up(&row, verdict, now()), next, "line {line}: {verdict:?}");
        }
    }

    #[test]
    fn only_an_acknowledged_cancel_of_a_key_that_money_remembers_makes_a_row_failed() {
        let table = [
            (unknown(4), Verdict::Cancelled, writes(Effect::Failed)),
            (old(unknown(4)), Verdict::Cancelled, writes(Effect::Unknown(Some(Waits::KeyExpired)))),
            (unknown(4), Verdict::Paid, writes(Effect::Paid)),
            (unknown(4), Verdict::Refused, writes(Effect::Failed)),
            (unknown(4), Verdict::RefusalNotListed, writes(Effect::Unknown(Some(Waits::Refusal)))),
            (unknown(4), Verdict::Executing, Next::Park),
            (unknown(4), Verdict::Unknown, Next::Park),
            (unknown(4), Verdict::NotExecuted, Next::Park),
            (unknown(4), Verdict::Fault, Next::Park),
            // The only attempt that was turned away is not proved so by the cancel that was left open.
            (ResultRow { retry_count: 4, ..row() }, Verdict::Unknown, writes(Effect::Unknown(None))),
            (ResultRow { retry_count: 4, ..row() }, Verdict::Fault, writes(Effect::Unknown(None))),
        ];
        for (line, (row, verdict, next)) in (1..).zip(table) {
            assert_eq!(FULL.cancelled(&row, verdict, now()), next, "line {line}: {verdict:?}");
        }
    }

    #[test]
    fn a_key_about_which_nothing_is_learnt_for_long_is_left_to_a_person_and_asked_on() {
        let to_person = writes(Effect::Unknown(Some(Waits::UnknownOutcome)));
        let told = waiting(long_open(unknown(4)), Waits::Refusal);
        for verdict in [Verdict::Unknown, Verdict::Executing, Verdict::NotExecuted] {
            // Who waits already goes on waiting for what it did.
            for (row, next) in [(unknown(4), Next::Park), (long_open(unknown(4)), to_person), (told, Next::Hold)] {
                assert_eq!(FULL.looked_up(&row, verdict, now()), next, "{verdict:?} {row:?}");
                assert_eq!(FULL.cancelled(&row, verdict, now()), next, "{verdict:?} {row:?}");
            }
        }
        // A fault of ours stops the promotion, and is no matter of this key.
        assert_eq!(FULL.looked_up(&long_open(unknown(4)), Verdict::Fault, now()), Next::Park);
        assert_eq!(FULL.cancelled(&long_open(unknown(4)), Verdict::Fault, now()), Next::Park);
        // When it was last written is not known.
        let unwritten = ResultRow { updated_at: None, ..unknown(0) };
        assert_eq!(FULL.looked_up(&unwritten, Verdict::Unknown, now()), to_person);
        assert_eq!(FULL.looked_up(&unwritten, Verdict::NotSeen, now()), writes(Effect::Reopened));
        // A key sent long ago that was given new attempts now is not open for long.
        let requeued = ResultRow { updated_at: Some(now()), ..long_open(unknown(0)) };
        assert_eq!(FULL.looked_up(&requeued, Verdict::Unknown, now()), Next::Park);
        // Executing for ever, where there is nothing but the charge to ask by: it uses up its attempts.
        assert_eq!(FULL.charged(&long_open(unknown(0)), Verdict::Executing, true, now()), adds(Effect::Unknown(None)));
        assert_eq!(FULL.charged(&unknown(0), Verdict::Executing, true, now()), writes(Effect::Unknown(None)));
        let waits = waiting(long_open(unknown(0)), Waits::UnknownOutcome);
        assert_eq!(FULL.redelivery(&waits, MINE, None, now()), Next::Send(Request::LookUp));
        assert_eq!(FULL.looked_up(&waits, Verdict::Paid, now()), writes(Effect::Paid));
    }

    #[test]
    fn what_a_person_may_be_closing_is_not_charged_before_that_is_taken_back() {
        for rules in [FULL, NO_CANCEL, NO_LOOKUP, NEITHER] {
            for waits in Waits::ALL {
                let row = waiting(unknown(1), waits);
                let asked = match rules.redelivery(&row, MINE, None, now()) {
                    Next::Send(Request::LookUp) => rules.looked_up(&row, Verdict::NotSeen, now()),
                    other => other,
                };
                let next = match waits {
                    // Judged anew by its own record, which is all that repeating it gives.
                    Waits::Refusal if !rules.lookup => Next::Send(Request::Charge),
                    Waits::Refusal | Waits::UnknownOutcome => writes(Effect::Reopened),
                    Waits::KeyReused | Waits::KeyExpired | Waits::Poison => Next::Hold,
                };
                assert_eq!(asked, next, "{waits:?}, look-up {}, cancel {}", rules.lookup, rules.cancel);
            }
        }
        assert_eq!(FULL.looked_up(&unknown(1), Verdict::NotSeen, now()), Next::Send(Request::Charge));
        // A refusal is repeated however old its row is: who does not ask again never hears of the code's being listed.
        for row in [waiting(unknown(4), Waits::Refusal), waiting(long_open(unknown(4)), Waits::Refusal)] {
            assert_eq!(NEITHER.redelivery(&row, MINE, None, now()), Next::Send(Request::Charge));
            assert!(NEITHER.may_still_send(&row, Request::Charge, now()));
        }
        // Taken back, it is charged at once, unless it is not what it was.
        assert_eq!(FULL.reopened(&unknown(1), &unknown(1)), Next::Send(Request::Charge));
        let success = ResultRow { status: ProcessStatus::Success, ..unknown(1) };
        for (row, next) in [
            (unknown(4), Next::Park),
            (ResultRow { generation: 2, ..unknown(1) }, Next::Park),
            (ResultRow { may_have_executed: false, ..unknown(1) }, Next::Park),
            (ResultRow { status: ProcessStatus::Retrying, ..unknown(1) }, Next::Park),
            (waiting(unknown(1), Waits::Poison), Next::Hold),
            (success, Next::Settle(Counter::RetrySuccess)),
        ] {
            assert_eq!(FULL.reopened(&unknown(1), &row), next, "{row:?}");
        }
        // Another may be about to tell a person: it could not, were the row written just now.
        let quiet = |minutes| ResultRow { updated_at: Some(now() - TimeDelta::minutes(minutes)), ..unknown(1) };
        for (minutes, next, may) in [
            (4, Next::Send(Request::Charge), true),
            (5, writes(Effect::Reopened), false),
            (10, writes(Effect::Reopened), false),
        ] {
            let row = quiet(minutes);
            assert_eq!(FULL.looked_up(&row, Verdict::NotSeen, now()), next, "{minutes}");
            assert_eq!(NEITHER.redelivery(&row, MINE, None, now()), next, "{minutes}");
            assert_eq!(FULL.may_still_send(&row, Request::Charge, now()), may, "{minutes}");
            assert!(
                FULL.may_still_send(&row, Request::LookUp, now()) && FULL.may_still_send(&row, Request::Cancel, now())
            );
        }
        let used_up = waiting(unknown(4), Waits::UnknownOutcome);
        assert_eq!(FULL.looked_up(&used_up, Verdict::NotSeen, now()), Next::Send(Request::Cancel));
        assert_eq!(NO_CANCEL.looked_up(&used_up, Verdict::NotSeen, now()), Next::Hold);
    }

    #[test]
    fn nothing_but_a_question_is_sent_once_the_key_may_be_forgotten() {
        for (row, request, may) in [
            (row(), Request::Charge, true),
            (old(row()), Request::Charge, false),
            (old(row()), Request::Cancel, false),
            (old(row()), Request::LookUp, true),
        ] {
            assert_eq!(FULL.may_still_send(&row, request, now()), may, "{request:?}");
        }
    }
}
