//! Which error codes are our own. What else stands on an open row is a refusal by `money` with a code that is not on the
//! list of final ones.

/// Codes of our own on rows that are open: for outcomes that are not known, and for entries that wait for a person.
const OWN_CODES: [&str; 25] = [
    "TIMEOUT",
    "WRITE_FAILED",
    "NOT_HTTP",
    "PAID",
    "SUCCESS_WITHOUT_PAYMENT",
    "SUCCESS_WITH_ERROR_CODE",
    "FAIL_WITHOUT_CODE",
    "FAIL_WITH_DATA",
    "NO_RESULT",
    "UNKNOWN_RESULT",
    "BAD_MONEY_KEY",
    "MALFORMED_ANSWER",
    "JSON_TOO_DEEP",
    "NOT_JSON_TYPE",
    "NOT_UTF8",
    "REQUEST_NOT_BUILT",
    "UNPRINTABLE_CODE",
    "KEY_REUSED",
    "CANCELLED",
    "IN_PROGRESS",
    "REQUEST_IN_PROGRESS",
    "PROCESSING",
    "EXECUTING",
    "CRASHES_CONSUMER",
    "UNDECODABLE",
];
const OWN_PREFIXES: [&str; 5] = ["HTTP_", "CONNECT_", "TLS_", "NO_ANSWER_", "BODY_"];

/// Whether the product itself writes this code.
pub(super) fn is_own(code: &str) -> bool {
    OWN_CODES.contains(&code) || OWN_PREFIXES.iter().any(|prefix| code.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    /// In capitals too, and no codes: what `money` says in `result`, and a variable of Cargo's.
    const NO_CODES: [&str; 3] = ["SUCCESS", "FAIL", "CARGO_PKG_VERSION"];

    /// The texts in capitals that stand in the sources which give an open row its code.
    fn written() -> BTreeSet<String> {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pipeline/src");
        let money = fs::read_dir(sources.join("money")).unwrap().map(|entry| entry.unwrap().path());
        let files: Vec<PathBuf> = money.chain([sources.join("charging/begin.rs")]).collect();
        let is_code = |text: &str| {
            text.len() > 2
                && text.starts_with(|first: char| first.is_ascii_uppercase())
                && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
        };
        let mut codes = BTreeSet::new();
        for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "rs")) {
            for line in fs::read_to_string(file).unwrap().lines() {
                let texts = line.split('"').skip(1).step_by(2).map(|text| text.trim_end_matches("{}"));
                codes.extend(texts.filter(|text| is_code(text) && !NO_CODES.contains(text)).map(str::to_owned));
            }
        }
        codes
    }

    #[test]
    fn our_own_codes_are_those_that_the_product_writes() {
        let written = written();
        let foreign: Vec<_> = written.iter().filter(|code| !is_own(code)).collect();
        assert!(foreign.is_empty(), "written, and taken for refusals by money: {foreign:?}");
        for code in OWN_CODES {
            assert!(written.contains(code), "nothing writes {code}");
        }
        for prefix in OWN_PREFIXES {
            assert!(written.iter().any(|code| code.starts_with(prefix)), "nothing writes {prefix}…");
        }
    }
}
