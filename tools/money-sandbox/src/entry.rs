//! What is known under a key, and what asking for it comes to.

use crate::contract::Receipt;

/// How far a key has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Moved on by `Ledger::finish`.
    Executing,
    Paid,
    Declined,
    Cancelled,
}

/// 48 bytes with the key's id in 64: ten million keys need about a gigabyte.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) fingerprint: u64,
    /// The payment's number; while executing the ticket.
    pub(crate) number: u64,
    pub(crate) at_us: u64,
    pub(crate) expiry_day: u32,
    /// How often the key was paid: at most once unless keys are ignored or forgotten.
    pub(crate) payments: u16,
    pub(crate) code: u16,
    pub(crate) state: State,
    pub(crate) voucher: bool,
}

/// What is recorded under a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// Paid.
    Paid(Receipt),
    /// Refused, with the number of its code.
    Declined(u16),
    /// Burnt for ever.
    Cancelled,
}

/// The right to execute a charge that was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(pub(crate) u64);

/// What a charge came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charged {
    /// Executed by this request.
    Fresh(Recorded),
    /// Executed, or burnt, before: the answer again.
    Replay(Recorded),
    /// The key belongs to another body.
    KeyReused,
    /// The first request with this key is still executing.
    Executing,
    /// The ledger was reset while it was executing.
    Dropped,
}

/// What a look-up finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Nothing yet.
    No,
    /// A request is executing.
    Executing,
    /// An answer.
    Answer(Recorded),
}

/// What a cancel came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancel {
    /// The key is burnt for ever.
    Burnt,
    /// Too late: there is an answer.
    Already(Recorded),
    /// Not now: a request is executing.
    Executing,
}

/// The answer under a key, unless it is still executing.
pub(crate) fn recorded(entry: &Entry) -> Option<Recorded> {
    match entry.state {
        State::Executing => None,
        State::Paid => {
            Some(Recorded::Paid(Receipt { number: entry.number, voucher: entry.voucher, expiry_day: entry.expiry_day }))
        }
        State::Declined => Some(Recorded::Declined(entry.code)),
        State::Cancelled => Some(Recorded::Cancelled),
    }
}
