//! Where rules can be broken.

use std::borrow::Cow;
use std::sync::OnceLock;

use super::Mutant;
use super::edits::EDITS;
use super::misreadings::{MISREADINGS, Misreading};
use crate::domain::decide::Request;
use crate::domain::outcome::Answer;

static ARMED: OnceLock<Option<Mutant>> = OnceLock::new();

/// Whether this rule is broken in this process.
pub fn is(mutant: Mutant) -> bool {
    broken() == Some(mutant)
}

fn broken() -> Option<Mutant> {
    *ARMED.get_or_init(read)
}

/// A statement or script as it is run: as it is written, or without the rule that is broken.
pub(crate) fn edited(text: &str) -> Cow<'_, str> {
    let Some(broken) = broken() else { return text.into() };
    match EDITS.iter().find(|edit| edit.mutant == broken && text.contains(edit.from)) {
        Some(edit) => text.replace(edit.from, edit.to).into(),
        None => text.into(),
    }
}

/// An answer as it is read: as it was classified, or wrong.
pub(crate) fn misread(request: Request, mut answer: Answer) -> Answer {
    let Some(broken) = broken() else { return answer };
    let applies = |mistake: &&Misreading| mistake.mutant == broken && mistake.meets(request, &answer);
    if let Some(mistake) = MISREADINGS.iter().find(applies) {
        answer.verdict = mistake.taken_for;
    }
    answer
}

/// As with crash points, a variable that the configuration does not know: it is no setting of the product.
fn read() -> Option<Mutant> {
    let name = std::env::var("PAYOUT_MUTANT").ok()?;
    let found = Mutant::ALL.into_iter().find(|mutant| format!("{mutant:?}") == name);
    // A name that means nothing would pass for a mutant that nobody notices.
    assert!(found.is_some(), "PAYOUT_MUTANT is {name:?}, which is no mutant");
    eprintln!("mutant {name}: a rule is broken on purpose");
    found
}
