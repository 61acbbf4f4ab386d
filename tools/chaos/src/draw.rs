//! Drawing a plan.

use pipeline::crash;
use rand::Rng;
use rand::rngs::StdRng;

use crate::fault::{Fault, Server, Toxic};
use crate::plan::{Armed, Bounds, Deployment, Event, Load, Plan, STAGES, targets};
use crate::weather::Weather;

/// Every third iteration dies at a named place, the others at any.
const ARMED_EVERY: u64 = 3;
/// Faults of one iteration.
const EVENTS: std::ops::RangeInclusive<usize> = 3..=6;
/// When they happen: from before the stages are up until after the smallest campaigns are paid.
const AT_MS: std::ops::Range<u64> = 40..1500;
/// Targets a second that the shared limit lets through, by the size of the campaign: so that each takes about a second.
const LEAST_RPS: u32 = 300;

/// The plan of an iteration.
pub(crate) fn plan(seed: u64, iteration: u64, bounds: Bounds, dice: &mut StdRng) -> Plan {
    let deployment = match dice.random_range(0..100) {
        0..64 => Deployment { lookup: true, cancel: true },
        64..78 => Deployment { lookup: true, cancel: false },
        78..90 => Deployment { lookup: false, cancel: true },
        _ => Deployment { lookup: false, cancel: false },
    };
    let targets = targets(bounds, dice);
    let mut plan = Plan {
        seed,
        iteration,
        vouchers: dice.random_ratio(1, 3),
        targets,
        partitions: dice.random_range(1..=4),
        load: match dice.random_range(0..10) {
            0 => Load::FileTwice,
            1 | 2 => Load::File,
            _ => Load::Sql,
        },
        deployment,
        weather: if dice.random_ratio(2, 3) { Weather::Mixed } else { Weather::Fair },
        // Without a cancel, attempts that run out leave rows to a person.
        max_attempts: if deployment.cancel { dice.random_range(2..=6) } else { 10 },
        window: dice.random_range(100..=targets.max(200)),
        max_rps: if dice.random_ratio(3, 4) { targets.max(LEAST_RPS) } else { 0 },
        replicas: [2, 3, dice.random_range(1..=2), dice.random_range(1..=2)],
        armed: None,
        events: Vec::new(),
    };
    if iteration.is_multiple_of(ARMED_EVERY) {
        arm(&mut plan, iteration / ARMED_EVERY, dice);
    }
    for _ in 0..dice.random_range(EVENTS) {
        let event = Event { at_ms: dice.random_range(AT_MS), fault: fault(&plan, dice) };
        plan.events.push(event);
    }
    plan.events.sort_by_key(|event| event.at_ms);
    plan
}

/// Places with the stage that dies there, in the order in which they are gone through. A place that several stages
/// pass stands there once for each.
pub(crate) fn places() -> Vec<(&'static str, &'static str)> {
    let of = |point: &'static str| stages_at(point).iter().map(move |stage| (*stage, point));
    crash::POINTS.iter().copied().flat_map(of).collect()
}

/// Who passes a place.
fn stages_at(point: &str) -> &'static [&'static str] {
    match point.split_once('.') {
        Some(("loader", _)) => &["loader"],
        Some(("dispatcher", _)) => &["dispatcher"],
        Some(("payer", _)) => &["payer"],
        Some(("retrier", _)) => &["retrier"],
        Some(("summarizer", _)) => &["summarizer"],
        Some(("charging", "delivered" | "settled" | "parked" | "before_record" | "recorded" | "intent_recorded")) => {
            &["payer", "retrier"]
        }
        Some(("charging", "before_charge" | "after_charge" | "paid_recorded")) | Some(("paying", _)) => {
            &["payer", "retrier"]
        }
        Some(("rebuild", _)) => &["summarizer"],
        Some(("charging", _)) => &["retrier"],
        // Of an operator's command, not of a stage: the whole-system tests kill it there.
        Some(("requeue", _)) => &[],
        Some((_, _)) | None => panic!("who passes {point}?"),
    }
}

/// Whether a process comes by several times in one iteration.
fn is_passed_often(point: &str) -> bool {
    match point.split_once('.') {
        Some(("charging", place)) => !place.ends_with("look_up") && !place.ends_with("cancel"),
        Some(("retrier", _)) => true,
        Some(("dispatcher", place)) => matches!(place, "page_read" | "published" | "marked"),
        Some(("summarizer", place)) => matches!(place, "counted" | "row_flushed" | "hash_written"),
        Some((_, _)) | None => false,
    }
}

/// Arms a place, and makes it likely that it is passed.
fn arm(plan: &mut Plan, turn: u64, dice: &mut StdRng) {
    let places = places();
    let Some((stage, point)) = usize::try_from(turn).ok().and_then(|turn| places.get(turn % places.len())) else {
        return;
    };
    match *stage {
        "loader" => plan.load = Load::File,
        "retrier" => plan.weather = Weather::Mixed,
        _ => {}
    }
    match *point {
        "charging.before_look_up" | "charging.after_look_up" => plan.deployment.lookup = true,
        "charging.before_cancel" | "charging.after_cancel" => {
            (plan.deployment.cancel, plan.max_attempts) = (true, 2);
            let fault = Fault::Money { weather: Weather::Failing, for_ms: 1200 };
            plan.events.push(Event { at_ms: AT_MS.start, fault });
        }
        "charging.parked" | "charging.paid_recorded" => plan.weather = Weather::Mixed,
        "summarizer.differs" | "rebuild.snapshot_read" | "summarizer.rebuilt" => {
            for at_ms in [500, 800, 1100] {
                plan.events.push(Event { at_ms, fault: Fault::LoseEntry });
            }
        }
        _ => {}
    }
    let pass = if is_passed_often(point) { dice.random_range(1..=3) } else { 1 };
    plan.armed = Some(Armed { stage: (*stage).to_owned(), point: (*point).to_owned(), pass });
}

/// One fault, with the weights of FAULTS §5.4: mostly processes that die or freeze, then servers, then ways and money.
fn fault(plan: &Plan, dice: &mut StdRng) -> Fault {
    match dice.random_range(0..100) {
        0..14 => kill(plan, "payer", dice),
        14..19 => kill(plan, "dispatcher", dice),
        19..23 => kill(plan, "retrier", dice),
        23..27 => kill(plan, "summarizer", dice),
        27..40 => freeze(plan, dice),
        40..43 => {
            Fault::RemoveReplica { stage: member(plan, any_stage(dice), dice), for_ms: dice.random_range(0..600) }
        }
        43..45 => Fault::AddReplica { stage: any_stage(dice).to_owned() },
        45 => Fault::RollingRestart,
        46..50 => Fault::KillRedis { for_ms: dice.random_range(0..400) },
        50..54 => Fault::CutRedis { bytes: dice.random_range(0..=64 * 1024), for_ms: dice.random_range(0..300) },
        54..57 => Fault::TurnBackRedis { for_ms: dice.random_range(50..800) },
        57..60 => Fault::FlushRedis,
        60 | 61 => Fault::FillRedis { for_ms: dice.random_range(200..900) },
        62 => Fault::FillRedisDisk { for_ms: dice.random_range(200..900) },
        63 => Fault::FreezeRedis { for_ms: dice.random_range(200..1000) },
        64 => Fault::DropRedisClients,
        65..70 => Fault::KillMySql { for_ms: dice.random_range(0..400) },
        70 => Fault::MySqlReadOnly { for_ms: dice.random_range(200..800) },
        71 => Fault::FreezeMySql { for_ms: dice.random_range(200..1000) },
        72 | 73 => Fault::DropMySqlClients,
        74..83 => way(dice),
        83..92 => Fault::Money { weather: weather(dice), for_ms: dice.random_range(200..1200) },
        92 => Fault::KillMoney { for_ms: dice.random_range(0..400) },
        93 | 94 => Fault::Stop { for_ms: dice.random_range(50..600) },
        95 => Fault::LoseEntry,
        96 => Fault::LoseConsumer,
        97 => Fault::LoseGroup,
        98 => Fault::PoisonEntry,
        _ if plan.load == Load::Sql => Fault::StrangeEntry,
        _ => Fault::LoadAgain,
    }
}

fn any_stage(dice: &mut StdRng) -> &'static str {
    STAGES[dice.random_range(0..STAGES.len())]
}

fn member(plan: &Plan, stage: &str, dice: &mut StdRng) -> String {
    let count = STAGES.iter().position(|name| *name == stage).map_or(1, |place| plan.replicas[place]);
    format!("{stage}-{}", dice.random_range(1..=count))
}

fn kill(plan: &Plan, stage: &str, dice: &mut StdRng) -> Fault {
    let stage = member(plan, stage, dice);
    Fault::KillStage { stage, for_ms: dice.random_range(0..600), renamed: dice.random_bool(0.5) }
}

/// Mostly a payer: it holds the most.
fn freeze(plan: &Plan, dice: &mut StdRng) -> Fault {
    let stage = match dice.random_range(0..13) {
        0..8 => "payer",
        8 | 9 => "retrier",
        10 | 11 => "dispatcher",
        _ => "summarizer",
    };
    Fault::FreezeStage { stage: member(plan, stage, dice), for_ms: dice.random_range(1000..2000) }
}

fn way(dice: &mut StdRng) -> Fault {
    let server = match dice.random_range(0..3) {
        0 => Server::Redis,
        1 => Server::MySql,
        _ => Server::Money,
    };
    let toxic = match dice.random_range(0..7) {
        0 => Toxic::Cut,
        1 => Toxic::Refuse,
        2 => Toxic::Delay { ms: dice.random_range(5..150) },
        3 => Toxic::ResetAfter { bytes: dice.random_range(1..4000) },
        4 | 5 => Toxic::DropAnswers,
        _ => Toxic::HalfOpen,
    };
    Fault::Way { server, toxic, for_ms: dice.random_range(100..800) }
}

fn weather(dice: &mut StdRng) -> Weather {
    const ALL: [Weather; 10] = [
        Weather::Lossy,
        Weather::Hanging,
        Weather::Late,
        Weather::Garbage,
        Weather::Storm,
        Weather::Failing,
        Weather::Slow,
        Weather::Refusing,
        Weather::Away,
        Weather::Unauthorized,
    ];
    ALL[dice.random_range(0..ALL.len())]
}
