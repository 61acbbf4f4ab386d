//! The statements of a payout type: the texts under `sql/` with its names filled in.

use std::sync::Arc;

use sqlx::Row;
use sqlx::mysql::MySqlRow;

use crate::domain::{PayoutType, Shape};
use crate::mutant;

/// A text column. Unchecked, because sqlx takes columns of a binary collation for VARBINARY; what is not UTF-8
/// is still refused.
pub(super) fn text(row: &MySqlRow, at: usize) -> Result<&str, sqlx::Error> {
    row.try_get_unchecked(at)
}

/// A text column that may be NULL.
pub(super) fn maybe_text(row: &MySqlRow, at: usize) -> Result<Option<String>, sqlx::Error> {
    row.try_get_unchecked(at)
}

/// Everything that is run against the tables of one type.
pub(super) struct TypeSql {
    pub(super) kind: Arc<PayoutType>,
    pub(super) read_targets: String,
    pub(super) read_target_range: String,
    pub(super) first_intent: String,
    pub(super) intent: String,
    pub(super) retry_intent: String,
    pub(super) read: String,
    pub(super) read_results: String,
    pub(super) paid: String,
    pub(super) paid_range: String,
    pub(super) outcome: String,
    pub(super) page: String,
    pub(super) mark_published: String,
    pub(super) mark_unpayable: String,
    pub(super) bounds: String,
    pub(super) proof: String,
    pub(super) partition_proof: String,
    pub(super) unfinished: String,
}

/// What stands in the texts for columns that only some shapes have.
struct Fragments {
    target_columns: &'static str,
    page_columns: &'static str,
    paid_json: &'static str,
    paid_set: &'static str,
    columns: &'static str,
    values: &'static str,
    outcome_json: &'static str,
    updates: &'static str,
}

const POINT: Fragments = Fragments {
    target_columns: "",
    page_columns: "",
    paid_json: "",
    paid_set: "",
    columns: "",
    values: "",
    outcome_json: "",
    updates: "",
};

const VOUCHER: Fragments = Fragments {
    target_columns: ", voucher_number, is_withdrawal",
    page_columns: ", voucher_number",
    paid_json: ", code VARCHAR(50) PATH '$[5]', pin VARCHAR(256) PATH '$[6]', expiry VARCHAR(19) PATH '$[7]'",
    paid_set: "r.voucher_code = v.code, r.voucher_pin = UNHEX(v.pin), r.voucher_expiry_at = CAST(v.expiry AS DATETIME),",
    columns: "voucher_code, voucher_pin, voucher_expiry_at,",
    values: "v.code, UNHEX(v.pin), CAST(v.expiry AS DATETIME),",
    outcome_json: ", code VARCHAR(50) PATH '$[12]', pin VARCHAR(256) PATH '$[13]', expiry VARCHAR(19) PATH '$[14]'",
    updates: "voucher_code = IF({guard} AND v.effect = 'PAID', v.code, {results}.voucher_code),
  voucher_pin = IF({guard} AND v.effect = 'PAID', UNHEX(v.pin), {results}.voucher_pin),
  voucher_expiry_at = IF({guard} AND v.effect = 'PAID', CAST(v.expiry AS DATETIME), {results}.voucher_expiry_at),",
};

/// The row is not final, and its key generation is the one that was called.
const GUARD: &str = "({results}.process_status IN ('PENDING', 'RETRYING') AND {results}.key_generation = v.generation)";
/// Another attempt than the one that answered may have been executed.
const UNPROVED: &str = "({results}.may_have_executed = 1 OR {results}.attempt_token <> v.token)";

impl TypeSql {
    pub(super) fn new(kind: PayoutType) -> Self {
        let fill = |text: &str| fill(text, &kind);
        Self {
            read_targets: fill(include_str!("sql/read_targets.sql")),
            read_target_range: fill(include_str!("sql/read_target_range.sql")),
            first_intent: fill(include_str!("sql/first_intent.sql")),
            intent: fill(include_str!("sql/intent.sql")),
            retry_intent: fill(include_str!("sql/retry_intent.sql")),
            read: fill(include_str!("sql/read.sql")),
            read_results: fill(include_str!("sql/read_results.sql")),
            paid: fill(include_str!("sql/paid.sql")),
            paid_range: fill(include_str!("sql/paid_range.sql")),
            outcome: fill(include_str!("sql/outcome.sql")),
            page: fill(include_str!("sql/page.sql")),
            mark_published: fill(include_str!("sql/mark_published.sql")),
            mark_unpayable: fill(include_str!("sql/mark_unpayable.sql")),
            bounds: fill(include_str!("sql/bounds.sql")),
            proof: fill(include_str!("sql/proof.sql")),
            partition_proof: fill(include_str!("sql/partition_proof.sql")),
            unfinished: fill(include_str!("sql/unfinished.sql")),
            kind: Arc::new(kind),
        }
    }
}

/// Fills in the names of a type. They come from [`PayoutType`], which lets through only letters, digits
/// and underscores; values are always bound.
pub(super) fn fill(text: &str, kind: &PayoutType) -> String {
    let shape = match kind.shape {
        Shape::Point => &POINT,
        Shape::Voucher => &VOUCHER,
    };
    let text: String =
        mutant::edited(text).lines().filter(|line| !line.starts_with("--")).flat_map(|line| [line, "\n"]).collect();
    text.replace("{voucher_target_columns}", shape.target_columns)
        .replace("{voucher_page_columns}", shape.page_columns)
        .replace("{voucher_paid_json}", shape.paid_json)
        .replace("{voucher_paid_set}", shape.paid_set)
        .replace("{voucher_columns}", shape.columns)
        .replace("{voucher_values}", shape.values)
        .replace("{voucher_outcome_json}", shape.outcome_json)
        .replace("{voucher_updates}", shape.updates)
        .replace("{guard}", &mutant::edited(GUARD))
        .replace("{unproved}", &mutant::edited(UNPROVED))
        .replace("{targets}", &kind.targets)
        .replace("{results}", &kind.results)
        .replace("{key}", &kind.key)
}
