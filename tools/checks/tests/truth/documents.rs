//! README and documents: what they name exists.

use std::collections::BTreeSet;

use pipeline::metrics::METRICS;

use crate::support;

const DOCUMENTS: [&str; 9] = [
    "README.md",
    "docs/metrics.md",
    "docs/money.md",
    "docs/operating.md",
    "docs/result-file.md",
    "docs/runbooks.md",
    "docs/targets-file.md",
    "docs/webhook.md",
    "CHANGELOG.md",
];

/// What stands between single backquotes, code blocks aside.
fn quoted(text: &str) -> Vec<String> {
    let prose: String = text.split("```").step_by(2).collect();
    prose.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn every_metric_is_documented_once_and_no_other_is() {
    let text = support::text("docs/metrics.md");
    let rows: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let documented: BTreeSet<&str> = rows.iter().copied().collect();
    assert_eq!(documented.len(), rows.len(), "one is documented twice");
    let recorded = crate::alerts::recorded();
    let known: BTreeSet<&str> =
        METRICS.iter().map(|metric| metric.name).chain(recorded.iter().map(String::as_str)).collect();
    assert_eq!(documented, known);
}

#[test]
fn the_labels_of_every_metric_and_their_values_are_those_that_are_exported() {
    let text = support::text("docs/metrics.md");
    for line in text.lines().filter(|line| line.starts_with("| `payout_")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, name, kind, labels, tells, _] = cells[..] else { continue };
        let name = name.trim_matches('`');
        let series = crate::exposition::series();
        let histogram = series.get(&format!("{name}_bucket"));
        assert_eq!(kind == "histogram", histogram.is_some(), "{name}");
        let found = histogram.or_else(|| series.get(name)).unwrap_or_else(|| panic!("{name} is not exported"));
        let documented: BTreeSet<String> = quoted(labels).into_iter().collect();
        let exported: BTreeSet<String> = found.keys().filter(|label| *label != "le").cloned().collect();
        assert_eq!(documented, exported, "labels of {name}");
        let values = quoted(tells);
        for label in
            ["outcome", "class", "result", "reason", "resolved", "verdict", "kind", "state", "status", "dependency"]
        {
            for value in found.get(label).into_iter().flatten() {
                assert!(values.contains(value), "{name}: {label} may be {value}, which is not told");
            }
        }
    }
}

#[test]
fn every_variable_that_is_named_is_read() {
    let known = pipeline::config::variables();
    for document in DOCUMENTS {
        for name in
            quoted(&support::text(document)).iter().filter(|name| name.starts_with("PAYOUT_") && !name.contains('<'))
        {
            assert!(known.contains(name), "{document}: nothing reads {name}");
        }
    }
}

#[test]
fn every_key_that_is_named_is_in_the_configuration() {
    let defaults = support::defaults();
    let is_word = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    for document in DOCUMENTS {
        for name in quoted(&support::text(document)) {
            let Some((section, key)) = name.split_once('.').filter(|(section, key)| is_word(section) && is_word(key))
            else {
                continue;
            };
            let Some(keys) = defaults.get(section).and_then(toml::Value::as_table) else { continue };
            assert!(keys.contains_key(key), "{document}: there is no {name}");
        }
    }
}

#[test]
fn the_rule_over_timers_in_the_readme_is_the_one_that_is_checked() {
    let text = support::text("README.md");
    let sends = pipeline::config::SENDS_PER_DELIVERY;
    assert!(text.contains(&format!("{sends} × money.timeout + store.write_time + money.limiter_wait")));
}

#[test]
fn every_path_that_is_linked_or_mapped_exists() {
    for document in DOCUMENTS {
        let folder = document.rsplit_once('/').map_or("", |(folder, _)| folder);
        for link in support::text(document).split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap_or_default();
            let there = link.starts_with("http") || support::path(folder).join(target).exists();
            assert!(there, "{document}: {link}");
        }
    }
    let readme = support::text("README.md");
    let map = readme.split("## Map of the code").nth(1).and_then(|rest| rest.split("```").nth(1)).expect("the map");
    let (mut folder, mut bases, mut mapped) = ("", Vec::new(), 0);
    for line in map.lines().filter(|line| !line.trim().is_empty()) {
        // A line that begins far to the right goes on with the text of the one above.
        let goes_on = line.starts_with("          ");
        let (names, tells) =
            if goes_on { ("", line) } else { line.trim_start().split_once("  ").unwrap_or((line, "")) };
        let names: Vec<&str> = names.split_whitespace().map(|name| name.trim_end_matches(',')).collect();
        if !goes_on {
            if !line.starts_with(' ') {
                folder = "";
            }
            bases = names.iter().map(|name| format!("{folder}{name}")).collect();
            if !line.starts_with(' ') {
                folder = names.first().copied().unwrap_or_default();
            }
        }
        for base in bases.iter().filter(|_| !goes_on) {
            assert!(support::path(base).exists(), "the map shows {base}");
            mapped += 1;
        }
        let files = tells
            .split(|c: char| !(c.is_ascii_alphanumeric() || "_./".contains(c)))
            .filter(|word| word.ends_with(".rs"));
        for file in files {
            let there = bases.iter().any(|base| {
                let folder = base.rsplit_once('/').map_or("", |(folder, _)| folder);
                [format!("{folder}/{file}"), format!("{folder}/src/{file}")]
                    .iter()
                    .any(|path| support::path(path).exists())
            });
            assert!(
                there || support::path(&format!("pipeline/src/{file}")).exists(),
                "the map speaks of {file} at {bases:?}"
            );
            mapped += 1;
        }
    }
    assert!(mapped > 25, "{mapped} paths were looked at");
}

#[test]
fn the_file_of_targets_is_told_as_the_loader_reads_it() {
    let text = support::text("docs/targets-file.md");
    let rows = |from: &str| -> Vec<&str> {
        let table = text.split(from).nth(1).expect(from).split("\n\n").next().unwrap_or_default();
        table.lines().skip(2).collect()
    };
    let names = |rows: &[&str]| -> Vec<String> {
        rows.iter().flat_map(|row| quoted(row.split('|').nth(1).unwrap_or_default())).collect()
    };
    // `Self::Variant => value,`, by variant.
    let arms = |file: &str, value: fn(&str) -> Option<&str>| -> Vec<(String, String)> {
        let source = support::text(file);
        let arms = source.lines().filter_map(|line| line.trim().strip_prefix("Self::")?.split_once(" => "));
        arms.filter_map(|(variant, rest)| Some((variant.to_owned(), value(rest.trim_end_matches(','))?.to_owned())))
            .collect()
    };
    let text_arm: fn(&str) -> Option<&str> = |value| value.strip_prefix('"')?.strip_suffix('"');
    let number_arm: fn(&str) -> Option<&str> = |value| value.parse::<u32>().ok().map(|_| value);

    let columns = rows("| column | ");
    let told = names(&columns);
    let known = arms("stages/loader/src/csv/header.rs", text_arm);
    assert_eq!(told.iter().collect::<BTreeSet<_>>(), known.iter().map(|(_, name)| name).collect());
    assert_eq!(told.len(), known.len());
    let mut limits = 0;
    for (variant, limit) in arms("stages/loader/src/csv/header.rs", number_arm) {
        let (_, name) = known.iter().find(|(column, _)| *column == variant).expect("a column");
        let row = columns.iter().find(|row| row.starts_with(&format!("| `{name}`"))).expect("its row");
        if let Some(told) = row.split("at most ").nth(1).filter(|rest| rest.contains(" characters")) {
            assert!(told.starts_with(&format!("{limit} characters")), "{row}: {limit}");
            limits += 1;
        }
    }
    assert_eq!(limits, 4, "texts whose length is told");
    let codes: BTreeSet<String> = names(&rows("| code | ")).into_iter().collect();
    let ours = arms("stages/loader/src/csv/cell.rs", text_arm);
    assert_eq!(codes, ours.into_iter().map(|(_, code)| code).collect());
}

#[test]
fn the_map_leaves_no_crate_out() {
    let readme = support::text("README.md");
    for folder in ["stages", "tools"] {
        for entry in std::fs::read_dir(support::path(folder)).unwrap().flatten() {
            if entry.path().join("Cargo.toml").exists() {
                let name = format!("{folder}/{}/", entry.file_name().to_string_lossy());
                assert!(readme.contains(&name), "the map of the README lacks {name}");
            }
        }
    }
}

#[test]
fn every_command_that_a_document_names_is_one_that_promoctl_has() {
    // Some commands keep their arguments beside what they do.
    let cli = sources("tools/promoctl/src");
    for (document, least) in [("README.md", 10), ("docs/operating.md", 40), ("docs/runbooks.md", 10)] {
        let text = support::text(document);
        // What is quoted, and what is typed in an example.
        let typed = text.lines().filter_map(|line| line.strip_prefix("$ ").map(str::to_owned));
        let commands = quoted(&text).into_iter().chain(typed);
        let commands = commands.filter_map(|command| command.strip_prefix("promoctl ").map(str::to_owned));
        let mut count = 0;
        for command in commands {
            check_command(document, &cli, &command);
            count += 1;
        }
        assert!(count > least, "{document}: {count} commands were looked at");
    }
}

fn check_command(document: &str, cli: &str, command: &str) {
    let is_word = |word: &&str| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    let words = command.split(' ').take_while(|word| is_word(word) && !word.starts_with('-'));
    for word in words {
        let variant: String = word.split('-').map(|part| part[..1].to_ascii_uppercase() + &part[1..]).collect();
        let there = cli.lines().any(|line| {
            line.trim()
                .strip_prefix(variant.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with([',', '(', ' ', '{']))
        });
        assert!(there, "{document}: promoctl {command}: there is no {word}");
    }
    for flag in command.split(['[', ']', ' ']).filter_map(|word| word.strip_prefix("--")) {
        let field = flag.replace('-', "_");
        let there = cli.contains(&format!("{field}:")) || cli.contains(&format!("long = \"{flag}\""));
        assert!(there, "{document}: promoctl {command}: there is no --{flag}");
    }
}

/// All Rust files below a folder, one behind the other.
fn sources(folder: &str) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(support::path(folder)).unwrap().map(Result::unwrap) {
        let name = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if entry.file_type().unwrap().is_dir() {
            text += &sources(&name);
        } else if name.ends_with(".rs") {
            text += &support::text(&name);
        }
    }
    text
}

#[test]
fn the_numbers_that_are_told_are_the_defaults() {
    let (defaults, readme) = (support::defaults(), support::text("README.md"));
    let number = |section: &str, key: &str| defaults[section][key].as_integer().unwrap();
    let grouped = |number: i64| format!("{},{:03}", number / 1000, number % 1000);
    let [kept, intents, outcomes] =
        [("store", "connections"), ("payer", "intent_connections"), ("payer", "outcome_connections")]
            .map(|(s, k)| number(s, k));
    let sum = kept + intents + outcomes;
    assert!(
        readme.contains(&format!("at most {sum} connections to MySQL by default ({kept} + {intents} + {outcomes}:"))
    );
    assert!(support::text("compose.yaml").contains(&format!("A stage keeps {sum} connections at most")));
    assert!(readme.contains(&format!("`money.concurrency` ({})", number("money", "concurrency"))));
    assert!(readme.contains(&format!("`dispatcher.window`, {}", grouped(number("dispatcher", "window")))));
    assert!(readme.contains(&format!("`payer.in_flight`, {} each", grouped(number("payer", "in_flight")))));
    let config = support::load(support::STAGES[1].1, &paying()).unwrap();
    let wait = config.limiter_wait().as_millis() / 100;
    assert!(readme.contains(&format!("write time: {}.{} s", wait / 10, wait % 10)), "{:?}", config.limiter_wait());
}

/// What a payer needs beside the defaults.
fn paying() -> std::collections::BTreeMap<String, String> {
    let of = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let named = [of("DATABASE_URL_FILE", "-"), of("REDIS_URL_FILE", "-"), of("MONEY_TOKEN_FILE", "-")];
    named.into_iter().chain([of("MONEY_URL", "http://money")]).collect()
}

#[test]
fn the_readme_stays_readable() {
    // What is written by hand: the table of the benchmark is made.
    let readme = support::text("README.md");
    let (before, rest) = readme.split_once("<!-- bench: begin -->").unwrap();
    let (_, after) = rest.split_once("<!-- bench: end -->").unwrap();
    assert!(before.lines().count() + after.lines().count() <= 350);
}
