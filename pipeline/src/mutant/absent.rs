//! Where no rule can be broken: in what is shipped.

use std::borrow::Cow;

use super::Mutant;
use crate::domain::decide::Request;
use crate::domain::outcome::Answer;

/// Whether this rule is broken in this process: it is not.
#[inline(always)]
pub const fn is(_mutant: Mutant) -> bool {
    false
}

/// A statement or script as it is run: as it is written.
#[inline(always)]
pub(crate) fn edited(text: &str) -> Cow<'_, str> {
    text.into()
}

/// An answer as it is read: as it was classified.
#[inline(always)]
pub(crate) fn misread(_request: Request, answer: Answer) -> Answer {
    answer
}
