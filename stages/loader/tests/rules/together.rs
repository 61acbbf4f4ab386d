//! Two loaders at once.

use crate::world::{BOUND, World, points};

#[test]
fn two_loaders_of_one_file_load_it_once() {
    const ROWS: u64 = 50_000;
    let world = World::new();
    world.file("a.csv", points(ROWS));
    let args = ["--type", "POINT", "--campaign-code", "C", "--yes", "-o", "json", "a.csv"];
    let run = || world.loader(&args);
    let (one, two) = (run(), run());
    let ended: Vec<_> = std::thread::scope(|scope| {
        let running = [one, two].map(|loader| scope.spawn(move || loader.run(BOUND).unwrap()));
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let results: Vec<_> = ended.iter().map(crate::world::json).collect();
    assert_eq!(results.iter().filter(|result| result["already_loaded"] == false).count(), 1, "{results:?}");
    assert!(
        results.iter().all(|result| result["loaded"] == ROWS && result["promotion_id"] == results[0]["promotion_id"])
    );
    assert_eq!(world.promotions(), "1");
    assert_eq!(world.value("SELECT COUNT(*) v FROM campaign_promotion_point_targets"), ROWS.to_string());
    assert_eq!(world.status(), "READY");
}
