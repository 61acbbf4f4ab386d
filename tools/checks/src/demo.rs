//! The targets that the compose file loads: the same each time, and small enough to stand in the repository.

use std::fmt::Write as _;

use crate::Made;

const TARGETS: u64 = 2_000;
/// Texts that a CSV reader has to get right.
const REASONS: [&str; 4] = ["Welcome back", "\"Spring event, second week\"", "봄 이벤트", "\"a \"\"thank you\"\"\""];

/// Both files.
pub fn files() -> Vec<Made> {
    let file = |name: &str, text| Made { path: format!("deploy/demo/{name}.csv"), text };
    vec![file("points", points()), file("vouchers", vouchers())]
}

fn points() -> String {
    let mut text = String::from("customer_uid,amount,reason,merchant_code,merchant_brand_code,expired_at\n");
    for n in 0..TARGETS {
        let _ = writeln!(text, "{}", columns(n, mix(n)));
    }
    text
}

fn vouchers() -> String {
    let mut text = String::from(
        "customer_uid,amount,reason,merchant_code,merchant_brand_code,expired_at,voucher_number,is_withdrawal\n",
    );
    for n in 0..TARGETS {
        let random = mix(n ^ 1 << 40);
        let _ = writeln!(text, "{},V{n:010},{}", columns(n, random), random.is_multiple_of(4));
    }
    text
}

/// 1.00 to 5,000.99; a tenth of them with hundredths.
fn columns(n: u64, random: u64) -> String {
    let customer = 1_000_000_000 + n * 11 + random % 11;
    let whole = 1 + (random >> 8) % 5_000;
    let amount = match random.is_multiple_of(10) {
        true => format!("{whole}.{:02}", (random >> 40) % 100),
        false => whole.to_string(),
    };
    let reason = REASONS[(random >> 20) as usize % REASONS.len()];
    let merchant = (random >> 24) % 20;
    format!("{customer},{amount},{reason},M{merchant:04},B{:03},2099-12-31", merchant % 5)
}

/// A fixed shuffle of 64 bits (the finalizer of splitmix64): no generator to seed, no state.
fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}
