//! What is wrong with a configuration: all of it at once.

use std::fmt;

/// One fault: where, what was found, what is expected, and what to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// The environment variable, or the file with line and key.
    pub place: String,
    /// What stands there; hidden where it may be a secret.
    pub found: String,
    /// What should stand there.
    pub expected: String,
    /// What to do about it.
    pub advice: String,
}

/// Every fault of a configuration, at least one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Faults(pub Vec<Fault>);

impl std::error::Error for Faults {}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, found, expected, advice } = self;
        write!(f, "{place}: found {found}; expected {expected}. {advice}")
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noun = if self.0.len() == 1 { "fault" } else { "faults" };
        write!(f, "{} {noun} in the configuration", self.0.len())?;
        for (number, fault) in self.0.iter().enumerate() {
            write!(f, "\n  {}. {fault}", number + 1)?;
        }
        Ok(())
    }
}

/// The one of `known` that `name` was probably meant to be.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let within = name.len().div_ceil(3);
    known.filter_map(|candidate| Some((distance(name, candidate, within)?, candidate))).min().map(|best| best.1)
}

/// Number of letters to insert, remove or replace to turn `from` into `to` (Levenshtein), unless that is more than
/// `within`.
fn distance(from: &str, to: &str, within: usize) -> Option<usize> {
    if from.len().abs_diff(to.len()) > within {
        return None;
    }
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, a) in from.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, b) in to.bytes().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(row[column] + 1).min(diagonal + 1);
        }
        // No number of a later line is smaller than the smallest of this one.
        if row.iter().all(|far| *far > within) {
            return None;
        }
    }
    Some(row[to.len()]).filter(|far| *far <= within)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_finds_the_name_that_was_meant() {
        let known = ["money.timeout", "money.token", "retry.tick"];
        assert_eq!(nearest("money.timout", known.into_iter()), Some("money.timeout"));
        assert_eq!(nearest("retry.tik", known.into_iter()), Some("retry.tick"));
        assert_eq!(nearest("something.else", known.into_iter()), None);
    }
}
