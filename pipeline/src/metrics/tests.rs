use super::*;

/// What a stage with everything exports before anything happened.
fn exposition() -> String {
    let recorder = recorder().unwrap();
    let needs = Needs { redis: true, money: true, pin: true, webhook: true };
    metrics::with_local_recorder(&recorder, || {
        let handles = Handles::new("payer", needs);
        handles.batch.record(3.0);
        handles.process.record(Duration::from_millis(20));
    });
    recorder.handle().render()
}

#[test]
fn series_that_are_known_in_advance_are_exported_with_0() {
    let text = exposition();
    for line in [
        "payout_stage_items_completed_total{stage=\"payer\",outcome=\"parked\"} 0",
        "payout_money_requests_total{kind=\"look_up\",verdict=\"not_seen\"} 0",
        "payout_dead_letters_dropped_total 0",
        "payout_money_breaker_state 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
}

#[test]
fn histograms_have_buckets_and_every_metric_its_help() {
    let text = exposition();
    assert!(!text.contains("quantile="), "a summary cannot be added up over replicas");
    assert!(text.contains("payout_stage_batch_items_bucket{stage=\"payer\",le=\"5\"} 1"), "{text}");
    for line in text.lines().filter(|line| line.starts_with("# TYPE ")) {
        let name = line.split(' ').nth(2).unwrap();
        assert!(text.contains(&format!("# HELP {name} ")), "{name}");
        assert!(METRICS.iter().any(|metric| metric.name == name), "{name} is not in the catalog");
    }
}

#[test]
fn names_follow_the_conventions() {
    for Metric { name, kind, help } in METRICS {
        assert!(name.starts_with("payout_") && help.ends_with('.'), "{name}");
        assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
        // promtool refuses a name that holds the word for a kind of metric.
        assert!(!["counter", "gauge", "histogram", "summary"].iter().any(|word| name.contains(word)), "{name}");
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
    }
}
