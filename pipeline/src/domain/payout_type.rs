//! One description of each payout type. Nothing else in the product names one.
//!
//! A type is its code, its two tables, the key that they share, and the path at `money`. What differs
//! beyond names is its [`Shape`]. Types of the shape of POINT can be added by a row in `payout_types`
//! (see `promoctl type add`), with no rebuild: stages read that table and generate their SQL from here.

/// Which columns a type's tables have beyond the common ones, and what `money` is sent and answers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Shape {
    /// Amount and description only.
    Point,
    /// As points, and a voucher number and a withdrawal flag are sent; code, PIN and expiry come back.
    Voucher,
}

/// A kind of payout.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct PayoutType {
    /// `campaign_promotions.promotion_type`, and the type in a record.
    pub code: String,
    /// Table of its targets.
    pub targets: String,
    /// Table of its results.
    pub results: String,
    /// Primary key of both tables.
    pub key: String,
    /// Path of the charge at `money`, behind the base URL.
    pub charge_path: String,
    /// Its columns and fields.
    pub shape: Shape,
}

/// Why a type cannot be added.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TypeError {
    /// The code becomes part of table names and paths.
    #[error("a payout type's code must match [A-Z][A-Z0-9_]{{0,19}}, not {0:?}")]
    Code(String),
    /// The path is joined to the base URL.
    #[error("a charge path must start with / and hold only [A-Za-z0-9/_-], not {0:?}")]
    ChargePath(String),
}

impl PayoutType {
    /// Points credited to a customer.
    pub fn point() -> Self {
        Self::named("POINT", Shape::Point, "/internal/v1/campaigns/point/charge")
    }

    /// A voucher issued to a customer.
    pub fn voucher() -> Self {
        Self::named("VOUCHER", Shape::Voucher, "/internal/v1/campaigns/voucher/charge")
    }

    /// The types that every installation has.
    pub fn built_in() -> Vec<Self> {
        vec![Self::point(), Self::voucher()]
    }

    /// A further type of the shape of POINT, with table names derived from its code.
    ///
    /// # Errors
    /// [`TypeError`] where the code or the path could not stand safely in SQL or in a URL.
    pub fn like_point(code: &str, charge_path: &str) -> Result<Self, TypeError> {
        let mut letters = code.bytes();
        let starts_well = letters.next().is_some_and(|byte| byte.is_ascii_uppercase());
        let goes_on_well = letters.all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
        if !starts_well || !goes_on_well || code.len() > 20 {
            return Err(TypeError::Code(code.to_owned()));
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'-');
        if !charge_path.starts_with('/') || !charge_path.bytes().all(plain) {
            return Err(TypeError::ChargePath(charge_path.to_owned()));
        }
        Ok(Self::named(code, Shape::Point, charge_path))
    }

    fn named(code: &str, shape: Shape, charge_path: &str) -> Self {
        let lower = code.to_ascii_lowercase();
        Self {
            code: code.to_owned(),
            targets: format!("campaign_promotion_{lower}_targets"),
            results: format!("campaign_promotion_{lower}_results"),
            key: format!("{lower}_target_id"),
            charge_path: charge_path.to_owned(),
            shape,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_types_have_the_names_of_the_data_contract() {
        let voucher = PayoutType::voucher();
        assert_eq!(voucher.targets, "campaign_promotion_voucher_targets");
        assert_eq!(voucher.results, "campaign_promotion_voucher_results");
        assert_eq!(voucher.key, "voucher_target_id");
        assert_eq!(PayoutType::point().key, "point_target_id");
    }

    #[test]
    fn a_type_whose_names_could_break_sql_or_a_url_is_refused() {
        assert!(PayoutType::like_point("CASHBACK", "/internal/v1/campaigns/cashback/charge").is_ok());
        for code in ["", "cash", "1CASH", "CASH`", "A B", "ABCDEFGHIJKLMNOPQRSTU"] {
            assert!(matches!(PayoutType::like_point(code, "/x"), Err(TypeError::Code(_))), "{code}");
        }
        for path in ["", "x", "/a?b", "/a b", "/é"] {
            assert!(matches!(PayoutType::like_point("CASH", path), Err(TypeError::ChargePath(_))), "{path}");
        }
    }
}
