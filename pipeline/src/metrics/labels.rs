//! The values that labels can have. All of them are known, so that no series appears out of nothing.

use crate::domain::decide::Request;
use crate::domain::outcome::Verdict;

macro_rules! labels {
    ($($(#[$about:meta])* $name:ident { $($(#[$meaning:meta])* $variant:ident = $text:literal,)* })*) => {$(
        $(#[$about])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum $name { $($(#[$meaning])* $variant,)* }

        impl $name {
            /// All of them, in the order of their declaration.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The value of the label.
            pub fn label(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    )*};
}

labels! {
    /// What became of an item when a stage let it go.
    Completed {
        /// Dispatcher: it is on its stream.
        Published = "published",
        /// Paid, and its entry settled.
        Success = "success",
        /// Failed for good, and its entry settled.
        Failed = "failed",
        /// It was final already; its entry settled.
        AlreadyFinal = "already_final",
        /// Left to the retrier.
        Parked = "parked",
        /// Left to a person.
        Held = "held",
        /// Its entry was of no use, and deleted.
        Discarded = "discarded",
        /// Loader: it is stored.
        Loaded = "loaded",
        /// Summarizer: a summary was written.
        Flushed = "flushed",
        /// Summarizer: a promotion was proved complete.
        Proved = "proved",
    }

    /// What failed.
    ErrorClass {
        /// Redis, or the way to it.
        Redis = "redis",
        /// MySQL, or the way to it.
        Mysql = "mysql",
        /// The money service answered against its contract.
        Money = "money",
        /// An entry that cannot be decoded.
        Record = "record",
        /// Ours.
        Internal = "internal",
    }

    /// What an attempt to pay proved.
    AttemptResult {
        /// Paid.
        Paid = "paid",
        /// Refused for good.
        Refused = "refused",
        /// Not executed: it may be tried again.
        Retryable = "retryable",
        /// Nothing.
        Unknown = "unknown",
    }

    /// Why an attempt is made again.
    RetryReason {
        /// The one before was not executed.
        NotExecuted = "not_executed",
        /// The outcome of the one before is unknown.
        UnknownOutcome = "unknown_outcome",
        /// Refused with a code that is not on the list of final ones.
        Refusal = "refusal",
        /// Who held it did not finish.
        Abandoned = "abandoned",
        /// An operator asked for it.
        Requeued = "requeued",
    }

    /// Why a payout failed for good, or its entry was quarantined.
    DeadReason {
        /// Refused with a final code.
        Refused = "refused",
        /// Its key was cancelled.
        Cancelled = "cancelled",
        /// Attempts were used up, none of which can have been executed.
        Attempts = "attempts",
        /// It could not be paid at all.
        Unpayable = "unpayable",
        /// Its entry seems to crash its consumer.
        Poison = "poison",
        /// Its entry cannot be decoded.
        Undecodable = "undecodable",
    }

    /// What the rows showed after a commit whose answer was lost.
    Resolved {
        /// They had been written.
        Committed = "committed",
        /// They had not.
        RolledBack = "rolled_back",
    }

    /// Why a partition was rebuilt.
    RebuildReason {
        /// More or fewer entries than open targets.
        Backlog = "backlog",
        /// Entries that are neither pending nor undelivered.
        Pending = "pending",
        /// Counts differ from MySQL with nothing left to do.
        Counts = "counts",
        /// Targets were requeued.
        Requeue = "requeue",
        /// An operator asked for it.
        Operator = "operator",
    }

    /// The shared breaker; its value is the place in this list.
    BreakerState {
        /// Requests pass.
        Closed = "closed",
        /// One request passes, as a probe.
        HalfOpen = "half_open",
        /// None passes.
        Open = "open",
    }

    /// What came of an attempt to send a message.
    Told {
        /// 2xx.
        Delivered = "delivered",
        /// Another answer.
        Refused = "refused",
        /// None.
        NoAnswer = "no_answer",
    }

    /// Where a target of a promotion stands.
    ItemState {
        /// Not on its stream yet.
        Unpublished = "unpublished",
        /// On its stream, without an attempt.
        Published = "published",
        /// Being paid, or its outcome unknown.
        Pending = "pending",
        /// Waits for its next attempt.
        Retrying = "retrying",
        /// Paid.
        Success = "success",
        /// Failed.
        Failed = "failed",
    }
}

/// Kinds of requests, in the order of their declaration.
pub(super) const REQUESTS: [Request; 3] = [Request::Charge, Request::LookUp, Request::Cancel];

pub(super) fn request(request: Request) -> &'static str {
    match request {
        Request::Charge => "charge",
        Request::LookUp => "look_up",
        Request::Cancel => "cancel",
    }
}

/// Verdicts, in the order of their declaration.
pub(super) const VERDICTS: [Verdict; 11] = [
    Verdict::Paid,
    Verdict::Refused,
    Verdict::RefusalNotListed,
    Verdict::NotExecuted,
    Verdict::Executing,
    Verdict::NotSeen,
    Verdict::Cancelled,
    Verdict::Unknown,
    Verdict::KeyReused,
    Verdict::KeyExpired,
    Verdict::Fault,
];

pub(super) fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Paid => "paid",
        Verdict::Refused => "refused",
        Verdict::RefusalNotListed => "refusal_not_listed",
        Verdict::NotExecuted => "not_executed",
        Verdict::Executing => "executing",
        Verdict::NotSeen => "not_seen",
        Verdict::Cancelled => "cancelled",
        Verdict::Unknown => "unknown",
        Verdict::KeyReused => "key_reused",
        Verdict::KeyExpired => "key_expired",
        Verdict::Fault => "fault",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_in_the_order_of_declaration_because_they_are_indexed_by_it() {
        assert!(VERDICTS.iter().enumerate().all(|(place, verdict)| *verdict as usize == place));
        assert!(REQUESTS.iter().enumerate().all(|(place, request)| *request as usize == place));
        assert!(Completed::ALL.iter().enumerate().all(|(place, completed)| *completed as usize == place));
    }
}
