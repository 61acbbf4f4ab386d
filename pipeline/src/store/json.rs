//! Batches as JSON arrays, for JSON_TABLE.

use std::fmt::Write;

use crate::domain::TargetId;

/// `[1,2,3]`.
pub(super) fn ids(ids: impl IntoIterator<Item = TargetId>) -> String {
    let mut json = String::with_capacity(4096);
    json.push('[');
    for id in ids {
        let separator = if json.len() > 1 { "," } else { "" };
        write!(json, "{separator}{id}").expect("writing to memory");
    }
    json.push(']');
    json
}

/// An array of arrays, written row by row.
pub(super) struct Rows {
    json: String,
}

impl Rows {
    pub(super) fn new() -> Self {
        Self { json: String::from("[") }
    }

    /// Begins a row with its first number.
    pub(super) fn row(&mut self, first: i64) -> &mut Self {
        let separator = if self.json.len() > 1 { ",[" } else { "[" };
        write!(self.json, "{separator}{first}").expect("writing to memory");
        self
    }

    pub(super) fn number(&mut self, value: impl std::fmt::Display) -> &mut Self {
        write!(self.json, ",{value}").expect("writing to memory");
        self
    }

    pub(super) fn text(&mut self, value: Option<&str>) -> &mut Self {
        self.json.push(',');
        match value {
            None => self.json.push_str("null"),
            Some(value) if value.bytes().all(|byte| (0x20..0x7f).contains(&byte) && byte != b'"' && byte != b'\\') => {
                self.json.push('"');
                self.json.push_str(value);
                self.json.push('"');
            }
            Some(value) => self.json.push_str(&serde_json::Value::from(value).to_string()),
        }
        self
    }

    pub(super) fn end(&mut self) {
        self.json.push(']');
    }

    pub(super) fn finish(mut self) -> String {
        self.json.push(']');
        self.json
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_valid_json_whatever_the_texts_hold() {
        let mut rows = Rows::new();
        rows.row(1).number(2).text(Some("plain")).text(None).end();
        rows.row(3).text(Some("quote \" slash \\ newline \n 한글")).end();
        let parsed: serde_json::Value = serde_json::from_str(&rows.finish()).unwrap();
        assert_eq!(parsed, serde_json::json!([[1, 2, "plain", null], [3, "quote \" slash \\ newline \n 한글"]]));
        assert_eq!(ids([]), "[]");
        assert_eq!(ids([TargetId(1), TargetId(2)]), "[1,2]");
    }
}
