//! Answers of `money` that are taken for another one.

use super::Mutant;
use crate::domain::decide::Request;
use crate::domain::outcome::{Answer, Verdict};

/// What is misread, and as what.
pub(super) struct Misreading {
    pub(super) mutant: Mutant,
    request: Request,
    verdict: Verdict,
    /// What the answer's code begins with.
    code: &'static str,
    pub(super) taken_for: Verdict,
}

impl Misreading {
    pub(super) fn meets(&self, request: Request, answer: &Answer) -> bool {
        self.request == request && self.verdict == answer.verdict && answer.code.starts_with(self.code)
    }
}

const fn misreading(
    mutant: Mutant,
    request: Request,
    verdict: Verdict,
    code: &'static str,
    taken_for: Verdict,
) -> Misreading {
    Misreading { mutant, request, verdict, code, taken_for }
}

use Request::{Cancel, Charge, LookUp};
use Verdict::{Cancelled, Fault, NotExecuted, NotSeen, RefusalNotListed, Refused, Unknown};

pub(super) const MISREADINGS: &[Misreading] = &[
    misreading(Mutant::TimeoutMeansFailed, Charge, Unknown, "TIMEOUT", Refused),
    misreading(Mutant::LostAnswerMeansFailed, Charge, Unknown, "NO_ANSWER", Refused),
    misreading(Mutant::UnavailableMeansFailed, Charge, Unknown, "HTTP_503", Refused),
    misreading(Mutant::ServerErrorMeansNotExecuted, Charge, Unknown, "HTTP_500", NotExecuted),
    misreading(Mutant::TooManyMeansFailed, Charge, NotExecuted, "HTTP_429", Refused),
    misreading(Mutant::UnauthorizedMeansFailed, Charge, Fault, "HTTP_401", Refused),
    misreading(Mutant::NotSeenMeansFailed, LookUp, NotSeen, "", Refused),
    misreading(Mutant::CancelUnansweredMeansFailed, Cancel, Unknown, "", Cancelled),
    misreading(Mutant::AnyRefusalIsFinal, Charge, RefusalNotListed, "", Refused),
];
