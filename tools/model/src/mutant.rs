//! Rules of the protocol, taken away one at a time.

/// A rule that is broken on purpose.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Mutant {
    /// The payer calls `money` without having committed an intent.
    NoIntent,
    /// The payer's intent leaves a PENDING row alone (`INSERT IGNORE`).
    PayerLeavesPendingAlone,
    /// The payer calls whatever is PENDING, whoever made it.
    PayerCallsAnyPending,
    /// The retrier's intent does not set `may_have_executed` on a PENDING row.
    RetrierLeavesPendingAlone,
    /// An answer that did not come is taken as a failure.
    TimeoutMeansFailed,
    /// A look-up's 404 is taken as proof.
    NotSeenMeansFailed,
    /// Attempts that run out make a row FAILED.
    ExhaustedMeansFailed,
    /// Any refusal is taken as a recorded, final one.
    AnyRefusalIsFinal,
    /// A cancel that was not answered is taken as acknowledged.
    CancelUnansweredMeansFailed,
    /// What is used up is given up without asking the cancel.
    CancelNotAsked,
    /// The outcome is written without the guard "not final".
    BlindWrite,
    /// The outcome is written without the guard of the key generation.
    GenerationNotGuarded,
    /// RETRYING or FAILED is decided by what the worker remembers of the row.
    MemoryDecides,
    /// "Not called" gives the attempt back whatever other attempts may have done.
    NotCalledFromMemory,
    /// An unknown outcome does not set `may_have_executed`.
    UnknownIsForgotten,
    /// The counter is that of the outcome, not that of the row.
    CounterFromMemory,
    /// The entry is acknowledged and counted before the outcome is committed.
    AckBeforeOutcome,
    /// Entries are settled whatever their row says.
    SettleUnfinished,
    /// Settling counts whether or not the entry was newly acknowledged.
    SettleCountsAlways,
    /// Parking takes the entry from whoever has it.
    ParkWithoutOwner,
    /// The retrier sends under another key than the payer.
    FreshKeyPerAttempt,
    /// Nobody compares Redis with MySQL.
    NoSweep,
    /// The group is made at `$`, after the entries.
    GroupAtDollar,
    /// A dispatcher publishes what it believes is missing, under a fresh id.
    PublishWithoutCompare,
    /// A dispatcher that has published all never looks again.
    DispatcherLooksAway,
    /// A rebuild goes ahead although the last id has moved.
    RebuildWithoutGuard,
    /// A rebuild gives the entry the id it had.
    RebuildReusesIds,
    /// A rebuild without entries leaves the last id where it was.
    RebuildLeavesLastId,
    /// Keys of a promotion that was COMPLETED are deleted without its lock.
    KeysDeletedWithoutLock,
    /// Keys are sent however old they are.
    NoRetentionFence,
    /// A cancel that is acknowledged after the key's lifetime is taken as proof.
    CancelAfterExpiryProves,
    /// The promotion is COMPLETED when the counts say so.
    CompletionByCounts,
    /// A requeue moves to the next key without proof that the old one is dead.
    RequeueWithoutProof,
    /// A requeued row keeps a key that was refused or cancelled.
    RequeueKeepsKey,
    /// A requeued target's entry is added although the last id has moved.
    RequeueWithoutGuard,
    /// A requeued target's entry is added although its failure is not counted yet.
    RequeueUncounted,
    /// A restarted consumer does not drain what its name holds.
    NoDrain,
    /// The retrier calls although the row it reads back does not carry its intent (MySQL lost a commit).
    IntentNotInTheRowIsIgnored,
    /// "Not executed" counts although the row carries another attempt's token.
    OutcomeIgnoresToken,
    /// A worker that knew of other attempts lets the row alone decide, whoever's token it carries.
    ForgetfulRowDecides,
    /// An outcome leaves `first_sent_at` NULL where MySQL lost the intent that had set it.
    OutcomeLeavesNoFirstUse,
    /// What was decided is sent however long ago that was.
    OldDecisionIsSent,
    /// A payer that froze between its intent and its read sends however old the key is.
    FirstChargeIsNotFenced,
    /// A RETRYING row is sent again however old its key is.
    RetryingIsNotFenced,
    /// Used up, with a cancel that proves nothing any more: given up.
    GiveUpAfterExpiry,
    /// What waits for a person is charged without being taken back from that person first.
    HeldIsCharged,
    /// A row that was read so long ago that it may be a person's by now is charged all the same.
    OldRowIsCharged,
    /// A person is told of a row that was written since it was read.
    PersonIsToldLate,
    /// The retrier looks up, resends and cancels an unpayable target whose payer crashed.
    UnpayableIsRetried,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 49] = [
        Self::NoIntent,
        Self::PayerLeavesPendingAlone,
        Self::PayerCallsAnyPending,
        Self::RetrierLeavesPendingAlone,
        Self::TimeoutMeansFailed,
        Self::NotSeenMeansFailed,
        Self::ExhaustedMeansFailed,
        Self::AnyRefusalIsFinal,
        Self::CancelUnansweredMeansFailed,
        Self::CancelNotAsked,
        Self::BlindWrite,
        Self::GenerationNotGuarded,
        Self::MemoryDecides,
        Self::NotCalledFromMemory,
        Self::UnknownIsForgotten,
        Self::CounterFromMemory,
        Self::AckBeforeOutcome,
        Self::SettleUnfinished,
        Self::SettleCountsAlways,
        Self::ParkWithoutOwner,
        Self::FreshKeyPerAttempt,
        Self::NoSweep,
        Self::GroupAtDollar,
        Self::PublishWithoutCompare,
        Self::DispatcherLooksAway,
        Self::RebuildWithoutGuard,
        Self::RebuildReusesIds,
        Self::RebuildLeavesLastId,
        Self::KeysDeletedWithoutLock,
        Self::NoRetentionFence,
        Self::CancelAfterExpiryProves,
        Self::CompletionByCounts,
        Self::RequeueWithoutProof,
        Self::RequeueKeepsKey,
        Self::RequeueWithoutGuard,
        Self::RequeueUncounted,
        Self::NoDrain,
        Self::IntentNotInTheRowIsIgnored,
        Self::OutcomeIgnoresToken,
        Self::ForgetfulRowDecides,
        Self::OutcomeLeavesNoFirstUse,
        Self::OldDecisionIsSent,
        Self::FirstChargeIsNotFenced,
        Self::RetryingIsNotFenced,
        Self::GiveUpAfterExpiry,
        Self::UnpayableIsRetried,
        Self::HeldIsCharged,
        Self::OldRowIsCharged,
        Self::PersonIsToldLate,
    ];
}
