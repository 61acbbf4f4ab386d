//! A loader that is killed, and a file that changes meanwhile.

use servers::poll;

use crate::world::{BOUND, World, json, points, refusal};

/// Several batches of 8,000.
const ROWS: u64 = 60_000;

const ARGS: [&str; 8] = ["--type", "POINT", "--campaign-code", "C", "--yes", "-o", "json", "a.csv"];

/// Starts the loader and kills it as soon as so many rows are committed. `false` when it was done before.
fn kill_after(world: &World, rows: u64) -> bool {
    let loader = world.loader(&ARGS).start().unwrap();
    let reached = poll(BOUND, || {
        let loaded = world.value("SELECT COALESCE(MAX(loaded_count), -1) v FROM campaign_promotion_loads");
        (loaded.parse::<i64>().unwrap() >= rows.cast_signed() || !loader.is_running()).then_some(())
    });
    assert!(reached.is_some(), "{}", loader.log());
    loader.kill9().unwrap();
    world.status() == "LOADING"
}

#[test]
fn a_killed_load_goes_on_where_it_stopped() {
    let world = World::new();
    world.file("a.csv", points(ROWS));
    let mut stops = Vec::new();
    // Between creation and the first batch, and after several.
    for rows in [0, 1, 16_000, 32_000] {
        if !kill_after(&world, rows) {
            break;
        }
        let stands = world.value("SELECT loaded_count v FROM campaign_promotion_loads");
        // What is recorded and what stands there are one commit.
        assert_eq!(world.value("SELECT COUNT(*) v FROM campaign_promotion_point_targets"), stands);
        stops.push(stands.parse::<u64>().unwrap());
    }
    assert!(stops.len() > 1, "killed in the middle at {stops:?}");
    let uuid = world.value("SELECT external_id v FROM campaign_promotions");
    let result = json(&world.run(&ARGS));
    assert_eq!((&result["loaded"], &result["already_loaded"]), (&ROWS.into(), &false.into()));
    let customers = || (0..ROWS).map(|n| 1 + n * 7_919 % 1_000_003);
    let sum: u64 = (0..ROWS).map(|n| 100 + n % 500 * 100 + 25).sum();
    let expected =
        format!("{ROWS} {}.{:02} {} {}", sum / 100, sum % 100, customers().min().unwrap(), customers().max().unwrap());
    assert_eq!(world.points_loaded(), expected);
    assert_eq!(
        world.value("SELECT COUNT(DISTINCT customer_uid) v FROM campaign_promotion_point_targets"),
        ROWS.to_string()
    );
    assert_eq!(world.status(), "READY");
    assert_eq!(world.value("SELECT external_id v FROM campaign_promotions"), uuid);
}

#[test]
fn a_load_that_was_killed_before_its_seal_is_sealed() {
    let world = World::new();
    world.file("a.csv", points(9_000));
    json(&world.points("a.csv", &[]));
    // As a kill between the last batch and the seal leaves it.
    world.execute(
        "UPDATE campaign_promotions SET promotion_status = 'LOADING', total_count = 0, total_amount = 0; \
         UPDATE campaign_promotion_loads SET sealed_at = NULL",
    );
    let result = json(&world.points("a.csv", &[]));
    assert_eq!((&result["loaded"], &result["already_loaded"]), (&9_000.into(), &false.into()));
    assert_eq!(
        world.value("SELECT CONCAT_WS(' ', promotion_status, total_count) v FROM campaign_promotions"),
        "READY 9000"
    );
}

#[test]
fn what_does_not_add_up_is_never_sealed() {
    let world = World::new();
    world.file("a.csv", points(9_000));
    json(&world.points("a.csv", &[]));
    for damage in [
        "DELETE FROM campaign_promotion_point_targets WHERE customer_uid = 7920",
        "UPDATE campaign_promotion_point_targets SET amount = amount + 1 WHERE customer_uid = 1",
    ] {
        world.execute(
            "UPDATE campaign_promotions SET promotion_status = 'LOADING'; UPDATE campaign_promotion_loads SET sealed_at = NULL",
        );
        world.execute(damage);
        let finished = world.points("a.csv", &[]);
        assert_eq!(finished.status.code(), Some(1), "{}", finished.stderr);
        assert!(finished.stderr.contains("is not sealed and will not start"), "{}", finished.stderr);
        assert_eq!(world.status(), "LOADING");
    }
}

#[test]
fn a_file_that_changes_while_it_is_loaded_is_refused_and_not_sealed() {
    let world = World::new();
    let text = points(ROWS);
    world.file("a.csv", &text);
    // Holds the first batch until the file has changed.
    let held = world.loader(&ARGS);
    world.execute(
        "CREATE TRIGGER slow BEFORE INSERT ON campaign_promotion_point_targets FOR EACH ROW SET @x = SLEEP(0.00005)",
    );
    let loader = held.start().unwrap();
    let began = poll(BOUND, || (world.promotions() == "1").then_some(()));
    assert!(began.is_some(), "{}", loader.log());
    // The same length, another amount in the last row: only the bytes tell.
    let changed = text[..text.len() - 20].to_owned() + &text[text.len() - 20..].replace("reason", "REASON");
    assert_ne!(changed, text);
    overwrite(&world, &changed);
    let status = loader.wait(BOUND).unwrap();
    assert_eq!(status.code(), Some(2), "{}", loader.log());
    assert!(loader.log().contains("the file changed while it was loaded"), "{}", loader.log());
    assert_eq!(world.status(), "LOADING");
    assert_eq!(world.value("SELECT COUNT(*) v FROM campaign_promotion_point_targets WHERE reason LIKE 'REASON%'"), "0");
    world.execute("DROP TRIGGER slow");
    assert!(refusal(&world.run(&ARGS)).contains("another file"));
    overwrite(&world, &text);
    assert_eq!(json(&world.run(&ARGS))["loaded"], ROWS);
}

/// In place, so that a loader that has it open sees the change.
fn overwrite(world: &World, text: &str) {
    use std::os::unix::fs::FileExt;
    let file = std::fs::OpenOptions::new().write(true).open(world.dir.path().join("a.csv")).unwrap();
    file.write_all_at(text.as_bytes(), 0).unwrap();
}

#[test]
fn a_database_that_goes_away_is_waited_for() {
    let mysql = servers::MySql::start(servers::MySqlOptions::default()).unwrap();
    let world = World::on(mysql.create_database("away").unwrap());
    world.file("a.csv", points(ROWS));
    let loader = world.loader(&ARGS).start().unwrap();
    let reached = poll(BOUND, || {
        let loaded = world.value("SELECT COALESCE(MAX(loaded_count), -1) v FROM campaign_promotion_loads");
        (loaded.parse::<i64>().unwrap() > 0).then_some(())
    });
    assert!(reached.is_some(), "{}", loader.log());
    mysql.kill9().unwrap();
    let noticed = poll(BOUND, || loader.log().contains("waiting for the database").then_some(()));
    assert!(noticed.is_some(), "{}", loader.log());
    mysql.restart().unwrap();
    let status = loader.wait(BOUND).unwrap();
    assert!(status.success(), "{}", loader.log());
    assert_eq!(world.value("SELECT total_count v FROM campaign_promotions"), ROWS.to_string());
    assert_eq!(world.value("SELECT COUNT(*) v FROM campaign_promotion_point_targets"), ROWS.to_string());
}
