//! The same again, and something else under the same name.

use crate::world::{World, json, points, refusal};

#[test]
fn the_same_file_twice_is_a_no_op_that_says_so() {
    let world = World::new();
    world.file("a.csv", points(500));
    let first = json(&world.points("a.csv", &[]));
    let before = world.value("SELECT CONCAT_WS('|', external_id, updated_at) v FROM campaign_promotions");
    // Under another name, by somebody else, after it has started.
    world.file("b.csv", points(500));
    world.execute("UPDATE campaign_promotions SET promotion_status = 'IN_PROGRESS', reservation_priority = 3");
    let finished = world.points("b.csv", &["--created-by", "another"]);
    assert!(finished.stderr.contains("already loaded: promotion 1 (IN_PROGRESS)"), "{}", finished.stderr);
    let mut expected = first;
    expected["already_loaded"] = true.into();
    assert_eq!(json(&finished), expected);
    assert_eq!(world.value("SELECT COUNT(*) v FROM campaign_promotion_point_targets"), "500");
    assert_eq!(world.value("SELECT CONCAT_WS('|', external_id, updated_at) v FROM campaign_promotions"), before);
}

#[test]
fn another_file_for_a_campaign_is_refused() {
    let world = World::new();
    world.file("a.csv", points(10));
    json(&world.points("a.csv", &[]));
    world.file("b.csv", points(11));
    let told = refusal(&world.points("b.csv", &[]));
    assert!(
        told.contains("the campaign C exists already, as promotion 1 (READY); it was loaded from another file (a.csv"),
        "{told}"
    );
    assert_eq!(world.value("SELECT COUNT(*) v FROM campaign_promotion_point_targets"), "10");
}

#[test]
fn other_options_for_a_campaign_are_refused_with_what_differs() {
    let world = World::new();
    world.file("a.csv", points(10));
    json(&world.points("a.csv", &["--default-reason", "spring"]));
    let told = refusal(&world.points("a.csv", &["--partitions", "8", "--default-reason", "spring"]));
    assert!(told.contains("its --partitions is 4, not 8"), "{told}");
    let told = refusal(&world.points("a.csv", &[]));
    assert!(told.contains("its --default-reason is \"spring\", not not set"), "{told}");
    let told = refusal(&world.points("a.csv", &["--default-reason", "spring", "--skip-invalid"]));
    assert!(told.contains("--skip-invalid"), "{told}");
}

#[test]
fn a_promotion_of_another_system_is_left_alone() {
    let world = World::new();
    world.file("a.csv", points(10));
    world.execute(
        "INSERT INTO campaign_promotions (campaign_code, external_id, promotion_type, promotion_status) VALUES ('C', 'x', 'POINT', 'LOADING')",
    );
    let told = refusal(&world.points("a.csv", &[]));
    assert!(told.contains("another system wrote it"), "{told}");
    assert_eq!(world.points_loaded(), "0");
}
