//! How figures and tables look.

use chrono::NaiveDateTime;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use pipeline::domain::Amount;
use serde::Serializer;

/// A table with a header; the columns in `right` hold numbers.
pub(crate) fn table<const N: usize>(header: [&str; N], right: &[usize]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    // Cells are wrapped where a terminal is too narrow; in a pipe there is no width.
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header);
    for at in right {
        if let Some(column) = table.column_mut(*at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// A count, digits grouped by three.
pub(crate) fn count(number: u64) -> String {
    group(&number.to_string())
}

/// Money with two places, digits grouped by three.
pub(crate) fn money(amount: Amount) -> String {
    group(&amount.to_string())
}

/// A time as it stands in the database, or a dash.
pub(crate) fn time(at: Option<NaiveDateTime>) -> String {
    at.map_or_else(|| "-".to_owned(), |at| at.format("%Y-%m-%d %H:%M:%S").to_string())
}

/// A text, or a dash.
pub(crate) fn text(value: Option<&str>) -> String {
    value.unwrap_or("-").to_owned()
}

/// Keeps the last two characters, which is enough to tell neighbours apart.
pub(crate) fn masked(text: &str) -> String {
    let length = text.chars().count();
    let kept = if length > 4 { 2 } else { 0 };
    text.chars().enumerate().map(|(at, char)| if at + kept >= length { char } else { '*' }).collect()
}

/// A text with another in place of a number, wherever that stands for itself and not within a longer one.
pub(crate) fn replaced(text: &str, number: &str, with: &str) -> String {
    let is_digit = |char: Option<char>| char.is_some_and(|char| char.is_ascii_digit());
    let (mut done, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find(number) {
        let after = &rest[at + number.len()..];
        done.push_str(&rest[..at]);
        let within = is_digit(done.chars().next_back()) || is_digit(after.chars().next());
        done.push_str(if within { number } else { with });
        rest = after;
    }
    done + rest
}

/// For JSON: `yyyy-MM-ddTHH:mm:ss` in the configured zone.
pub(crate) fn iso<S: Serializer>(at: &Option<NaiveDateTime>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => serializer.collect_str(&at.format("%Y-%m-%dT%H:%M:%S")),
        None => serializer.serialize_none(),
    }
}

/// A number that is text already, digits grouped by three.
pub(crate) fn group(number: &str) -> String {
    let (sign, digits) = number.split_at(usize::from(number.starts_with('-')));
    let (whole, places) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    let mut grouped = String::from(sign);
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_by_three() {
        for (number, grouped) in [("0", "0"), ("999", "999"), ("-1000", "-1,000"), ("1234567.80", "1,234,567.80")] {
            assert_eq!(group(number), grouped);
        }
    }

    #[test]
    fn a_number_is_replaced_where_it_stands_for_itself() {
        for (text, seen) in [("customer 42 of 420, 142, 42", "customer ** of 420, 142, **"), ("4242", "4242"), ("", "")]
        {
            assert_eq!(replaced(text, "42", "**"), seen);
        }
    }

    #[test]
    fn a_masked_customer_keeps_two_digits_at_most() {
        for (plain, hidden) in [("1234567", "*****67"), ("1234", "****"), ("12345", "***45"), ("", "")] {
            assert_eq!(masked(plain), hidden);
        }
    }
}
