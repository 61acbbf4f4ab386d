//! What a value looks like in a file that people open in a spreadsheet.
//!
//! A text that a spreadsheet would run, or change, gets an apostrophe in front: what begins like a formula, and what it
//! would take for a number, a date or a time and rewrite (digits beyond the eleven that it shows, leading zeros). A text
//! that begins with an apostrophe gets one more. So reading back is one rule: where a text column begins with an
//! apostrophe, take that one away.

/// A value, by what a spreadsheet may make of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Cell {
    /// Ours: a number or a time in a form that cannot run. Written as it is.
    Plain(String),
    /// Anybody's text, codes and ids among them. Guarded.
    Text(String),
    /// A date that another system wrote. Guarded only where it is none.
    Date(String),
    /// Nothing.
    Empty,
}

impl Cell {
    /// A text that may be missing.
    pub(crate) fn text(value: Option<String>) -> Self {
        value.map_or(Self::Empty, Self::Text)
    }

    /// As it stands in the file.
    pub(crate) fn written(self) -> String {
        match self {
            Self::Plain(value) => value,
            Self::Date(value) if is_date(&value) => value,
            Self::Text(value) | Self::Date(value) => guarded(value),
            Self::Empty => String::new(),
        }
    }
}

/// Digits that a spreadsheet shows of a number; with more, it shows and saves 1.23457E+11.
const SHOWN_DIGITS: usize = 11;

fn guarded(value: String) -> String {
    if value.starts_with('\'') || begins_a_formula(&value) || is_rewritten(&value) {
        format!("'{value}")
    } else {
        value
    }
}

/// `=`, `+`, `-`, `@`, tab and carriage return, full-width forms too; blanks and what cannot be seen in front of them
/// do not count, as some programs pass them over.
fn begins_a_formula(value: &str) -> bool {
    if value.starts_with(['\t', '\r', '\n']) {
        return true;
    }
    let seen = |char: &char| !char.is_whitespace() && !char.is_control() && !is_invisible(*char);
    value.chars().find(seen).is_some_and(|first| "=+-@＝＋－＠﹣﹢﹦﹫−".contains(first))
}

fn is_invisible(char: char) -> bool {
    matches!(char, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{ad}')
}

/// Whether a spreadsheet reads something else than what is written.
fn is_rewritten(value: &str) -> bool {
    let value = value.trim();
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    let begins = value.bytes().next().is_some_and(|byte| byte.is_ascii_digit() || byte == b'.');
    if !begins || !value.bytes().all(|byte| byte.is_ascii_digit() || b" .,:/-+eE%".contains(&byte)) {
        return false;
    }
    let plain_number = digits == value.len() && digits <= SHOWN_DIGITS && (!value.starts_with('0') || value == "0");
    !plain_number
}

/// `yyyy-MM-dd`.
fn is_date(value: &str) -> bool {
    value.len() == 10 && chrono::NaiveDate::parse_from_str(value, "%Y-%m-%d").is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> String {
        Cell::Text(value.to_owned()).written()
    }

    #[test]
    fn nothing_that_a_spreadsheet_could_run_begins_a_cell() {
        let corpus = [
            "=1+1",
            "+1+1",
            "-1+1",
            "@SUM(A1)",
            "\t=1+1",
            "\r=1+1",
            "\n=1+1",
            " =1+1",
            "\u{a0}=1+1",
            "\u{3000}＝1",
            "\u{200b}=1+1",
            "\u{feff}=1+1",
            "\u{0}=1+1",
            "＝1+1",
            "＋1",
            "－1",
            "＠SUM(A1)",
            "−1",
            "=cmd|' /C calc'!A0",
            "=HYPERLINK(\"http://x\",\"y\")",
            "-2+3+cmd|' /C calc'!A0",
            "@import",
            "\t",
        ];
        for value in corpus {
            assert_eq!(text(value), format!("'{value}"), "{value:?}");
            assert_eq!(Cell::Date(value.to_owned()).written(), format!("'{value}"), "{value:?}");
        }
    }

    #[test]
    fn what_a_spreadsheet_would_rewrite_stays_text() {
        for value in ["123456789012", "007", "12E5", "1-2", "3/4", "10:30", "1.50", "1,000", "9007199254740993", "50%"]
        {
            assert_eq!(text(value), format!("'{value}"), "{value}");
        }
        for value in ["", "0", "12345678901", "SPRING", "mk1001", "A-1", "1234-5678-A", "커피 쿠폰", "a=b", "e"] {
            assert_eq!(text(value), value);
        }
    }

    #[test]
    fn one_apostrophe_less_gives_back_what_was_written() {
        for value in ["'", "''x", "'=1", "=1", "0012", "plain", "", "-5"] {
            let written = text(value);
            assert_eq!(written.strip_prefix('\'').unwrap_or(&written), value);
        }
    }

    #[test]
    fn a_date_is_left_alone_and_what_is_none_is_guarded() {
        for (value, written) in [("2026-12-31", "2026-12-31"), ("2026-13-31", "'2026-13-31"), ("soon", "soon")] {
            assert_eq!(Cell::Date(value.to_owned()).written(), written);
        }
        assert_eq!(Cell::Plain("-1.50".to_owned()).written(), "-1.50");
    }
}
