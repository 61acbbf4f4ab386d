//! The packed form of the parts of a state.

use super::*;

const WAITS: [Option<Waits>; 6] = [
    None,
    Some(Waits::UnknownOutcome),
    Some(Waits::Refusal),
    Some(Waits::KeyReused),
    Some(Waits::KeyExpired),
    Some(Waits::Poison),
];
const PROMOTIONS: [Promotion; 3] = [Promotion::InProgress, Promotion::Stopped, Promotion::Completed];
const REQUESTS: [Request; 3] = [Request::Charge, Request::LookUp, Request::Cancel];
const COUNTERS: [Option<Counter>; 4] = [None, Some(Counter::Success), Some(Counter::Fail), Some(Counter::RetrySuccess)];

/// The place of a value in its table. Every table holds all values.
fn place<T: PartialEq>(table: &[T], value: &T) -> u8 {
    table.iter().position(|each| each == value).unwrap_or(table.len()) as u8
}

fn put_waits(to: &mut Writer, waits: Option<Waits>) {
    to.put(waits.map_or(0, |waits| 1 + waits as u8), 3);
}

fn put_tick(to: &mut Writer, tick: Option<u8>) {
    to.put(tick.map_or(0, |tick| tick + 1), 2);
}

fn get_tick(from: &mut Reader) -> Option<u8> {
    from.get(2).checked_sub(1)
}

pub(super) fn put_counter(to: &mut Writer, counter: Option<Counter>) {
    to.put(counter.map_or(0, |counter| 1 + counter as u8), 2);
}

pub(super) fn get_counter(from: &mut Reader) -> Option<Counter> {
    COUNTERS[usize::from(from.get(2))]
}

fn put_row_body(to: &mut Writer, row: &Row) {
    to.put(row.retry_count, 2);
    to.flag(row.may_have_executed);
    to.flag(row.generation == 2);
    to.flag(row.requeues == 1);
    put_tick(to, row.first_sent_at);
    put_waits(to, row.waits);
    to.put(row.token, 3);
}

fn get_row_body(from: &mut Reader, status: ProcessStatus) -> Row {
    Row {
        status,
        retry_count: from.get(2),
        may_have_executed: from.flag(),
        generation: 1 + u8::from(from.flag()),
        requeues: u8::from(from.flag()),
        first_sent_at: get_tick(from),
        waits: WAITS[usize::from(from.get(3))],
        token: from.get(3),
    }
}

pub(super) fn put_db(to: &mut Writer, db: &Db) {
    match &db.row {
        None => to.put(4, 3),
        Some(row) => {
            to.put(row.status as u8, 3);
            put_row_body(to, row);
        }
    }
    to.put(place(&PROMOTIONS, &db.promotion), 2);
}

pub(super) fn get_db(from: &mut Reader) -> Db {
    let status = from.get(3);
    let row = ProcessStatus::ALL.get(usize::from(status)).map(|status| get_row_body(from, *status));
    Db { row, promotion: PROMOTIONS[usize::from(from.get(2))] }
}

pub(super) fn put_redis(to: &mut Writer, redis: &Redis) {
    to.flag(redis.stream);
    if redis.stream {
        to.put(redis.seq, 3);
        to.flag(redis.entry);
        to.flag(redis.undelivered);
        to.put(redis.owner, 3);
        redis.counts.iter().for_each(|count| to.put(*count, 2));
    }
}

pub(super) fn get_redis(from: &mut Reader) -> Redis {
    if !from.flag() {
        return Redis::EMPTY;
    }
    Redis {
        stream: true,
        seq: from.get(3),
        entry: from.flag(),
        undelivered: from.flag(),
        owner: from.get(3),
        counts: std::array::from_fn(|_| from.get(2)),
    }
}

pub(super) fn put_money(to: &mut Writer, money: &Money) {
    for key in 0..2 {
        to.put(money.keys[key] as u8, 3);
        to.put(money.known_since[key], 2);
        to.put(money.late[key], 2);
    }
    to.put(money.paid, 2);
}

pub(super) fn get_money(from: &mut Reader) -> Money {
    let mut money = Money::NEW;
    for key in 0..2 {
        money.keys[key] = Key::ALL[usize::from(from.get(3))];
        money.known_since[key] = from.get(2);
        money.late[key] = from.get(2);
    }
    money.paid = from.get(2);
    money
}

pub(super) fn put_task(to: &mut Writer, task: &Task) {
    let kind = match task {
        Task::Idle => 0,
        Task::Taken { .. } => 1,
        Task::Intended { .. } => 2,
        Task::Calling { .. } => 3,
        Task::Writing { .. } => 4,
        Task::Written { .. } => 5,
        Task::Settling { .. } => 6,
        Task::Parking { .. } => 7,
    };
    to.put(kind, 3);
    if let Some(seq) = task.seq() {
        to.put(seq, 3);
    }
    match task {
        Task::Idle | Task::Taken { .. } | Task::Intended { .. } => {}
        Task::Written { reopened, .. } => {
            to.flag(reopened.is_some());
            to.flag(*reopened == Some(2));
        }
        Task::Calling { request, row, resent, since, .. } => {
            to.put(place(&REQUESTS, request), 2);
            put_row_body(to, row);
            to.flag(*resent);
            put_since(to, *since);
        }
        Task::Writing { called, write, .. } => {
            to.flag(called.generation == 2);
            put_tick(to, called.first_sent_at);
            to.flag(called.may_have_executed);
            put_since(to, called.since);
            put_effect(to, write.effect);
            to.flag(write.another_attempt);
        }
        Task::Settling { counter, .. } => put_counter(to, Some(*counter)),
        Task::Parking { held, .. } => to.flag(*held),
    }
}

pub(super) fn get_task(from: &mut Reader) -> Task {
    let kind = from.get(3);
    if kind == 0 {
        return Task::Idle;
    }
    let seq = from.get(3);
    match kind {
        1 => Task::Taken { seq },
        2 => Task::Intended { seq },
        3 => Task::Calling {
            seq,
            request: REQUESTS[usize::from(from.get(2))],
            row: get_row_body(from, ProcessStatus::Pending),
            resent: from.flag(),
            since: get_since(from),
        },
        4 => Task::Writing {
            seq,
            called: Called {
                generation: 1 + u8::from(from.flag()),
                first_sent_at: get_tick(from),
                may_have_executed: from.flag(),
                since: get_since(from),
            },
            write: Write { effect: get_effect(from), another_attempt: from.flag() },
        },
        5 => Task::Written { seq, reopened: get_reopened(from) },
        6 => Task::Settling { seq, counter: get_counter(from).unwrap_or(Counter::Success) },
        _ => Task::Parking { seq, held: from.flag() },
    }
}

fn get_reopened(from: &mut Reader) -> Option<u8> {
    let (reopened, second) = (from.flag(), from.flag());
    reopened.then_some(1 + u8::from(second))
}

fn put_since(to: &mut Writer, since: Since) {
    to.flag(since.old);
    to.flag(since.overtaken);
}

fn get_since(from: &mut Reader) -> Since {
    Since { old: from.flag(), overtaken: from.flag() }
}

fn put_effect(to: &mut Writer, effect: Effect) {
    let kind = match effect {
        Effect::Paid => 0,
        Effect::Failed => 1,
        Effect::NotExecuted => 2,
        Effect::GiveUp => 3,
        Effect::NotCalled => 4,
        Effect::Unknown(_) => 5,
        Effect::Reopened => 6,
    };
    to.put(kind, 3);
    if let Effect::Unknown(waits) = effect {
        put_waits(to, waits);
    }
}

fn get_effect(from: &mut Reader) -> Effect {
    match from.get(3) {
        0 => Effect::Paid,
        1 => Effect::Failed,
        2 => Effect::NotExecuted,
        3 => Effect::GiveUp,
        4 => Effect::NotCalled,
        5 => Effect::Unknown(WAITS[usize::from(from.get(3))]),
        _ => Effect::Reopened,
    }
}
