//! What a run must have met before its result means anything.

use std::collections::BTreeMap;

use acceptance::Visit;

/// A hazard of the protocol.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Hazard {
    /// An outcome came when its row was final.
    LateWriterRefused,
    /// `money` was sent a key that it had executed.
    DuplicateAbsorbed,
    /// `money` was sent a key that it was executing.
    ExecutingSeen,
    /// The answer to a commit was lost, and it had been committed.
    LostCommitWasDone,
    /// The answer to a commit was lost, and it had not been committed.
    LostCommitWasUndone,
    /// A consumer group, or its whole stream, had to be made again.
    GroupRecreated,
    /// The sweep found a partition that differed from the database.
    PartitionRebuilt,
    /// A cancel burnt its key.
    CancelAcknowledged,
    /// A cancel came too late: the key was paid.
    CancelTooLate,
    /// A charge that came late found its key paid or cancelled.
    LateChargeStopped,
    /// An entry that seems to crash its consumers was put aside.
    PoisonQuarantined,
    /// A process was told to end while it held work, and drained.
    DrainedWithWork,
    /// A frozen process woke up after its entries had been taken from it.
    WokeAfterTaken,
}

impl Hazard {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::LateWriterRefused,
        Self::DuplicateAbsorbed,
        Self::ExecutingSeen,
        Self::LostCommitWasDone,
        Self::LostCommitWasUndone,
        Self::GroupRecreated,
        Self::PartitionRebuilt,
        Self::CancelAcknowledged,
        Self::CancelTooLate,
        Self::LateChargeStopped,
        Self::PoisonQuarantined,
        Self::DrainedWithWork,
        Self::WokeAfterTaken,
    ];

    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::LateWriterRefused => "late writer refused by the guard",
            Self::DuplicateAbsorbed => "duplicate charge absorbed by money",
            Self::ExecutingSeen => "409: the key is executing",
            Self::LostCommitWasDone => "lost answer to a commit: committed",
            Self::LostCommitWasUndone => "lost answer to a commit: not committed",
            Self::GroupRecreated => "lost group or stream made again",
            Self::PartitionRebuilt => "partition rebuilt by the sweep",
            Self::CancelAcknowledged => "cancel acknowledged",
            Self::CancelTooLate => "cancel too late: paid",
            Self::LateChargeStopped => "late charge found its key paid or cancelled",
            Self::PoisonQuarantined => "poison entry quarantined",
            Self::DrainedWithWork => "SIGTERM drained work in flight",
            Self::WokeAfterTaken => "frozen process woke after its entries were taken",
        }
    }
}

/// How often each was met.
#[derive(Clone, Debug, Default)]
pub struct Hazards(BTreeMap<Hazard, u64>);

impl Hazards {
    /// Met so many times more.
    pub fn met(&mut self, hazard: Hazard, times: u64) {
        if times > 0 {
            *self.0.entry(hazard).or_insert(0) += times;
        }
    }

    /// How often.
    pub fn times(&self, hazard: Hazard) -> u64 {
        self.0.get(&hazard).copied().unwrap_or(0)
    }

    /// Adds another's.
    pub fn add(&mut self, other: &Self) {
        for (hazard, times) in &other.0 {
            self.met(*hazard, *times);
        }
    }

    /// Those that were never met.
    pub fn missing(&self) -> Vec<Hazard> {
        Hazard::ALL.into_iter().filter(|hazard| self.times(*hazard) == 0).collect()
    }

    /// What the metrics page of a stage tells at the end of its life.
    pub fn of_metrics(&mut self, page: &str) {
        for (hazard, name, label) in [
            (Hazard::LateWriterRefused, "payout_late_writes_refused_total", ""),
            (Hazard::LostCommitWasDone, "payout_ambiguous_commits_total", "\"committed\""),
            (Hazard::LostCommitWasUndone, "payout_ambiguous_commits_total", "\"rolled_back\""),
            (Hazard::GroupRecreated, "payout_groups_recreated_total", ""),
            (Hazard::PartitionRebuilt, "payout_streams_rebuilt_total", ""),
            (Hazard::PoisonQuarantined, "payout_quarantined_total", ""),
        ] {
            self.met(hazard, sum(page, name, label));
        }
    }

    /// What the journal of the money service tells.
    pub fn of_journal(&mut self, visits: &[Visit]) {
        for visit in visits {
            let hazard = match (visit.kind.as_str(), visit.outcome.as_str()) {
                ("charge", "replayed") => Hazard::DuplicateAbsorbed,
                (_, "in_progress") => Hazard::ExecutingSeen,
                ("cancel", "cancelled") => Hazard::CancelAcknowledged,
                ("cancel", "too_late") => Hazard::CancelTooLate,
                ("charge", "burnt") => Hazard::LateChargeStopped,
                _ => continue,
            };
            self.met(hazard, 1);
        }
    }
}

/// Sum of a counter or gauge over its series with this in their labels; 0 without any.
pub(crate) fn sum(page: &str, name: &str, label: &str) -> u64 {
    let of_name = page.lines().filter(|line| {
        let rest = line.strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with([' ', '{']) && rest.contains(label))
    });
    of_name.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_of_one_name_are_added_up() {
        let page =
            "# HELP a_total x\na_total{s=\"p\",r=\"committed\"} 2\na_total{s=\"p\",r=\"rolled_back\"} 3\na_total_b 9\n";
        assert_eq!((sum(page, "a_total", ""), sum(page, "a_total", "\"committed\""), sum(page, "b", "")), (5, 2, 0));
    }

    #[test]
    fn what_was_never_met_is_named() {
        let mut hazards = Hazards::default();
        hazards.of_metrics("payout_quarantined_total{stage=\"retrier\"} 1\n");
        assert_eq!(hazards.missing().len(), Hazard::ALL.len() - 1);
        assert!(!hazards.missing().contains(&Hazard::PoisonQuarantined));
    }
}
