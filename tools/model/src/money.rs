//! The money service: what it knows of each key, which requests are still on their way, what was paid.

use pipeline::domain::outcome::Verdict;

use crate::scope::Scope;

/// What `money` knows of a key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Key {
    /// Nothing, or nothing any more.
    NotSeen,
    /// It is being executed.
    Executing,
    /// Executed.
    Paid,
    /// Declined and recorded, with a final code.
    Refused,
    /// Declined and recorded, with a code that is not on the list.
    RefusedNotListed,
    /// Cancelled.
    Burnt,
}

impl Key {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::NotSeen, Self::Executing, Self::Paid, Self::Refused, Self::RefusedNotListed, Self::Burnt];

    /// Whether a request that arrives now, or one that is being executed, can still pay.
    pub fn payable(self) -> bool {
        match self {
            Self::NotSeen | Self::Executing => true,
            Self::Paid | Self::Refused | Self::RefusedNotListed | Self::Burnt => false,
        }
    }
}

/// The service, as far as the one target concerns it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Money {
    /// By generation.
    pub keys: [Key; 2],
    /// In which tick of the clock each key was first known.
    pub known_since: [u8; 2],
    /// Charges that the client gave up and that may still arrive.
    pub late: [u8; 2],
    /// Payments, over all keys.
    pub paid: u8,
}

/// An exchange that the client sees through: what it hears.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Exchange {
    /// For the trace.
    pub what: &'static str,
    /// What it proves.
    pub verdict: Verdict,
    /// `money` afterwards.
    pub money: Money,
    /// Whether it is a fault.
    pub fault: bool,
    /// Whether it leaves open what was asked, as every answer has for long.
    pub long_open: bool,
}

impl Money {
    /// Before anything happened.
    pub const NEW: Self = Self { keys: [Key::NotSeen; 2], known_since: [0; 2], late: [0; 2], paid: 0 };

    /// The key's state becomes this.
    pub fn know(mut self, key: usize, state: Key, now: u8) -> Self {
        if self.keys[key] == Key::NotSeen {
            self.known_since[key] = now;
        }
        if state == Key::Paid && self.keys[key] != Key::Paid {
            self.paid = (self.paid + 1).min(3);
        }
        self.keys[key] = state;
        self
    }

    fn send_late(mut self, key: usize) -> Self {
        // Only a key that is not known can be paid by it; a repeat of a known one is answered from the record.
        if self.keys[key] == Key::NotSeen {
            self.late[key] = (self.late[key] + 1).min(3);
        }
        self
    }

    /// What may become of a charge.
    pub fn charge(self, key: usize, now: u8, scope: &Scope) -> Vec<Exchange> {
        let mut may = Vec::with_capacity(6);
        let mut push =
            |what, verdict, money, fault| may.push(Exchange { what, verdict, money, fault, long_open: false });
        match self.keys[key] {
            Key::NotSeen => {
                push("charge: paid", Verdict::Paid, self.know(key, Key::Paid, now), false);
                if scope.refusals {
                    push("charge: refused", Verdict::Refused, self.know(key, Key::Refused, now), false);
                }
                if scope.not_listed {
                    let refused = self.know(key, Key::RefusedNotListed, now);
                    push("charge: refused, code not listed", Verdict::RefusalNotListed, refused, false);
                    push("charge: error of no known code", Verdict::RefusalNotListed, self.send_late(key), true);
                }
            }
            known => push("charge: answered from the record", self.recorded(known, scope), self, false),
        }
        push("charge: 429", Verdict::NotExecuted, self, false);
        push("charge: no answer", Verdict::Unknown, self.send_late(key), true);
        may.extend(self.long_executing("charge: executing, and for long", key));
        may
    }

    /// What may become of a look-up.
    pub fn look_up(self, key: usize, scope: &Scope) -> Vec<Exchange> {
        let (what, verdict) = match self.keys[key] {
            Key::NotSeen => ("look-up: not seen", Verdict::NotSeen),
            Key::Paid => ("look-up: paid", Verdict::Paid),
            known => ("look-up: not paid", self.recorded(known, scope)),
        };
        let unknown = Verdict::Unknown;
        let mut may = vec![
            Exchange { what, verdict, money: self, fault: false, long_open: false },
            Exchange { what: "look-up: no answer", verdict: unknown, money: self, fault: true, long_open: false },
            Exchange { what: "look-up: none for long", verdict: unknown, money: self, fault: true, long_open: true },
        ];
        may.extend(self.long_executing("look-up: executing, and for long", key));
        may
    }

    /// What may become of a cancel.
    pub fn cancel(self, key: usize, now: u8, scope: &Scope) -> Vec<Exchange> {
        let (what, verdict, after) = match self.keys[key] {
            Key::NotSeen => ("cancel: burnt", Verdict::Cancelled, self.know(key, Key::Burnt, now)),
            Key::Burnt => ("cancel: burnt before", Verdict::Cancelled, self),
            Key::Paid => ("cancel: too late, paid", Verdict::Paid, self),
            known => ("cancel: answered from the record", self.recorded(known, scope), self),
        };
        let mut may = vec![Exchange { what, verdict, money: after, fault: false, long_open: false }];
        let mut lose = |what, money, long_open| {
            may.push(Exchange { what, verdict: Verdict::Unknown, money, fault: true, long_open });
        };
        lose("cancel: lost", self, false);
        lose("cancel: lost, as others for long", self, true);
        if after != self {
            lose("cancel: done, answer lost", after, false);
            lose("cancel: done, answer lost, as others for long", after, true);
        }
        may.extend(self.long_executing("cancel: executing, and for long", key));
        may
    }

    fn long_executing(self, what: &'static str, key: usize) -> Option<Exchange> {
        let exchange = Exchange { what, verdict: Verdict::Executing, money: self, fault: false, long_open: true };
        (self.keys[key] == Key::Executing).then_some(exchange)
    }

    fn recorded(&self, key: Key, scope: &Scope) -> Verdict {
        match key {
            Key::NotSeen => Verdict::NotSeen,
            Key::Executing => Verdict::Executing,
            Key::Paid => Verdict::Paid,
            Key::Refused => Verdict::Refused,
            Key::RefusedNotListed => Verdict::RefusalNotListed,
            // The contract does not say with which code; a deployment may have it on its list of final ones.
            Key::Burnt if scope.burnt_is_listed => Verdict::Refused,
            Key::Burnt => Verdict::RefusalNotListed,
        }
    }
}
