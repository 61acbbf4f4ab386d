//! Faults on request: every way in which a money service is known to fail, as shares of the requests.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::{Dice, KeyId};

/// What a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// `POST …/<type>/charge`
    Charge,
    /// `GET …/charges/{key}`
    Lookup,
    /// `POST …/charges/{key}/cancel`
    Cancel,
}

/// A code for refusals and how often it is drawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefusalCode {
    /// `meta.errorCode`
    pub code: String,
    /// Relative to the other codes.
    #[serde(default = "one")]
    pub weight: f64,
}

fn one() -> f64 {
    1.0
}

impl FromStr for RefusalCode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (code, weight) = match text.split_once('=') {
            Some((code, weight)) => (code, weight.parse().map_err(|_| "weight is not a number")?),
            None => (text, 1.0),
        };
        Ok(Self { code: code.to_owned(), weight })
    }
}

/// The faults in force: flags at start (`--lose 0.1`), and the same names as JSON at `/admin/faults`.
///
/// Shares are between 0 and 1. Those from `fail_before` to `late` exclude each other and add up to at most 1;
/// `refuse` is drawn separately, so that a refusal's answer can be lost too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Every request takes this long (a charge is executing meanwhile)
    #[arg(long, default_value_t = 0.0)]
    pub latency_ms: f64,
    /// Plus a uniform share of this
    #[arg(long, default_value_t = 0.0)]
    pub jitter_ms: f64,
    /// Plus a lognormal tail with this median
    #[arg(long, default_value_t = 0.0)]
    pub tail_median_ms: f64,
    /// The sigma of the tail's logarithm
    #[arg(long, default_value_t = 1.0)]
    pub tail_sigma: f64,
    /// The tail's upper bound
    #[arg(long, default_value_t = 60_000.0)]
    pub tail_cap_ms: f64,

    /// Share of charges that are refused, recorded under their key
    #[arg(long, default_value_t = 0.0)]
    pub refuse: f64,
    /// Codes of refusals: CODE or CODE=WEIGHT, repeatable
    #[arg(long = "refuse-code", value_name = "CODE[=WEIGHT]", default_values_t = [default_refusal()])]
    pub refuse_codes: Vec<RefusalCode>,
    /// The same keys are refused each time, whatever the seed's sequence
    #[arg(long)]
    pub sticky_refusals: bool,

    /// Which kinds of request the shares below apply to
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Kind::Charge])]
    pub on: Vec<Kind>,
    /// Share answered with `fail_status`, not executed
    #[arg(long, default_value_t = 0.0)]
    pub fail_before: f64,
    /// Share answered with `fail_status`, executed
    #[arg(long, default_value_t = 0.0)]
    pub fail_after: f64,
    /// The status of both
    #[arg(long, default_value_t = 500)]
    pub fail_status: u16,
    /// Share answered 503, not executed
    #[arg(long, default_value_t = 0.0)]
    pub unavailable: f64,
    /// Share answered 429, not executed
    #[arg(long, default_value_t = 0.0)]
    pub too_many: f64,
    /// Retry-After of 429, 503 and the 409 of a key that is executing (none without)
    #[arg(long)]
    pub retry_after_s: Option<u64>,
    /// Share executed whose answer is lost: the connection is closed instead
    #[arg(long, default_value_t = 0.0)]
    pub lose: f64,
    /// Share whose connection is reset, not executed
    #[arg(long, default_value_t = 0.0)]
    pub reset: f64,
    /// Share never answered, not executed
    #[arg(long, default_value_t = 0.0)]
    pub hang_before: f64,
    /// Share never answered, executed
    #[arg(long, default_value_t = 0.0)]
    pub hang_after: f64,
    /// How long a hanging connection stays open
    #[arg(long, default_value_t = 30_000)]
    pub hang_ms: u64,
    /// Share executed and answered 200 with something that is not JSON
    #[arg(long, default_value_t = 0.0)]
    pub garbage: f64,
    /// Share executed whose answer ends in the middle
    #[arg(long, default_value_t = 0.0)]
    pub truncate: f64,
    /// Share executed whose answer is padded to `oversize_bytes`
    #[arg(long, default_value_t = 0.0)]
    pub oversize: f64,
    /// The size of a padded answer
    #[arg(long, default_value_t = 10 * 1024 * 1024)]
    pub oversize_bytes: usize,
    /// Share executed and answered byte by byte
    #[arg(long, default_value_t = 0.0)]
    pub drip: f64,
    /// The pause after each byte
    #[arg(long, default_value_t = 100)]
    pub drip_ms: u64,
    /// Share whose connection is closed first and which execute `late_ms` later, unless cancelled by then
    #[arg(long, default_value_t = 0.0)]
    pub late: f64,
    /// How much later
    #[arg(long, default_value_t = 2_000)]
    pub late_ms: u64,

    /// Answer 401 to everything
    #[arg(long)]
    pub unauthorized: bool,
    /// Accept connections and close them at once (admin paths stay reachable)
    #[arg(long)]
    pub away: bool,
}

fn default_refusal() -> RefusalCode {
    RefusalCode { code: "CUSTOMER_NOT_ELIGIBLE".to_owned(), weight: 1.0 }
}

impl std::fmt::Display for RefusalCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}", self.code, self.weight)
    }
}

impl Default for Faults {
    /// No faults. The flags' defaults are the only list of them.
    fn default() -> Self {
        #[derive(clap::Parser)]
        struct Flags {
            #[command(flatten)]
            faults: Faults,
        }
        <Flags as clap::Parser>::parse_from(["faults"]).faults
    }
}

/// What is done to one request instead of simply answering it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is a share of the same name in Faults")]
pub enum Fault {
    None,
    FailBefore,
    FailAfter,
    Unavailable,
    TooMany,
    Lose,
    Reset,
    HangBefore,
    HangAfter,
    Garbage,
    Truncate,
    Oversize,
    Drip,
    Late,
    Unauthorized,
}

impl Fault {
    /// Every fault, in the order of its number.
    pub const ALL: [Self; 15] = [
        Self::None,
        Self::FailBefore,
        Self::FailAfter,
        Self::Unavailable,
        Self::TooMany,
        Self::Lose,
        Self::Reset,
        Self::HangBefore,
        Self::HangAfter,
        Self::Garbage,
        Self::Truncate,
        Self::Oversize,
        Self::Drip,
        Self::Late,
        Self::Unauthorized,
    ];

    /// As in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::FailBefore => "fail_before",
            Self::FailAfter => "fail_after",
            Self::Unavailable => "unavailable",
            Self::TooMany => "too_many",
            Self::Lose => "lose",
            Self::Reset => "reset",
            Self::HangBefore => "hang_before",
            Self::HangAfter => "hang_after",
            Self::Garbage => "garbage",
            Self::Truncate => "truncate",
            Self::Oversize => "oversize",
            Self::Drip => "drip",
            Self::Late => "late",
            Self::Unauthorized => "unauthorized",
        }
    }
}

impl Faults {
    fn shares(&self) -> [(Fault, f64); 13] {
        [
            (Fault::FailBefore, self.fail_before),
            (Fault::FailAfter, self.fail_after),
            (Fault::Unavailable, self.unavailable),
            (Fault::TooMany, self.too_many),
            (Fault::Lose, self.lose),
            (Fault::Reset, self.reset),
            (Fault::HangBefore, self.hang_before),
            (Fault::HangAfter, self.hang_after),
            (Fault::Garbage, self.garbage),
            (Fault::Truncate, self.truncate),
            (Fault::Oversize, self.oversize),
            (Fault::Drip, self.drip),
            (Fault::Late, self.late),
        ]
    }

    /// Refuses shares outside 0..1, sums above 1, refusals without a code and a status that is not one.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn validate(&self) -> Result<(), String> {
        let mut sum = 0.0;
        for (fault, share) in self.shares() {
            if !(0.0..=1.0).contains(&share) {
                return Err(format!("{} must be between 0 and 1", fault.name()));
            }
            sum += share;
        }
        if sum > 1.0 + 1e-9 {
            return Err(format!("the shares of faults add up to {sum}, more than 1"));
        }
        if !(0.0..=1.0).contains(&self.refuse) {
            return Err("refuse must be between 0 and 1".to_owned());
        }
        let weights: f64 = self.refuse_codes.iter().map(|code| code.weight).sum();
        let weights_ok = self.refuse_codes.iter().all(|code| code.weight >= 0.0 && !code.code.is_empty());
        if !weights_ok || (self.refuse > 0.0 && (weights <= 0.0 || !weights.is_finite())) {
            return Err("refuse_codes need a code and a positive weight".to_owned());
        }
        if !(400..=599).contains(&self.fail_status) {
            return Err("fail_status must be between 400 and 599".to_owned());
        }
        let times = [self.latency_ms, self.jitter_ms, self.tail_median_ms, self.tail_sigma, self.tail_cap_ms];
        if times.iter().any(|time| !time.is_finite() || !(0.0..=3_600_000.0).contains(time)) {
            return Err("latencies must be between 0 and 3600000 ms".to_owned());
        }
        Ok(())
    }

    /// Draws what happens to one request.
    pub fn draw(&self, kind: Kind, dice: &mut Dice) -> Fault {
        if self.unauthorized {
            return Fault::Unauthorized;
        }
        if !self.on.contains(&kind) {
            return Fault::None;
        }
        let mut left = dice.unit();
        for (fault, share) in self.shares() {
            if left < share {
                return fault;
            }
            left -= share;
        }
        Fault::None
    }

    /// Draws whether a charge under `key` is refused, and with which code.
    pub fn draw_refusal(&self, key: KeyId, seed: u64, dice: &mut Dice) -> Option<&str> {
        if self.refuse <= 0.0 {
            return None;
        }
        let mut sticky = Dice::new(seed, key.bits());
        let dice = if self.sticky_refusals { &mut sticky } else { dice };
        if dice.unit() >= self.refuse {
            return None;
        }
        let weights: f64 = self.refuse_codes.iter().map(|code| code.weight).sum();
        let mut left = dice.unit() * weights;
        for code in &self.refuse_codes {
            if left < code.weight {
                return Some(&code.code);
            }
            left -= code.weight;
        }
        self.refuse_codes.last().map(|code| code.code.as_str())
    }

    /// Draws how long the request takes.
    pub fn draw_latency(&self, dice: &mut Dice) -> std::time::Duration {
        let mut ms = self.latency_ms;
        if self.jitter_ms > 0.0 {
            ms += self.jitter_ms * dice.unit();
        }
        if self.tail_median_ms > 0.0 {
            // Box-Muller; 1 - unit() is never 0.
            let normal = (-2.0 * (1.0 - dice.unit()).ln()).sqrt() * (std::f64::consts::TAU * dice.unit()).cos();
            ms += (self.tail_median_ms * (self.tail_sigma * normal).exp()).min(self.tail_cap_ms);
        }
        std::time::Duration::from_secs_f64(ms / 1000.0)
    }
}
