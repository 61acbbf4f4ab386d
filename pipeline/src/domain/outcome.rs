//! What an exchange with `money` proves, and what is therefore written.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use chrono::NaiveDateTime;

use super::result::Waits;

/// What an answer proves about the key that was asked about. The classifier maps every possible answer,
/// and every failure to get one, to exactly one of these; what it does not know is [`Verdict::Unknown`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Verdict {
    /// Executed.
    Paid,
    /// Declined, recorded under the key, with a code on the list of final refusals.
    Refused,
    /// Declined with a code that is not on that list: may have been, or may still be, executed.
    RefusalNotListed,
    /// Proved not to have been executed by this request: it never reached `money`, or was turned away (429).
    NotExecuted,
    /// The key is being executed right now (409).
    Executing,
    /// Look-up only: not seen yet. No proof that it will not be executed.
    NotSeen,
    /// Cancel only: the key is burnt for ever.
    Cancelled,
    /// Nothing is proved.
    Unknown,
    /// The key is known with another body: a fault of ours. A person must look.
    KeyReused,
    /// `money` has forgotten the key: sending it again could pay twice. A person must look.
    KeyExpired,
    /// Configuration or contract is wrong (credentials, path …), found before execution: the promotion
    /// stops as FAILED, and no attempt is used up.
    Fault,
}

/// An answer: its verdict, and what is recorded with it.
#[derive(Clone, Debug)]
pub struct Answer {
    /// What it proves.
    pub verdict: Verdict,
    /// Short and bounded: an errorCode of `money`, or one of ours (`TIMEOUT`, `HTTP_503` …).
    pub code: Cow<'static, str>,
    /// For people; cut to what the column holds. Never holds a body.
    pub message: Option<String>,
    /// With [`Verdict::Paid`].
    pub receipt: Option<Receipt>,
    /// How long `money` asks us to wait.
    pub retry_after: Option<Duration>,
}

impl Answer {
    /// An answer that carries nothing but its verdict and a code.
    pub fn new(verdict: Verdict, code: impl Into<Cow<'static, str>>) -> Self {
        Self { verdict, code: code.into(), message: None, receipt: None, retry_after: None }
    }
}

/// What `money` gives for a payment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// `moneyKey`; stored as `transaction_key`.
    pub money_key: String,
    /// Vouchers: the code.
    pub voucher_code: Option<String>,
    /// Vouchers: the PIN, a secret.
    pub voucher_pin: Option<Pin>,
    /// Vouchers: until when it can be used, local time.
    pub voucher_expiry_at: Option<NaiveDateTime>,
}

/// A voucher's PIN. Stored encrypted, shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Pin(pub String);

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin(…)")
    }
}

/// What an outcome does to a result row. The store applies it only while the row is not final and its
/// key generation is the one that was called.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Effect {
    /// → SUCCESS.
    Paid,
    /// → FAILED: refused and recorded, cancelled, or not payable at all.
    Failed,
    /// The attempt was not executed → RETRYING, if no attempt may have been; else the row stays PENDING.
    NotExecuted,
    /// As [`Effect::NotExecuted`], with attempts used up and no cancel to ask → FAILED, if no attempt may
    /// have been executed; else PENDING, waiting for a person.
    GiveUp,
    /// Nothing was sent (stopped, breaker open, fault found before execution) → RETRYING with the attempt
    /// given back, if no attempt may have been executed; else the row stays PENDING.
    NotCalled,
    /// → PENDING, and from now on an attempt may have been executed. `None` leaves what the row waits for.
    Unknown(Option<Waits>),
    /// → PENDING, and waits for no person any more: written before a row is sent again that may be a person's to close.
    Reopened,
}
