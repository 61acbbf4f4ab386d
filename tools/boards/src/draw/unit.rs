//! Values with their units, as Grafana writes them.

use chrono::DateTime;

/// Steps of a thousand of a number without a unit.
const SHORT: [&str; 4] = ["", " K", " Mil", " Bil"];
/// Steps of 1,024 of a number of bytes.
const BYTES: [&str; 4] = [" B", " KiB", " MiB", " GiB"];

/// A value in one of Grafana's units.
pub(super) fn value(unit: &str, value: f64) -> String {
    match unit {
        "s" => seconds(value),
        "ops" => format!("{} ops/s", stepped(value, 1000.0, SHORT)),
        "reqps" => format!("{} req/s", stepped(value, 1000.0, SHORT)),
        "percentunit" => format!("{}%", digits(value * 100.0)),
        "bytes" => stepped(value, 1024.0, BYTES),
        "dateTimeAsIso" => {
            let at = DateTime::from_timestamp_millis(value as i64);
            at.map_or_else(String::new, |at| at.format("%H:%M:%S").to_string())
        }
        _ => stepped(value, 1000.0, SHORT),
    }
}

fn seconds(value: f64) -> String {
    match value.abs() {
        0.0 => "0 s".to_owned(),
        at if at < 0.001 => format!("{} µs", digits(value * 1e6)),
        at if at < 1.0 => format!("{} ms", digits(value * 1e3)),
        at if at < 60.0 => format!("{} s", digits(value)),
        at if at < 3600.0 => format!("{} min", digits(value / 60.0)),
        at if at < 86_400.0 => format!("{} h", digits(value / 3600.0)),
        _ => format!("{} d", digits(value / 86_400.0)),
    }
}

fn stepped(value: f64, step: f64, names: [&str; 4]) -> String {
    let (mut value, mut at) = (value, 0);
    while value.abs() >= step && at + 1 < names.len() {
        value /= step;
        at += 1;
    }
    format!("{}{}", digits(value), names[at])
}

/// Three digits that count.
fn digits(value: f64) -> String {
    let text = match value.abs() {
        at if at >= 100.0 => format!("{value:.0}"),
        at if at >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    };
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    #[test]
    fn values_are_written_as_grafana_writes_them() {
        for (unit, value, expected) in [
            ("short", 0.0, "0"),
            ("short", 1234.0, "1.23 K"),
            ("short", 7_500_000.0, "7.5 Mil"),
            ("s", 0.02, "20 ms"),
            ("s", 90.0, "1.5 min"),
            ("bytes", 1536.0, "1.5 KiB"),
            ("percentunit", 0.5, "50%"),
            ("ops", 200.0, "200 ops/s"),
            ("dateTimeAsIso", 1000.0, "00:00:01"),
        ] {
            assert_eq!(super::value(unit, value), expected, "{unit} {value}");
        }
    }
}
