//! The scopes that are explored: some in the normal test run, larger ones by command.

use crate::scope::{Faults, Scope};

const fn named(name: &'static str, scope: Scope) -> Scope {
    Scope { name, ..scope }
}

/// With a budget: a complete money service, one dispatcher, two payers, one retrier.
pub const fn full(faults: u8) -> Scope {
    Scope::new("look-up and cancel", Faults::all(faults))
}

/// Without cancel.
pub const fn lookup_only(faults: u8) -> Scope {
    named("look-up", full(faults).money(true, false))
}

/// Without look-up.
pub const fn cancel_only(faults: u8) -> Scope {
    named("cancel", full(faults).money(false, true))
}

/// Without either.
pub const fn neither(faults: u8) -> Scope {
    named("neither", full(faults).money(false, false))
}

/// The promotion is stopped once.
pub const fn stopped(name: &'static str, scope: Scope) -> Scope {
    Scope { name, stops: 1, ..scope }
}

/// The target is requeued once.
pub const fn requeued(name: &'static str, scope: Scope) -> Scope {
    Scope { name, requeues: 1, ..scope }
}

/// A person closes what waits for one. Without a cancel, where attempts that run out tell a person at once, a second retrier
/// that froze before may still charge then: the deadline of its delivery keeps it from that, which is not modelled.
pub const fn attended(name: &'static str, scope: Scope) -> Scope {
    Scope { name, closings: 1, ..scope }
}

/// A key lifetime passes, and then `money` may forget.
pub const fn aged(name: &'static str, scope: Scope) -> Scope {
    Scope { name, ticks: 1, faults: Faults { forget: true, ..scope.faults }, ..scope }
}

/// `money` answers with codes that are not on the list, and late requests are seen executing.
pub const fn with_codes(name: &'static str, scope: Scope) -> Scope {
    Scope { name, not_listed: true, executing: true, ..scope }
}

/// The target cannot be paid.
pub const fn unpayable(name: &'static str, scope: Scope) -> Scope {
    Scope { name, unpayable: true, ..scope }
}

/// The answer for a burnt key is on the list of final ones.
const fn burnt_is_listed(scope: Scope) -> Scope {
    Scope { burnt_is_listed: true, ..scope }
}

/// About a minute in all, on two slow cores.
pub fn normal() -> Vec<Scope> {
    vec![
        full(3),
        lookup_only(2),
        cancel_only(2),
        neither(3),
        stopped("stop; look-up and cancel", full(2)),
        stopped("stop; neither", neither(2)),
        requeued("requeue; look-up and cancel", full(1)),
        requeued("requeue; look-up", lookup_only(1)),
        requeued("requeue; cancel", cancel_only(1)),
        requeued("requeue; neither", neither(1)),
        aged("requeue, retention; look-up and cancel", requeued("", full(1))),
        aged("requeue, retention; look-up", requeued("", lookup_only(1))),
        aged("requeue, retention; neither", requeued("", neither(1))),
        aged("retention; look-up and cancel", full(2)),
        aged("retention; neither", neither(2)),
        aged("retention, stop; cancel", stopped("", cancel_only(2))),
        with_codes("codes; look-up and cancel", full(2)),
        with_codes("codes; look-up", lookup_only(2)),
        with_codes("codes; cancel", burnt_is_listed(cancel_only(2))),
        with_codes("codes; neither", neither(2)),
        attended("person; look-up and cancel", with_codes("", full(2))),
        attended("person; look-up", with_codes("", lookup_only(2))),
        attended("person, two retriers; look-up and cancel", full(3).stages(1, 1, 2)),
        attended("person, two retriers; neither", neither(3).stages(1, 1, 2)),
        unpayable("unpayable; look-up and cancel", full(2)),
        unpayable("unpayable; neither", neither(2)),
        named("two dispatchers", full(2).stages(2, 1, 1)),
        named("two of each; look-up and cancel", full(2).stages(2, 2, 2)),
        named("two of each; neither", neither(2).stages(2, 2, 2)),
    ]
}

/// Some minutes and up to 3 GB.
pub fn large() -> Vec<Scope> {
    let late_deletes = Scope { late_deletes: true, ..requeued("requeue, keys deleted late", full(1)) };
    let processes = Faults::processes(3);
    vec![
        lookup_only(3),
        cancel_only(3),
        stopped("stop; look-up and cancel", full(3)),
        stopped("stop; neither", neither(3)),
        requeued("requeue; neither", neither(2)),
        requeued("requeue, stages fail", Scope { faults: processes, ..full(2) }),
        late_deletes,
        aged("retention; look-up and cancel", full(3)),
        aged("retention; look-up", lookup_only(3)),
        aged("retention; neither", neither(3)),
        with_codes("codes; look-up and cancel", full(3)),
        with_codes("codes; look-up", lookup_only(3)),
        with_codes("codes; cancel", burnt_is_listed(cancel_only(3))),
        with_codes("codes; neither", neither(3)),
        attended("person; look-up and cancel", with_codes("", full(3))),
        attended("person; look-up", with_codes("", lookup_only(3))),
        attended("person, requeue; look-up and cancel", requeued("", full(1))),
        unpayable("unpayable", full(3)),
        named("two dispatchers", full(3).stages(2, 1, 1)),
        Scope { faults: Faults::processes(7), ..named("stages and network fail", full(7)) },
        Scope { faults: Faults::processes(5), ..named("two of each, stages fail", full(3).stages(2, 2, 2)) },
    ]
}
