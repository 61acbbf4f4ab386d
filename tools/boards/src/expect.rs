//! What a query must show in the run: something above 0, unless it is named here with the reason.

use crate::panel::Panel;
use crate::prometheus::Series;

/// What is said of a query.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expected {
    /// At least one sample above 0.
    Something,
    /// Samples, and all of them 0.
    Zero,
    /// Samples; whether one is above 0 is left to chance.
    Any,
    /// No sample.
    Nothing,
}

/// Board, title of the panel, name of the line (any with ""), what is expected, and why.
const EXCEPTIONS: &[(&str, &str, &str, Expected, &str)] = &[
    ("overview", "Unknown for 15 minutes", "", Expected::Zero, "the run takes a minute"),
    ("overview", "May be paid twice", "", Expected::Zero, "money honours keys in the run"),
    ("overview", "Overdue", "", Expected::Zero, "the run takes a minute"),
    ("overview", "Messages given up", "", Expected::Zero, "sixteen attempts take hours"),
    ("stage", "Commits in doubt", "", Expected::Zero, "MySQL stays"),
    ("stage", "CPU", "", Expected::Any, "CPU is told in whole seconds, and a stage may not take one in the run"),
    ("stage", "Guards at work", "", Expected::Any, "a frozen payer meets a final row only by chance"),
    (
        "streams",
        "Dead letters dropped",
        "",
        Expected::Zero,
        "10,000 failures of one partition would have to come first",
    ),
    (
        "promotion",
        "Does not add up",
        "{{promotion}} counters",
        Expected::Zero,
        "no counter ever exceeds what MySQL proves",
    ),
];

/// What is expected of a query of a panel.
pub fn of(board: &str, panel: &Panel, line: &str) -> Expected {
    let named = |(at, title, name, ..): &&(&str, &str, &str, Expected, &str)| {
        *at == board && *title == panel.title && (name.is_empty() || *name == line)
    };
    EXCEPTIONS.iter().find(named).map_or(Expected::Something, |(_, _, _, expected, _)| *expected)
}

/// Exceptions that no panel has.
pub fn unused<'a>(panels: impl Fn(&str, &str) -> Option<&'a Panel>) -> Vec<&'static str> {
    let used = |board: &str, title: &str, line: &str| {
        panels(board, title).is_some_and(|panel| line.is_empty() || panel.queries.iter().any(|(_, name)| name == line))
    };
    EXCEPTIONS
        .iter()
        .filter(|(board, title, line, ..)| !used(board, title, line))
        .map(|(_, title, ..)| *title)
        .collect()
}

/// What is wrong with an answer, if anything is.
pub fn breach(expected: Expected, answer: &[Series]) -> Option<String> {
    let values = || answer.iter().flat_map(|series| series.points.iter().map(|(_, value)| *value));
    let (samples, highest) = (values().count(), values().fold(f64::MIN, f64::max));
    let fault = match expected {
        Expected::Something => (samples == 0 || highest <= 0.0).then_some("shows nothing above 0"),
        Expected::Zero if samples == 0 => Some("shows nothing"),
        Expected::Zero => values().any(|value| value != 0.0).then_some("must be 0 throughout"),
        Expected::Any => (samples == 0).then_some("shows nothing"),
        Expected::Nothing => (samples > 0).then_some("must show nothing"),
    };
    fault.map(|fault| format!("{fault}: {samples} samples, up to {highest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(values: &[f64]) -> Vec<Series> {
        let points = values.iter().enumerate().map(|(at, value)| (at as f64, *value)).collect();
        vec![Series { labels: Default::default(), points }]
    }

    #[test]
    fn an_answer_is_held_to_what_is_expected() {
        for (expected, values, fine) in [
            (Expected::Something, &[0.0, 3.0][..], true),
            (Expected::Something, &[0.0], false),
            (Expected::Something, &[], false),
            (Expected::Zero, &[0.0, 0.0], true),
            (Expected::Zero, &[0.0, 1.0], false),
            (Expected::Zero, &[], false),
            (Expected::Any, &[0.0], true),
            (Expected::Any, &[], false),
            (Expected::Nothing, &[], true),
            (Expected::Nothing, &[0.0], false),
        ] {
            assert_eq!(breach(expected, &answer(values)).is_none(), fine, "{expected:?} {values:?}");
        }
    }
}
