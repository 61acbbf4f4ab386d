//! What an audit found.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::output;

/// What is checked, in the words of the protocol.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Invariant {
    /// One payment exactly where a row is SUCCESS.
    I1,
    /// What is FAILED is never paid, and the ledger's words are the target's.
    I2,
    /// No final row without an intent.
    I3,
    /// Streams hold exactly what is published and not settled.
    I4,
    /// A completed promotion has left nothing behind, and everything adds up.
    I5,
    /// The reported backlog is the real one.
    I6,
    /// Counters never exceed what MySQL proves.
    I7,
    /// What was sealed is what is there.
    Seal,
}

impl Invariant {
    pub(super) const ALL: [Self; 8] =
        [Self::I1, Self::I2, Self::I3, Self::I4, Self::I5, Self::I6, Self::I7, Self::Seal];

    fn id(self) -> &'static str {
        match self {
            Self::I1 => "I1",
            Self::I2 => "I2",
            Self::I3 => "I3",
            Self::I4 => "I4",
            Self::I5 => "I5",
            Self::I6 => "I6",
            Self::I7 => "I7",
            Self::Seal => "seal",
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::I1 => "one payment if SUCCESS, none if FAILED or RETRYING, at most one while PENDING",
            Self::I2 => "FAILED is not paid; amount, customer, campaign and key are those of the target",
            Self::I3 => "every final row had an intent; only a requeue moves on",
            Self::I4 => "published − settled = entries; what is behind the last id is unpublished",
            Self::I5 => "completed: no entry, no pending, summary = results = Redis, Σ SUCCESS = Σ ledger",
            Self::I6 => "reported backlog = published − settled = entries = pending + undelivered",
            Self::I7 => "no counter exceeds what MySQL proves",
            Self::Seal => "the targets are those that were sealed",
        }
    }
}

/// One breach.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub(super) struct Finding {
    /// Which target; nothing where a figure is wrong that belongs to none.
    pub(super) target_id: Option<i64>,
    /// In which partition, where that is what is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) partition: Option<u32>,
    /// What is wrong: the same words for the same trouble.
    pub(super) what: &'static str,
    /// The figures.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) detail: String,
}

impl Finding {
    /// Of a target.
    pub(super) fn target(target: i64, what: &'static str) -> Self {
        Self { target_id: Some(target), partition: None, what, detail: String::new() }
    }

    /// Of a figure.
    pub(super) fn figure(what: &'static str, detail: String) -> Self {
        Self { target_id: None, partition: None, what, detail }
    }

    /// In a partition.
    pub(super) fn of(self, partition: u32) -> Self {
        Self { partition: Some(partition), ..self }
    }
}

#[derive(Default)]
struct Tally {
    compared: Vec<&'static str>,
    checked: u64,
    breaches: u64,
    kinds: BTreeMap<&'static str, u64>,
    findings: Vec<Finding>,
}

/// What an audit found, by invariant. Counts are exact; the named targets are bounded.
pub(super) struct Report {
    tallies: BTreeMap<Invariant, Tally>,
    named: usize,
}

/// As it is printed.
#[derive(Serialize)]
pub(super) struct Printed {
    pub(super) promotion_id: i64,
    pub(super) campaign_code: String,
    pub(super) promotion_status: &'static str,
    pub(super) targets: u64,
    pub(super) ledger_entries: Option<u64>,
    pub(super) held: bool,
    pub(super) elapsed_ms: u64,
    pub(super) invariants: Vec<Line>,
}

#[derive(Serialize)]
pub(super) struct Line {
    invariant: &'static str,
    sentence: &'static str,
    compared: Vec<&'static str>,
    checked: u64,
    breaches: u64,
    kinds: BTreeMap<&'static str, u64>,
    target_ids: Vec<i64>,
    findings: Vec<Finding>,
}

impl Report {
    /// An empty report that names at most this many targets for each invariant.
    pub(super) fn new(named: usize) -> Self {
        Self { tallies: Invariant::ALL.into_iter().map(|invariant| (invariant, Tally::default())).collect(), named }
    }

    /// Says that so many things were compared with what.
    pub(super) fn checked(&mut self, invariant: Invariant, compared: &'static str, number: u64) {
        let tally = self.tallies.entry(invariant).or_default();
        if !tally.compared.contains(&compared) {
            tally.compared.push(compared);
        }
        tally.checked += number;
    }

    /// Adds a breach.
    pub(super) fn breach(&mut self, invariant: Invariant, finding: Finding) {
        let tally = self.tallies.entry(invariant).or_default();
        tally.breaches += 1;
        *tally.kinds.entry(finding.what).or_default() += 1;
        if tally.findings.len() < self.named {
            tally.findings.push(finding);
        }
    }

    /// Whether nothing is broken.
    pub(super) fn held(&self) -> bool {
        self.tallies.values().all(|tally| tally.breaches == 0)
    }

    /// The lines to print.
    pub(super) fn into_lines(self) -> Vec<Line> {
        let line = |(invariant, tally): (Invariant, Tally)| {
            let mut target_ids: Vec<i64> = tally.findings.iter().filter_map(|finding| finding.target_id).collect();
            target_ids.dedup();
            Line {
                invariant: invariant.id(),
                sentence: invariant.sentence(),
                compared: tally.compared,
                checked: tally.checked,
                breaches: tally.breaches,
                kinds: tally.kinds,
                target_ids,
                findings: tally.findings,
            }
        };
        self.tallies.into_iter().map(line).collect()
    }
}

impl Printed {
    /// For people.
    pub(super) fn tables(&self) {
        println!(
            "audit of promotion {}  {}  {}  {} targets{}",
            self.promotion_id,
            self.campaign_code,
            self.promotion_status,
            output::count(self.targets),
            self.ledger_entries
                .map_or_else(String::new, |entries| format!("  {} ledger entries", output::count(entries)))
        );
        let mut table = output::table(["", "invariant", "compared", "checked", "breaches", "targets"], &[3, 4]);
        for line in &self.invariants {
            let compared = if line.compared.is_empty() { "not checked".to_owned() } else { line.compared.join("; ") };
            let targets: Vec<String> = line.target_ids.iter().map(i64::to_string).collect();
            table.add_row([
                line.invariant.to_owned(),
                line.sentence.to_owned(),
                compared,
                output::count(line.checked),
                output::count(line.breaches),
                targets.join(" "),
            ]);
        }
        println!("{table}");
        for line in self.invariants.iter().filter(|line| line.breaches > 0) {
            for (what, number) in &line.kinds {
                println!("{}: {what}: {}", line.invariant, output::count(*number));
            }
            for finding in line.findings.iter().filter(|finding| !finding.detail.is_empty()) {
                let partition = finding.partition.map_or_else(String::new, |number| format!("partition {number}: "));
                println!("  {partition}{}: {}", finding.what, finding.detail);
            }
        }
        let verdict =
            if self.held { "every invariant that was checked holds" } else { "BROKEN: see the breaches above" };
        println!("{verdict} ({:.1} s)", self.elapsed_ms as f64 / 1000.0);
    }
}
