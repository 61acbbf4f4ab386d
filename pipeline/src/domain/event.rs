//! What the outside is told about a promotion.

/// Something that happened to a promotion. Exactly one notification is kept for each.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Event {
    /// It became COMPLETED.
    Completed,
    /// It became FAILED.
    Failed,
    /// The first of its payouts waits for a person. Told once until none waits any more.
    NeedsPerson,
}

impl Event {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Completed, Self::Failed, Self::NeedsPerson];

    /// The type in a message, and its code in the database.
    pub fn code(self) -> &'static str {
        match self {
            Self::Completed => "promotion.completed",
            Self::Failed => "promotion.failed",
            Self::NeedsPerson => "promotion.needs_person",
        }
    }

    /// The event with this code.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.code() == code)
    }

    /// The event with this name in the configuration: the code without what all of them begin with.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.code().strip_prefix("promotion.") == Some(name))
    }
}

/// `payout_notifications.state`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NotificationState {
    /// To be sent, or sent without an answer so far. A summarizer moves it to each of the others.
    Waiting,
    /// The receiver answered 2xx.
    Delivered,
    /// The attempts were used up. An operator moves it back to WAITING.
    GivenUp,
    /// No webhook was configured, or the event was not wanted. An operator moves it back to WAITING.
    Skipped,
}

impl NotificationState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Waiting, Self::Delivered, Self::GivenUp, Self::Skipped];

    /// The code in the database.
    pub fn code(self) -> &'static str {
        match self {
            Self::Waiting => "WAITING",
            Self::Delivered => "DELIVERED",
            Self::GivenUp => "GIVEN_UP",
            Self::Skipped => "SKIPPED",
        }
    }

    /// The state with this code.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.code() == code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_and_states_are_found_by_their_codes() {
        for event in Event::ALL {
            assert_eq!(Event::from_code(event.code()), Some(event));
        }
        for state in NotificationState::ALL {
            assert_eq!(NotificationState::from_code(state.code()), Some(state));
        }
        assert_eq!(Event::from_name("needs_person"), Some(Event::NeedsPerson));
        assert_eq!(Event::from_name("promotion.completed"), None);
    }
}
