//! Which test must notice which broken rule.

use std::fmt;

use pipeline::mutant::Mutant;

/// A test, as cargo finds it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Test {
    /// The folder of its package.
    pub(crate) package: &'static str,
    /// The test target; a stage's own name for its unit tests.
    pub(crate) target: &'static str,
    /// Its path within the target.
    pub(crate) name: &'static str,
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.package, self.target, self.name)
    }
}

/// Packages whose tests are built.
pub(crate) fn packages() -> [&'static str; 2] {
    ["pipeline", "acceptance"]
}

/// Whole stages, judged by the ledger.
const fn scenario(name: &'static str) -> Test {
    Test { package: "acceptance", target: "mutants", name }
}

/// Statements against a real database.
const fn store(name: &'static str) -> Test {
    Test { package: "pipeline", target: "store_results", name }
}

/// Scripts against a real Redis.
const fn streams(name: &'static str) -> Test {
    Test { package: "pipeline", target: "streams_redis", name }
}

/// The test that fails when this rule is broken.
pub(crate) fn noticed_by(mutant: Mutant) -> Test {
    match mutant {
        Mutant::TimeoutMeansFailed => scenario("answers::a_charge_that_is_not_answered_in_time_has_not_failed"),
        Mutant::LostAnswerMeansFailed | Mutant::FreshKeyPerAttempt => {
            scenario("answers::a_charge_whose_answer_was_lost_has_not_failed")
        }
        Mutant::UnavailableMeansFailed => scenario("answers::a_charge_answered_503_has_not_failed"),
        Mutant::ServerErrorMeansNotExecuted => scenario("answers::a_charge_answered_500_may_have_been_executed"),
        Mutant::TooManyMeansFailed => scenario("answers::a_charge_answered_429_is_tried_again"),
        Mutant::UnauthorizedMeansFailed => {
            scenario("answers::a_money_that_rejects_us_fails_the_promotion_and_nobody_in_it")
        }
        Mutant::NotSeenMeansFailed => scenario("answers::a_key_that_was_not_seen_may_still_be_paid"),
        Mutant::CancelUnansweredMeansFailed => scenario("answers::a_cancel_that_was_not_answered_fails_nobody"),
        Mutant::AnyRefusalIsFinal => scenario("answers::a_refusal_that_is_not_on_the_list_fails_nobody"),
        Mutant::ExhaustedMeansFailed => scenario("answers::attempts_that_run_out_fail_nobody_without_a_cancel"),

        Mutant::AmountIsAFloat => {
            Test { package: "pipeline", target: "money_body", name: "the_largest_amount_is_written_exactly" }
        }
        Mutant::IntentIsNotCommitted | Mutant::PayerCallsAnyPending | Mutant::SentAgainWithoutLookUp => {
            scenario("requests::whoever_died_after_a_call_charges_nobody_blindly")
        }
        Mutant::UnpayableIsCalled => scenario("requests::a_target_without_an_amount_is_never_called"),
        Mutant::CancelIsNotAsked => scenario("requests::with_a_cancel_attempts_that_run_out_end"),
        Mutant::UnansweredForEver => scenario("requests::a_key_that_is_never_answered_for_is_left_to_a_person"),
        Mutant::NoRetentionFence => scenario("requests::a_key_that_money_may_have_forgotten_is_not_sent"),
        Mutant::StopIsNotChecked => scenario("requests::nothing_is_sent_a_second_after_a_stop"),
        Mutant::NoVisibilityMargin => scenario("requests::what_a_payer_works_on_is_left_to_it"),
        Mutant::LimiterForgets => streams("shared::no_window_of_a_second_holds_more_slots_than_the_rate_whoever_asked"),

        Mutant::IntentLeavesPendingAlone => store("outcomes::an_intent_makes_its_own_rows_and_marks_those_of_others"),
        Mutant::RedeliveryLeavesPendingAlone => {
            store("outcomes::the_retriers_intent_takes_a_retrying_row_over_and_counts_the_attempt_once")
        }
        Mutant::UnsortedIntents => {
            Test { package: "pipeline", target: "store_deadlocks", name: "overlapping_intents_never_deadlock" }
        }
        Mutant::GenerationIsNotGuarded => store("outcomes::an_outcome_of_another_key_generation_changes_nothing"),
        Mutant::BlindWrite
        | Mutant::TokenIsIgnored
        | Mutant::DoubtIsIgnored
        | Mutant::UnknownIsForgotten
        | Mutant::NotCalledUsesAnAttempt => store("outcomes::what_each_outcome_does_to_each_row"),

        Mutant::SettleBeforeOutcome => scenario("entries::nothing_is_settled_before_its_row_says_so"),
        Mutant::SettleUnfinished => scenario("entries::what_is_not_final_is_parked_and_not_settled"),
        Mutant::SettleCountsAlways => streams("settle::an_entry_is_counted_once_whoever_settles_it_and_how_often"),
        Mutant::SettleDeletesUndelivered => {
            streams("settle::an_entry_that_was_published_again_stays_until_it_is_delivered")
        }
        Mutant::RetryCountsAsFirst => scenario("entries::what_succeeds_later_does_not_count_as_a_first_success"),
        Mutant::ParkWithoutOwner => streams("pending::only_what_the_caller_still_owns_is_parked"),
        Mutant::UndecodableIsDeleted => scenario("entries::garbage_for_a_target_is_held_for_a_person"),
        Mutant::NoDrain => scenario("entries::a_payer_takes_up_what_its_name_was_given"),
        Mutant::LeaseIsNotHeld => streams("shared::a_consumer_name_belongs_to_one_process_at_a_time"),
        Mutant::PruneTakesPending => streams("pending::only_an_idle_consumer_that_holds_nothing_is_pruned"),

        Mutant::PublishWithoutCompare => {
            streams("publish::a_dispatcher_that_is_behind_or_ahead_is_told_the_real_last_id")
        }
        Mutant::WindowIsIgnored => streams("publish::the_window_bounds_what_is_outstanding"),
        Mutant::GroupAtTheEnd => scenario("publishing::a_lost_group_is_made_again_before_what_is_left"),
        Mutant::DispatcherKeepsItsPosition | Mutant::DispatcherLooksAway => {
            scenario("publishing::a_stream_that_was_lost_after_the_last_batch_is_filled_again")
        }
        Mutant::MarkBeforePublish => scenario("publishing::what_is_marked_as_published_is_on_its_stream"),
        Mutant::ForeignIsNotChecked => scenario("publishing::a_promotion_that_does_not_add_up_is_not_begun"),

        Mutant::NoSweep => scenario("the_end::an_entry_that_was_deleted_from_outside_comes_back"),
        Mutant::RebuildWithoutCompare => {
            streams("rebuild::a_rebuild_of_a_stream_that_moved_or_is_missing_writes_nothing")
        }
        Mutant::RebuildReusesIds => streams("rebuild::no_id_is_used_twice_by_any_number_of_rebuilds"),
        Mutant::RebuildLeavesTheLastId => streams("rebuild::a_rebuild_without_entries_moves_the_last_id_as_well"),
        Mutant::RequeueWithoutCompare | Mutant::RequeueUncounted => {
            streams("rebuild::what_is_tried_again_is_added_once_and_only_where_the_partition_stands_as_it_was_read")
        }
        Mutant::CompletionByCounts => scenario("the_end::counts_alone_complete_nothing"),
        Mutant::KeysRemovedFirst => scenario("the_end::the_keys_go_when_the_end_is_recorded_and_not_before"),
        Mutant::PublicCountsFall => Test {
            package: "acceptance",
            target: "rules",
            name: "crashes::a_redis_that_was_emptied_is_filled_again_and_public_counts_never_fall",
        },
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// All text of the files in a folder and below it.
    fn text(folder: &Path) -> String {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.map(|path| if path.is_dir() { text(&path) } else { fs::read_to_string(&path).unwrap() }).collect()
    }

    #[test]
    fn every_mutant_has_a_test_that_exists() {
        let tests =
            ["pipeline/tests", "tools/acceptance/tests"].map(|folder| text(&servers::workspace_dir().join(folder)));
        for mutant in Mutant::ALL {
            let test = noticed_by(mutant);
            let function = format!("fn {}()", test.name.rsplit("::").next().unwrap_or(test.name));
            assert!(tests.iter().any(|text| text.contains(&function)), "{mutant:?}: {test}");
        }
    }
}
