use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::build::build;
use super::known::{DEFAULTS, KEYS};
use super::*;

const ALL: Needs = Needs { redis: true, money: true, pin: true, webhook: true };
const CANARY: &str = "c4nary-Pa55word";

/// Variables that are set.
type Set<'a> = &'a [(&'a str, &'a str)];

/// What a payer needs, and `more` over it.
fn environment(more: Set<'_>) -> Environment {
    let url = format!("mysql://app:{CANARY}@db:3306/payout");
    let redis = format!("redis://:{CANARY}@cache:6379/0");
    let base =
        [("DATABASE_URL", &*url), ("REDIS_URL", &redis), ("MONEY_URL", "http://money:1"), ("MONEY_TOKEN", CANARY)];
    let base = base.iter().chain([&("PAYOUT_CONSUMER_NAME", "here")]);
    base.chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn load(more: Set<'_>) -> Result<Config, Faults> {
    Config::load(ALL, None, &environment(more))
}

fn load_file(file: &Path, more: Set<'_>) -> Result<Config, Faults> {
    Config::load(ALL, Some(file), &environment(more))
}

/// A file of its own for a test; it goes with the temporary folder of the system.
fn file(name: &str, content: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("payout-config-{}-{name}", std::process::id()));
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

#[test]
fn the_defaults_are_complete_but_for_the_addresses() {
    let config = load(&[]).unwrap();
    assert_eq!(config.time_zone, chrono_tz::Asia::Seoul);
    assert_eq!((config.money.timeout, config.money.max_rps), (Duration::from_secs(5), 1000));
    assert_eq!((config.payer.batch, config.dispatcher.window), (500, 40_000));
    assert_eq!(config.limiter_wait(), Duration::from_millis(14_700));
    let names: Vec<String> =
        Config::load(ALL, None, &Environment::new()).unwrap_err().0.into_iter().map(|fault| fault.advice).collect();
    assert_eq!(
        names,
        ["DATABASE_URL", "REDIS_URL", "MONEY_URL", "MONEY_TOKEN"].map(|n| format!("Set {n} or {n}_FILE."))
    );
}

#[test]
fn what_replicas_must_agree_on_are_keys_that_exist_and_no_secrets() {
    let config = load(&[]).unwrap();
    let (known, _) = build(ALL, None, &environment(&[]));
    let agreed = config.agreed(ALL);
    for (key, value) in &agreed {
        let (section, name) = key.split_once('.').unwrap();
        let defaults: toml::Table = toml::from_str(DEFAULTS).unwrap();
        assert!(defaults[section].as_table().unwrap().contains_key(name), "there is no {key}");
        assert!(!value.contains(CANARY), "{key}");
    }
    assert_eq!((agreed["money.timeout"].as_str(), agreed["money.url"].as_str()), ("5s", "http://money:1"));
    assert_eq!(agreed["money.idempotent"], "true");
    assert!(!config.agreed(Needs::default()).contains_key("money.url"));
    assert_eq!(config.fingerprint(ALL), known.fingerprint(ALL));
    let same =
        load(&[("PAYOUT_MONEY_TIMEOUT", "5000ms"), ("PAYOUT_CONSUMER_NAME", "there"), ("PAYOUT_LOG_FILTER", "debug")]);
    assert_eq!(
        same.unwrap().fingerprint(ALL),
        config.fingerprint(ALL),
        "written differently, or different for a reason"
    );
    let other = load(&[("PAYOUT_PAYER_BATCH", "499")]).unwrap();
    assert_ne!(other.fingerprint(ALL), config.fingerprint(ALL));
}

#[test]
fn a_stage_needs_no_more_than_it_uses() {
    let database = Environment::from([("DATABASE_URL".to_owned(), "mysql://u@h/d".to_owned())]);
    let config = Config::load(Needs::default(), None, &database).unwrap();
    assert!(config.redis_url.is_empty() && config.money.token.is_empty());
    let mut unused = database.clone();
    unused.insert("MONEY_TOKEN_FILE".to_owned(), "/nowhere".to_owned());
    assert!(Config::load(Needs::default(), None, &unused).is_ok(), "a secret that is not needed is not read");
}

#[test]
fn every_fault_is_named_at_once_with_place_and_advice_and_without_secrets() {
    let bad = [
        ("DATABASE_URL", "postgres://app:c4nary-Pa55word@db/payout", "begins with postgres://"),
        ("REDIS_URL", "c4nary-Pa55word", "not a URL (not shown)"),
        ("MONEY_URL", "https://c4nary-Pa55word@money", "credentials in it"),
        ("MONEY_TOKEN", "c4nary-Pa55word and more", "cannot carry"),
        ("PAYOUT_METRICS_ADDR", "9464", "host:port"),
        ("PAYOUT_CONSUMER_NAME", "retry", "not `retry` or `held`"),
        ("PAYOUT_MONEY_TIMEOUT", "5", "a duration from 10ms to 10m. Write it with its unit"),
        ("PAYOUT_MONEY_MAX_RPS", "-1", "from 0 to 1000000"),
        ("PAYOUT_MONEY_LOOKUP", "yes", "true or false"),
        ("PAYOUT_SUMMARIZER_FLUSH_INTERVAL", "6s", "from 50ms to 5s"),
        ("PAYOUT_TIME_ZONE", "Seoul", "IANA"),
        ("PAYOUT_LOG_FILTER", "inof", "a level"),
        ("PAYOUT_PIN_KEY_FILE", "/nowhere", "can be read"),
        ("PAYOUT_DISPATCHER_WINDOW", "40_000", "whole number"),
    ];
    let faults = load(&bad.map(|(name, value, _)| (name, value))).unwrap_err();
    let text = faults.to_string();
    assert_eq!(faults.0.len(), bad.len(), "{text}");
    for (name, _, expected) in bad {
        let fault =
            faults.0.iter().find(|fault| fault.place.contains(name)).unwrap_or_else(|| panic!("{name}: {text}"));
        assert!(fault.to_string().contains(expected), "{fault}");
        assert!(!fault.advice.is_empty(), "{fault}");
    }
    assert!(!text.contains("c4nary") && text.starts_with("14 faults"), "{text}");
}

#[test]
fn a_variable_goes_before_the_file_and_the_file_before_the_default() {
    let file = file("layers", "[money]\nmax_rps = 7\ntimeout = \"2s\"\nfinal_error_codes = [\"A\", \"B\"]\n");
    let config = load_file(&file, &[("PAYOUT_MONEY_MAX_RPS", "0"), ("PAYOUT_MONEY_TIMEOUT", "")]).unwrap();
    assert_eq!(config.money.max_rps, 0);
    assert_eq!(config.money.timeout, Duration::from_secs(2), "an empty variable counts as not set");
    assert_eq!(config.money.final_error_codes, ["A", "B"]);
    assert_eq!(config.retry.max_attempts, 5);
    let dump = config.dump();
    for line in [
        "max_rps = 0 # environment variable PAYOUT_MONEY_MAX_RPS".to_owned(),
        format!("timeout = \"2s\" # {} line 3", file.display()),
        "max_attempts = 5 # default".to_owned(),
    ] {
        assert!(dump.lines().any(|found| found == line), "{line} in\n{dump}");
    }
    let named = [("PAYOUT_CONFIG_FILE", file.to_str().unwrap()), ("PAYOUT_MONEY_FINAL_ERROR_CODES", " X ,Y,")];
    let config = load(&named).unwrap();
    assert_eq!((config.money.max_rps, config.money.final_error_codes), (7, vec!["X".to_owned(), "Y".to_owned()]));
}

#[test]
fn a_fault_in_a_file_names_its_line_and_an_unknown_key_the_nearest_one() {
    for (content, place, says) in [
        ("[money]\ntimout = \"5s\"\n", "line 2", "Did you mean money.timeout?"),
        ("\n[mony]\nurl = \"x\"\n", "line 3", "Did you mean money.url?"),
        ("[retry]\ntick = 5\n", "line 2: retry.tick", "found 5; expected a duration"),
        ("[money]\nmax_rps = \"5\"\n", "line 2: money.max_rps", "whole number"),
        ("money = 5\n", "line 1", "the unknown key money"),
        ("[money\n", "line 1", "not TOML"),
        ("[other]\nwhatever_it_is = 5\n", "line 2", "Remove it."),
    ] {
        let file = file("faults", content);
        let faults = load_file(&file, &[]).unwrap_err();
        let text = faults.to_string();
        assert!(faults.0.len() == 1 && text.contains(place) && text.contains(says), "{content}: {text}");
    }
    let missing = load_file(Path::new("/nowhere.toml"), &[]).unwrap_err();
    assert!(missing.to_string().contains("cannot be read"), "{missing}");
}

#[test]
fn an_unknown_variable_only_warns() {
    let config = load(&[("PAYOUT_MONEY_TIMOUT", "5s"), ("PAYOUT_PAYER_SERVICE_HOST", "10.0.0.1")]).unwrap();
    let said = |text: &str| config.warnings.iter().any(|warning| warning.contains(text));
    assert!(said("PAYOUT_MONEY_TIMOUT is not read by any stage; did you mean PAYOUT_MONEY_TIMEOUT?"));
    assert!(said("PAYOUT_PAYER_SERVICE_HOST"));
}

#[test]
fn timers_that_leave_an_entry_no_time_are_refused_with_both_keys() {
    let (timeout, visibility) = ("PAYOUT_MONEY_TIMEOUT", "PAYOUT_RETRY_VISIBILITY_TIMEOUT");
    let (sweep, block) = ("PAYOUT_SUMMARIZER_SWEEP_INTERVAL", "PAYOUT_PAYER_BLOCK");
    let accepted: [Set<'_>; 5] = [
        &[(visibility, "2s"), (timeout, "500ms"), (sweep, "3s")],
        &[(timeout, "9s")],
        &[(visibility, "1s"), (timeout, "150ms")],
        &[("PAYOUT_RETRY_BACKOFF_BASE", "50ms"), ("PAYOUT_RETRY_BACKOFF_CAP", "200ms")],
        &[("PAYOUT_DISPATCHER_WINDOW", "100")],
    ];
    for set in accepted {
        assert!(load(set).is_ok(), "{set:?}: {:?}", load(set));
    }
    let refused: [(Set<'_>, [&str; 2]); 8] = [
        (&[(timeout, "10s")], [timeout, "retry.visibility_timeout"]),
        (&[(visibility, "2s"), (timeout, "534ms")], [timeout, visibility]),
        (&[(visibility, "60s")], [visibility, "summarizer.sweep_interval"]),
        (&[(sweep, "30s")], ["retry.visibility_timeout", sweep]),
        (&[(block, "5s")], [block, "redis.response_timeout"]),
        (&[("PAYOUT_RETRY_TICK", "1m")], ["PAYOUT_RETRY_TICK", "health.live_within"]),
        (&[("PAYOUT_RETRY_BACKOFF_BASE", "2m")], ["PAYOUT_RETRY_BACKOFF_BASE", "retry.backoff_cap"]),
        (&[("PAYOUT_PAYER_IN_FLIGHT", "499")], ["payer.batch", "PAYOUT_PAYER_IN_FLIGHT"]),
    ];
    for (set, names) in refused {
        let faults = load(set).unwrap_err();
        let fault = &faults.0[0];
        assert!(faults.0.len() == 1 && names.iter().all(|name| fault.place.contains(name)), "{set:?}: {faults}");
    }
}

#[test]
fn timers_that_leave_little_are_warned_of() {
    let warnings = |set: Set<'_>| load(set).unwrap().warnings.join("\n");
    let (visibility, sweep) =
        (("PAYOUT_RETRY_VISIBILITY_TIMEOUT", "15401ms"), ("PAYOUT_SUMMARIZER_SWEEP_INTERVAL", "1h"));
    let enough = warnings(&[visibility, sweep]);
    assert!(!enough.contains("visibility_timeout") && !enough.contains("payer.block"), "{enough}");
    let little =
        warnings(&[visibility, sweep, ("PAYOUT_MONEY_LIMITER_WAIT", "1ms"), ("PAYOUT_STORE_WRITE_TIME", "350ms")]);
    assert!(little.contains("retry.visibility_timeout leaves 51ms"), "{little}");
    let long = warnings(&[
        ("PAYOUT_SHUTDOWN_GRACE", "6s"),
        ("PAYOUT_PAYER_BLOCK", "7s"),
        ("PAYOUT_REDIS_RESPONSE_TIMEOUT", "8s"),
    ]);
    assert!(long.contains("payer.block 7s is longer than shutdown.grace 6s"), "{long}");
}

#[test]
fn a_key_ends_earlier_where_clocks_are_set_back() {
    let retention = &[("PAYOUT_MONEY_KEY_RETENTION", "3h"), ("PAYOUT_MONEY_KEY_RETENTION_MARGIN", "1h")];
    let lifetime =
        |zone| load(&[retention[0], retention[1], ("PAYOUT_TIME_ZONE", zone)]).map(|config| config.key_lifetime());
    let hours = |hours: u64| Duration::from_secs(hours * 3600);
    assert_eq!(lifetime("Asia/Seoul").unwrap(), hours(2));
    assert_eq!(lifetime("Europe/Berlin").unwrap(), hours(1));
    // And a row looks so much older where they are set forward: it is left to a person that much later.
    let unanswered_for = |zone| load(&[("PAYOUT_TIME_ZONE", zone)]).map(|config| config.unanswered_for());
    assert_eq!(unanswered_for("Asia/Seoul").unwrap(), hours(1));
    assert_eq!(unanswered_for("Europe/Berlin").unwrap(), hours(3));
    let nothing_left =
        load(&[("PAYOUT_MONEY_KEY_RETENTION", "2h"), retention[1], ("PAYOUT_TIME_ZONE", "Europe/Berlin")]);
    assert!(nothing_left.unwrap_err().to_string().contains("money.key_retention_margin 1h and money.key_retention 2h"));
}

#[test]
fn a_money_that_does_not_honour_keys_has_no_cancel_and_is_looked_up_late_enough() {
    let weak: Set<'_> = &[("PAYOUT_MONEY_IDEMPOTENT", "false")];
    let text = load(weak).unwrap_err().to_string();
    assert!(text.contains("cannot be burnt") && text.contains("must not overtake"), "{text}");
    let looked_up = [weak[0], ("PAYOUT_MONEY_CANCEL", "false"), ("PAYOUT_RETRY_BACKOFF_BASE", "10s")];
    assert!(!load(&looked_up).unwrap().money.idempotent);
    let neither = [weak[0], ("PAYOUT_MONEY_CANCEL", "false"), ("PAYOUT_MONEY_LOOKUP", "false")];
    assert!(load(&neither).is_ok(), "nothing overtakes where nothing is looked up");
}

#[test]
fn a_secret_can_stand_in_a_file_of_its_own() {
    let token = file("token", &format!("  {CANARY}x\n"));
    let path = token.to_str().unwrap();
    assert_eq!(
        load(&[("MONEY_TOKEN", ""), ("MONEY_TOKEN_FILE", path)]).unwrap().money.token.expose(),
        format!("{CANARY}x")
    );
    for (set, says) in [
        ([("MONEY_TOKEN", "x"), ("MONEY_TOKEN_FILE", path)], "both set"),
        ([("MONEY_TOKEN", ""), ("MONEY_TOKEN_FILE", "/nowhere")], "cannot be read"),
        ([("MONEY_TOKEN", ""), ("MONEY_TOKEN_FILE", file("empty", " \n").to_str().unwrap())], "is empty"),
    ] {
        let text = load(&set).unwrap_err().to_string();
        assert!(text.contains("MONEY_TOKEN_FILE") && text.contains(says), "{text}");
    }
    fs::set_permissions(&token, fs::Permissions::from_mode(0o644)).unwrap();
    let config = load(&[("MONEY_TOKEN", ""), ("MONEY_TOKEN_FILE", path)]).unwrap();
    assert!(config.warnings.iter().any(|warning| warning.contains("readable by every user")), "{:?}", config.warnings);
}

#[test]
fn a_pin_key_that_others_can_read_is_refused() {
    let key = file("pin", &format!("{}\n", "0f".repeat(32)));
    let set = [("PAYOUT_PIN_KEY_FILE", key.to_str().unwrap())];
    assert_eq!(load(&set).unwrap().pin_key.unwrap().expose(), &[0x0f; 32]);
    for mode in [0o644, 0o640, 0o604] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        let text = load(&set).unwrap_err().to_string();
        assert!(text.contains(&format!("mode {mode:04o}")) && text.contains("chmod 400"), "{text}");
    }
    let short = file("short", "0f0f");
    let text = load(&[("PAYOUT_PIN_KEY_FILE", short.to_str().unwrap())]).unwrap_err().to_string();
    assert!(text.contains("64 hexadecimal digits") && !text.contains("0f0f"), "{text}");
}

#[test]
fn a_webhook_goes_out_encrypted_and_signed_or_not_at_all() {
    let (url, secret) = ("PAYOUT_WEBHOOK_URL", "PAYOUT_WEBHOOK_SECRET");
    let good = format!("whsec_{}", "0badc0de".repeat(5) + "0w==");
    let path = format!("https://hooks.example.com/{CANARY}");
    let config = load(&[(url, &path), (secret, &good)]).unwrap();
    assert_eq!((config.webhook.url.expose(), config.webhook.events.len()), (path.as_str(), 3));
    for shown in [format!("{config:?}"), config.dump().to_owned()] {
        assert!(!shown.contains(CANARY) && !shown.contains("0badc0de"), "{shown}");
    }
    let file = file("webhook", &good);
    assert!(load(&[(url, &path), ("PAYOUT_WEBHOOK_SECRET_FILE", file.to_str().unwrap())]).is_ok());
    assert!(load(&[(secret, &good)]).unwrap().webhook.url.is_empty(), "a secret alone tells nobody");
    for host in ["localhost:8080", "127.0.0.1", "[::1]:80"] {
        assert!(load(&[(url, &format!("http://{host}/x")), (secret, &good)]).is_ok(), "{host}");
    }
    let remote = "http://10.0.0.1/x";
    assert!(load(&[(url, remote), (secret, &good), ("PAYOUT_WEBHOOK_ALLOW_HTTP", "true")]).is_ok());
    for (set, says) in [
        (&[(url, remote), (secret, &good)][..], "PAYOUT_WEBHOOK_ALLOW_HTTP"),
        (&[(url, &path)], "Set PAYOUT_WEBHOOK_SECRET"),
        (&[(url, &path), (secret, "whsec_c2hvcnQ=")], "24 to 64 bytes"),
        (&[(url, "https://u:p@h/x"), (secret, &good)], "credentials"),
        (&[("PAYOUT_WEBHOOK_EVENTS", "completed,started")], "needs_person"),
    ] {
        let text = load(set).unwrap_err().to_string();
        assert!(text.contains(says) && !text.contains(CANARY) && !text.contains("c2hvcnQ="), "{text}");
    }
}

#[test]
fn secrets_are_in_no_output_of_the_configuration() {
    let pin = "0badc0de".repeat(8);
    let key = file("canary", &pin);
    let config = load(&[("PAYOUT_PIN_KEY_FILE", key.to_str().unwrap())]).unwrap();
    let serialized = serde_json::to_string(&config.database_url).unwrap();
    for shown in [format!("{config:?}"), format!("{config:#?}"), config.dump().to_owned(), serialized] {
        assert!(!shown.contains(CANARY) && !shown.contains("0badc0de"), "{shown}");
    }
    assert!(config.dump().contains("mysql://app:…@db:3306/payout"), "{}", config.dump());
}

#[test]
fn a_dump_is_a_file_with_the_same_meaning() {
    let set =
        [("PAYOUT_MONEY_FINAL_ERROR_CODES", "A,B"), ("PAYOUT_MONEY_MAX_RPS", "5"), ("PAYOUT_MONEY_CANCEL", "false")];
    let first = load(&set).unwrap();
    let second = load_file(&file("dump", first.dump()), &[]).unwrap();
    assert_eq!(format!("{:?}", first.money), format!("{:?}", second.money));
    let values = |config: &Config| -> toml::Table { toml::from_str(config.dump()).unwrap() };
    assert_eq!(values(&first), values(&second));
}

#[test]
fn every_key_is_explained_with_its_bounds_and_read() {
    // No value is a date: each key that is read is a fault, and says what it expects.
    let dated = |line: &str| match line.split_once(" = ") {
        Some((key, _)) if !key.starts_with('#') => format!("{key} = 2030-01-01\n"),
        _ => format!("{line}\n"),
    };
    let dates = file("dates", &DEFAULTS.lines().map(dated).collect::<String>());
    let faults = Config::load(ALL, Some(&dates), &Environment::new()).unwrap_err().0;
    let expected: BTreeMap<&str, &str> =
        faults.iter().map(|fault| (fault.place.rsplit(": ").next().unwrap(), fault.expected.as_str())).collect();
    let mut known: Vec<&str> = KEYS.iter().map(|key| key.name.as_str()).collect();
    known.sort_unstable();
    assert_eq!(expected.keys().copied().collect::<Vec<_>>(), known, "a key in default.toml that no code reads");

    let (mut section, mut comment) = (String::new(), String::new());
    for line in DEFAULTS.lines() {
        if let Some(text) = line.strip_prefix('#') {
            comment.push_str(text);
        } else if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']').to_owned();
            comment.clear();
        } else if let Some((key, _)) = line.split_once(" = ") {
            let expected = expected[&*format!("{section}.{key}")];
            assert!(comment.len() > 20, "{section}.{key} is not explained");
            if let Some(bounds) = expected.find(" from ").map(|at| &expected[at + 1..]) {
                assert!(comment.contains(bounds), "{section}.{key}: {bounds} is not in {comment:?}");
            }
            comment.clear();
        }
    }
}

#[test]
fn the_names_that_deployments_rely_on_are_read() {
    let fixed = "DATABASE_URL DATABASE_URL_FILE REDIS_URL REDIS_URL_FILE MONEY_URL MONEY_URL_FILE MONEY_TOKEN \
         MONEY_TOKEN_FILE PAYOUT_CONFIG_FILE PAYOUT_METRICS_ADDR PAYOUT_CONSUMER_NAME PAYOUT_MONEY_TIMEOUT \
         PAYOUT_MONEY_MAX_RPS PAYOUT_MONEY_LOOKUP PAYOUT_MONEY_CANCEL PAYOUT_MONEY_FINAL_ERROR_CODES \
         PAYOUT_RETRY_MAX_ATTEMPTS PAYOUT_RETRY_BACKOFF_BASE PAYOUT_RETRY_BACKOFF_CAP \
         PAYOUT_RETRY_VISIBILITY_TIMEOUT PAYOUT_DISPATCHER_WINDOW PAYOUT_DISPATCHER_MAX_ACTIVE \
         PAYOUT_SUMMARIZER_FLUSH_INTERVAL PAYOUT_SUMMARIZER_SWEEP_INTERVAL PAYOUT_TIME_ZONE PAYOUT_PIN_KEY_FILE";
    let known = variables();
    for name in fixed.split_whitespace() {
        assert!(known.iter().any(|variable| variable == name), "{name}");
    }
}
