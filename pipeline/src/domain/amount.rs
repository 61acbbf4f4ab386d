//! Money: exact decimals with at most two places, never a float.

use std::fmt;
use std::iter::Sum;
use std::ops::Add;

use rust_decimal::Decimal;
use serde::{Serialize, Serializer};

/// An amount of money, or of points, with at most two decimal places.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Amount(Decimal);

/// The largest amount that a target's DECIMAL(15,2) holds.
const MAX_TARGET_AMOUNT: Decimal = Decimal::from_parts(2_764_472_319, 232_830, 0, false, 2);

/// Why a text is not the amount of a target.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AmountError {
    /// Not a plain decimal number (no sign but `-`, no exponent, no separators).
    #[error("expected a plain decimal number such as 10000 or 10000.50")]
    NotANumber,
    /// More than two decimal places.
    #[error("expected at most two decimal places")]
    TooManyPlaces,
    /// Zero or less.
    #[error("expected an amount above zero")]
    NotPositive,
    /// More than DECIMAL(15,2) holds.
    #[error("expected at most 9999999999999.99")]
    TooLarge,
}

impl Amount {
    /// No money.
    pub const ZERO: Self = Self(Decimal::ZERO);

    /// An amount as it stands in a row. A row may hold what another system wrote; whether it can be
    /// paid is asked by [`Amount::is_payable`].
    pub fn from_row(value: Decimal) -> Self {
        Self(value)
    }

    /// Reads the amount of a target from a file.
    ///
    /// # Errors
    /// [`AmountError`], the first that applies in its order.
    pub fn parse(text: &str) -> Result<Self, AmountError> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let (whole, places) = digits.split_once('.').unwrap_or((digits, "0"));
        let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !all_digits(whole) || !all_digits(places) {
            return Err(AmountError::NotANumber);
        }
        if places.trim_end_matches('0').len() > 2 {
            return Err(AmountError::TooManyPlaces);
        }
        let value: Decimal = text.parse().map_err(|_| AmountError::TooLarge)?;
        if value <= Decimal::ZERO {
            return Err(AmountError::NotPositive);
        }
        if value > MAX_TARGET_AMOUNT {
            return Err(AmountError::TooLarge);
        }
        Ok(Self(value))
    }

    /// Whether `money` may be asked to pay it: above zero, with at most two places.
    pub fn is_payable(self) -> bool {
        self.0 > Decimal::ZERO && self.0.normalize().scale() <= 2
    }

    /// The decimal itself, for the store.
    pub fn decimal(self) -> Decimal {
        self.0
    }

    /// Plain decimal notation: `10000`, or `10000.50` where there are cents. Used on the wire.
    pub fn to_plain(self) -> String {
        let mut value = self.0.normalize();
        if value.scale() == 1 {
            value.rescale(2);
        }
        value.to_string()
    }

    /// The sum, or nothing where it does not fit a decimal.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }
}

/// With two places, as the store shows it.
impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2}", self.0)
    }
}

/// As a string: JSON readers turn numbers into floats.
impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Add for Amount {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl Sum for Amount {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_read_exactly_or_refused_with_the_reason() {
        use AmountError::{NotANumber, NotPositive, TooLarge, TooManyPlaces};
        let table: &[(&str, Result<&str, AmountError>)] = &[
            ("10000", Ok("10000")),
            ("10000.5", Ok("10000.50")),
            ("10000.50", Ok("10000.50")),
            ("10000.00", Ok("10000")),
            ("0.01", Ok("0.01")),
            ("1.500", Ok("1.50")),
            ("9999999999999.99", Ok("9999999999999.99")),
            ("10000000000000", Err(TooLarge)),
            ("99999999999999999999999999999999", Err(TooLarge)),
            ("0", Err(NotPositive)),
            ("-1", Err(NotPositive)),
            ("1.005", Err(TooManyPlaces)),
            ("", Err(NotANumber)),
            ("1e3", Err(NotANumber)),
            ("1,000", Err(NotANumber)),
            ("+5", Err(NotANumber)),
            (".5", Err(NotANumber)),
            ("5.", Err(NotANumber)),
            ("１００", Err(NotANumber)),
            (" 5", Err(NotANumber)),
        ];
        for (text, expected) in table {
            assert_eq!(Amount::parse(text).map(Amount::to_plain), expected.map(str::to_owned), "{text:?}");
        }
    }

    #[test]
    fn amounts_are_shown_with_two_places() {
        assert_eq!(Amount::parse("10").unwrap().to_string(), "10.00");
        assert_eq!(serde_json::to_string(&Amount::parse("10.5").unwrap()).unwrap(), "\"10.50\"");
    }
}
