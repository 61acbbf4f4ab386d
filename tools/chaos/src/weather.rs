//! How the money service behaves.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A late charge executes this long after its connection was closed; the judge waits for it.
pub const LATE_MS: u64 = 600;
/// A request that is never answered keeps its connection this long: far above `money.timeout`.
const HANG_MS: u64 = 900;

/// A behaviour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weather {
    /// It answers, in some 10 to 40 ms, and refuses a few for good.
    Fair,
    /// A little of everything, all the time.
    Mixed,
    /// Many answers are lost after the execution.
    Lossy,
    /// Many requests are never answered, half of them executed.
    Hanging,
    /// Many execute after their client has given up.
    Late,
    /// Answers that are not JSON, end in the middle, or are far too large.
    Garbage,
    /// 429.
    Storm,
    /// 503 before, 500 after the execution.
    Failing,
    /// Slower than the deadline, often.
    Slow,
    /// Many refusals.
    Refusing,
    /// Nobody there.
    Away,
    /// It does not know our token.
    Unauthorized,
}

impl Weather {
    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fair => "money fair",
            Self::Mixed => "money: a little of everything",
            Self::Lossy => "money loses answers",
            Self::Hanging => "money hangs",
            Self::Late => "money executes late",
            Self::Garbage => "money answers garbage",
            Self::Storm => "money answers 429",
            Self::Failing => "money answers 500 and 503",
            Self::Slow => "money slow",
            Self::Refusing => "money refuses",
            Self::Away => "money away",
            Self::Unauthorized => "money rejects our token",
        }
    }

    /// As the sandbox takes it.
    pub fn faults(self) -> Value {
        let mut faults = json!({
            "latency_ms": 5, "jitter_ms": 25, "refuse": 0.02, "late_ms": LATE_MS, "hang_ms": HANG_MS,
            "fail_status": 500, "drip_ms": 40, "oversize_bytes": 200_000, "on": ["charge"],
        });
        let more = match self {
            Self::Fair => json!({}),
            Self::Mixed => json!({
                "fail_before": 0.03, "fail_after": 0.03, "unavailable": 0.02, "too_many": 0.03, "lose": 0.03,
                "reset": 0.02, "hang_before": 0.01, "hang_after": 0.01, "garbage": 0.01, "truncate": 0.01,
                "late": 0.02, "on": ["charge", "lookup", "cancel"],
            }),
            Self::Lossy => json!({"lose": 0.5, "on": ["charge", "lookup", "cancel"]}),
            Self::Hanging => json!({"hang_before": 0.3, "hang_after": 0.3}),
            Self::Late => json!({"late": 0.6}),
            Self::Garbage => json!({"garbage": 0.2, "truncate": 0.2, "oversize": 0.05, "drip": 0.1}),
            Self::Storm => json!({"too_many": 0.8, "on": ["charge", "lookup", "cancel"]}),
            Self::Failing => json!({"fail_before": 0.25, "fail_after": 0.25, "unavailable": 0.25}),
            Self::Slow => json!({"latency_ms": 60, "tail_median_ms": 100, "tail_cap_ms": 1500}),
            Self::Refusing => json!({"refuse": 0.5}),
            Self::Away => json!({"away": true}),
            Self::Unauthorized => json!({"unauthorized": true}),
        };
        if let (Value::Object(all), Value::Object(more)) = (&mut faults, more) {
            all.extend(more);
        }
        faults
    }
}
