//! Rules of the protocol, broken on purpose: what the tests must notice.
//!
//! `PAYOUT_MUTANT=<name>` breaks one rule in every process that has it set. Compiled in for development and with the
//! feature `mutants`; in a release build without it, nothing is left of them. `cargo xtask mutants` runs, for each, the
//! test that must fail then.

#[cfg(not(any(debug_assertions, feature = "mutants")))]
mod absent;
#[cfg(any(debug_assertions, feature = "mutants"))]
mod armed;
#[cfg(any(debug_assertions, feature = "mutants"))]
mod edits;
#[cfg(any(debug_assertions, feature = "mutants"))]
mod misreadings;

#[cfg(not(any(debug_assertions, feature = "mutants")))]
pub use absent::is;
#[cfg(not(any(debug_assertions, feature = "mutants")))]
pub(crate) use absent::{edited, misread};
#[cfg(any(debug_assertions, feature = "mutants"))]
pub use armed::is;
#[cfg(any(debug_assertions, feature = "mutants"))]
pub(crate) use armed::{edited, misread};

/// A rule that is broken.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Mutant {
    // What an answer of `money` proves.
    /// A charge that was not answered in time has failed.
    TimeoutMeansFailed,
    /// A charge whose connection ended without an answer has failed.
    LostAnswerMeansFailed,
    /// A charge answered 503 has failed.
    UnavailableMeansFailed,
    /// A charge answered 500 was not executed.
    ServerErrorMeansNotExecuted,
    /// A charge answered 429 has failed.
    TooManyMeansFailed,
    /// A charge answered 401 has failed.
    UnauthorizedMeansFailed,
    /// A look-up's 404 proves that nobody will be paid.
    NotSeenMeansFailed,
    /// A cancel that was not answered is taken as acknowledged.
    CancelUnansweredMeansFailed,
    /// A refusal is final whatever its code.
    AnyRefusalIsFinal,

    // What is sent, and when.
    /// Each attempt behind the first has a key of its own.
    FreshKeyPerAttempt,
    /// The amount passes through a float.
    AmountIsAFloat,
    /// The intent is rolled back: nothing is committed before the call.
    IntentIsNotCommitted,
    /// The payer calls whatever is PENDING, whoever made it.
    PayerCallsAnyPending,
    /// A target that cannot be paid is called all the same.
    UnpayableIsCalled,
    /// An unknown outcome is sent again without a look-up.
    SentAgainWithoutLookUp,
    /// The cancel is never asked.
    CancelIsNotAsked,
    /// A key that leaves every question open is asked about for ever, and nobody is told.
    UnansweredForEver,
    /// A key is sent however old it is.
    NoRetentionFence,
    /// Whether the promotion still runs is not asked before a call.
    StopIsNotChecked,
    /// The retrier takes what a payer has only just been given.
    NoVisibilityMargin,
    /// Every reservation of the limiter begins now, whatever others have reserved.
    LimiterForgets,

    // What is written.
    /// The payer's intent leaves a PENDING row alone.
    IntentLeavesPendingAlone,
    /// The retrier's intent does not mark a PENDING row.
    RedeliveryLeavesPendingAlone,
    /// Intents lock their rows in any order.
    UnsortedIntents,
    /// An outcome is written over a final row.
    BlindWrite,
    /// An outcome is written whatever key was called.
    GenerationIsNotGuarded,
    /// "Not executed" counts although the row carries another attempt's token.
    TokenIsIgnored,
    /// "Not executed" counts although another attempt may have been executed.
    DoubtIsIgnored,
    /// An unknown outcome does not set `may_have_executed`.
    UnknownIsForgotten,
    /// What was never called has used up an attempt.
    NotCalledUsesAnAttempt,
    /// Attempts that run out make a row FAILED.
    ExhaustedMeansFailed,

    // What becomes of an entry.
    /// A payment is settled before its row is written.
    SettleBeforeOutcome,
    /// An entry is settled whatever its row says.
    SettleUnfinished,
    /// An entry is counted whether or not it was newly acknowledged.
    SettleCountsAlways,
    /// An entry that was published again is deleted with the old one.
    SettleDeletesUndelivered,
    /// What succeeded later counts as a first success.
    RetryCountsAsFirst,
    /// Parking takes an entry from whoever has it.
    ParkWithoutOwner,
    /// An entry that cannot be decoded is deleted, its target unheard of.
    UndecodableIsDeleted,
    /// A payer does not drain what its name was given before.
    NoDrain,
    /// Two processes may use one consumer name.
    LeaseIsNotHeld,
    /// A consumer is removed together with what it holds.
    PruneTakesPending,

    // What is published.
    /// A batch is added wherever the stream stands.
    PublishWithoutCompare,
    /// The window does not bound what is outstanding.
    WindowIsIgnored,
    /// A lost group is made again behind the entries.
    GroupAtTheEnd,
    /// A dispatcher that is told another last id goes on where it was.
    DispatcherKeepsItsPosition,
    /// A dispatcher that has published all never looks again.
    DispatcherLooksAway,
    /// Targets are marked as published before they are.
    MarkBeforePublish,
    /// A promotion that does not add up is started.
    ForeignIsNotChecked,

    // What repairs and what ends.
    /// Nobody compares Redis with MySQL.
    NoSweep,
    /// A rebuild goes ahead although the last id has moved.
    RebuildWithoutCompare,
    /// A rebuild gives entries the ids that were used before.
    RebuildReusesIds,
    /// A rebuild without entries leaves the last id where it was.
    RebuildLeavesTheLastId,
    /// A requeue adds its entries although the last id has moved.
    RequeueWithoutCompare,
    /// A requeue adds its entries although their failures are not counted yet.
    RequeueUncounted,
    /// A promotion is COMPLETED when the counts say so.
    CompletionByCounts,
    /// The keys go before the promotion is COMPLETED.
    KeysRemovedFirst,
    /// Public counts follow a Redis that went back.
    PublicCountsFall,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 57] = [
        Self::TimeoutMeansFailed,
        Self::LostAnswerMeansFailed,
        Self::UnavailableMeansFailed,
        Self::ServerErrorMeansNotExecuted,
        Self::TooManyMeansFailed,
        Self::UnauthorizedMeansFailed,
        Self::NotSeenMeansFailed,
        Self::CancelUnansweredMeansFailed,
        Self::AnyRefusalIsFinal,
        Self::FreshKeyPerAttempt,
        Self::AmountIsAFloat,
        Self::IntentIsNotCommitted,
        Self::PayerCallsAnyPending,
        Self::UnpayableIsCalled,
        Self::SentAgainWithoutLookUp,
        Self::CancelIsNotAsked,
        Self::UnansweredForEver,
        Self::NoRetentionFence,
        Self::StopIsNotChecked,
        Self::NoVisibilityMargin,
        Self::LimiterForgets,
        Self::IntentLeavesPendingAlone,
        Self::RedeliveryLeavesPendingAlone,
        Self::UnsortedIntents,
        Self::BlindWrite,
        Self::GenerationIsNotGuarded,
        Self::TokenIsIgnored,
        Self::DoubtIsIgnored,
        Self::UnknownIsForgotten,
        Self::NotCalledUsesAnAttempt,
        Self::ExhaustedMeansFailed,
        Self::SettleBeforeOutcome,
        Self::SettleUnfinished,
        Self::SettleCountsAlways,
        Self::SettleDeletesUndelivered,
        Self::RetryCountsAsFirst,
        Self::ParkWithoutOwner,
        Self::UndecodableIsDeleted,
        Self::NoDrain,
        Self::LeaseIsNotHeld,
        Self::PruneTakesPending,
        Self::PublishWithoutCompare,
        Self::WindowIsIgnored,
        Self::GroupAtTheEnd,
        Self::DispatcherKeepsItsPosition,
        Self::DispatcherLooksAway,
        Self::MarkBeforePublish,
        Self::ForeignIsNotChecked,
        Self::NoSweep,
        Self::RebuildWithoutCompare,
        Self::RebuildReusesIds,
        Self::RebuildLeavesTheLastId,
        Self::RequeueWithoutCompare,
        Self::RequeueUncounted,
        Self::CompletionByCounts,
        Self::KeysRemovedFirst,
        Self::PublicCountsFall,
    ];
}
