//! What the checker finds when a rule is taken away, or why it finds nothing.

use std::fmt;

use crate::explore::{Report, Search, explore};
use crate::model::Model;
use crate::mutant::Mutant;
use crate::scope::{Faults, Scope};
use crate::scopes::{
    aged, attended, cancel_only, full, lookup_only, neither, requeued, stopped, unpayable, with_codes,
};

/// What taking the rule away must show.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expected {
    /// A counterexample in this scope.
    Caught(Scope),
    /// Nothing, with ordinary faults: another rule holds what this one holds. Which, and why it is kept.
    Redundant(&'static str),
    /// Nothing, where keys grow old: the same.
    RedundantFence(&'static str),
}

/// A mutant's exploration.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The rule that was taken away.
    pub mutant: Mutant,
    /// What was expected.
    pub expected: Expected,
    /// What was found, scope by scope, up to the first counterexample.
    pub reports: Vec<Report>,
}

impl Outcome {
    /// Whether it is as expected.
    pub fn as_expected(&self) -> bool {
        let caught = self.reports.iter().any(|report| report.counterexample.is_some());
        match self.expected {
            Expected::Caught(_) => caught,
            Expected::Redundant(_) | Expected::RedundantFence(_) => {
                !caught && self.reports.iter().all(|report| report.complete)
            }
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = format!("{:?}", self.mutant);
        let states: usize = self.reports.iter().map(|report| report.states).sum();
        let found = self.reports.iter().find_map(|report| report.counterexample.as_ref().zip(Some(report.scope)));
        match (found, self.expected) {
            (Some((found, scope)), _) => {
                write!(f, "{name:<28} {states:>9} states  {:>2} steps  {} ({scope})", found.steps.len(), found.rule)
            }
            (None, Expected::Redundant(why) | Expected::RedundantFence(why)) => {
                write!(f, "{name:<28} {states:>9} states  redundant: {why}")
            }
            (None, Expected::Caught(_)) => write!(f, "{name:<28} {states:>9} states  NOT CAUGHT"),
        }
    }
}

/// Explores the protocol without a rule.
pub fn try_mutant(mutant: Mutant) -> Outcome {
    let expected = expected(mutant);
    let scopes = match expected {
        Expected::Caught(scope) => vec![scope],
        Expected::Redundant(_) => ordinary(),
        Expected::RedundantFence(_) => {
            vec![aged("retention; cancel", cancel_only(2)), aged("retention; neither", neither(2))]
        }
    };
    let mut reports: Vec<Report> = Vec::new();
    for scope in scopes {
        reports.push(explore(&Model::broken(scope, mutant), Search::SafetyAndEnd, MOST_STATES));
        if reports.last().is_some_and(|report| report.counterexample.is_some()) {
            break;
        }
    }
    Outcome { mutant, expected, reports }
}

/// More than any of these scopes has.
const MOST_STATES: usize = 4_000_000;

/// The scopes in which a redundant rule must not be missed.
fn ordinary() -> Vec<Scope> {
    vec![
        full(2),
        neither(2),
        stopped("stop", neither(1)),
        requeued("requeue", neither(1)),
        with_codes("codes", full(1)),
        Scope { name: "two of each", ..full(1).stages(2, 2, 2) },
        Scope { name: "two of each; neither", ..neither(1).stages(2, 2, 2) },
    ]
}

/// Where each rule shows.
fn expected(mutant: Mutant) -> Expected {
    use Expected::{Caught, Redundant, RedundantFence};
    let frozen = Scope { faults: Faults::processes(3), ..lookup_only(3).stages(1, 1, 2) };
    match mutant {
        Mutant::NoIntent
        | Mutant::RetrierLeavesPendingAlone
        | Mutant::TimeoutMeansFailed
        | Mutant::NotSeenMeansFailed
        | Mutant::ExhaustedMeansFailed
        | Mutant::FreshKeyPerAttempt
        | Mutant::NoSweep
        | Mutant::NoDrain
        | Mutant::DispatcherLooksAway => Caught(full(1)),
        Mutant::GroupAtDollar | Mutant::AckBeforeOutcome | Mutant::CounterFromMemory => Caught(full(0)),
        Mutant::AnyRefusalIsFinal => Caught(with_codes("codes", full(1))),
        Mutant::CancelNotAsked | Mutant::SettleUnfinished => Caught(with_codes("codes", full(0))),
        Mutant::CancelUnansweredMeansFailed => Caught(cancel_only(2)),
        Mutant::BlindWrite | Mutant::MemoryDecides => Caught(cancel_only(1)),
        Mutant::NotCalledFromMemory => Caught(stopped("stop; neither", neither(1))),
        Mutant::PayerCallsAnyPending
        | Mutant::SettleCountsAlways
        | Mutant::RebuildReusesIds
        | Mutant::KeysDeletedWithoutLock
        | Mutant::CompletionByCounts => Caught(requeued("requeue", full(0))),
        Mutant::GenerationNotGuarded | Mutant::RebuildWithoutGuard => Caught(requeued("requeue", full(1))),
        Mutant::RebuildLeavesLastId => {
            // A snapshot from before the requeue, and a stream that begins anew behind it.
            let few = Faults { crash: false, freeze: false, network: false, mysql: false, ..Faults::all(2) };
            Caught(Scope { faults: few, payers: 1, ..requeued("requeue", full(2)) })
        }
        Mutant::PublishWithoutCompare => Caught(Scope { name: "two dispatchers", ..full(0).stages(2, 1, 1) }),
        Mutant::UnpayableIsRetried => Caught(unpayable("unpayable", full(1))),
        Mutant::HeldIsCharged => Caught(attended("person", full(2))),
        Mutant::OldRowIsCharged | Mutant::PersonIsToldLate => Caught(attended("person, two retriers", frozen)),
        Mutant::ForgetfulRowDecides => Caught(neither(2)),
        Mutant::NoRetentionFence => Caught(aged("retention", neither(2))),
        Mutant::OldDecisionIsSent => Caught(aged("retention", full(2))),
        Mutant::OutcomeLeavesNoFirstUse => {
            let few = Faults { redis: false, tamper: false, freeze: false, ..Faults::all(3) };
            let scope = Scope { faults: few, payers: 1, ..neither(3) };
            Caught(aged("retention, stop; neither", stopped("", scope)))
        }
        Mutant::RetryingIsNotFenced => Caught(aged("retention; cancel", cancel_only(2))),
        Mutant::RequeueWithoutProof => Caught(requeued("requeue", lookup_only(2))),
        Mutant::PayerLeavesPendingAlone => {
            Redundant("the payer parks what it did not make, and the retrier's intent marks it before it calls")
        }
        Mutant::UnknownIsForgotten => {
            Redundant("whoever comes next has another token, and its intent marks the row before it calls")
        }
        Mutant::ParkWithoutOwner => {
            Redundant("an entry taken from its owner is claimed again; it costs a repeated look-up, never a payment")
        }
        Mutant::RequeueWithoutGuard => {
            Redundant("an entry more finds its row final or another's: one delivery in vain, and the sweep counts anew")
        }
        Mutant::RequeueUncounted => Redundant("a count too low is never taken for the end, and the sweep counts anew"),
        Mutant::RequeueKeepsKey => {
            Redundant("a dead key repeats its answer: the requeue is in vain, but nobody is paid by it")
        }
        Mutant::CancelAfterExpiryProves => RedundantFence("no cancel is sent once the key has outlived its fence"),
        Mutant::GiveUpAfterExpiry => RedundantFence("no charge is sent, so none is turned away, after the fence"),
        Mutant::FirstChargeIsNotFenced => RedundantFence("the fence is asked again when the request is sent"),
        Mutant::IntentNotInTheRowIsIgnored => {
            Redundant("the outcome counts only under the token of its own attempt; kept, for a call without an intent")
        }
        Mutant::OutcomeIgnoresToken => {
            Redundant("a worker that knew of other attempts writes UNKNOWN; kept, for the row must not rest on that")
        }
    }
}
