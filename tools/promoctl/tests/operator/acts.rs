use serde_json::Value;

use crate::field::{Field, Shape};

fn ids(page: &Value) -> Vec<i64> {
    page["data"].as_array().unwrap().iter().map(|line| line["audit_id"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn the_audit_trail_is_read_by_promotion_by_person_and_by_what_was_done() {
    let field = Field::new().await;
    let id = field.promotion(Shape { targets: 3, partitions: 1, status: "IN_PROGRESS", started: true }).await;
    let name = id.to_string();
    field.ctl(&["promotion", "stop", &name, "--memo", "late", "--yes", "--as", "kim"]).ok().unwrap();
    field.ctl(&["promotion", "resume", &name, "--reason", "on time", "--yes", "--as", "lee"]).ok().unwrap();
    field.ctl(&["type", "add", "CASH", "--charge-path", "/c", "--reason", "new", "--yes", "--as", "kim"]).ok().unwrap();
    let list = |more: &[&str]| field.json(&[&["acts", "list"], more].concat());
    let all = list(&[]);
    assert_eq!((ids(&all), &all["next_cursor"]), (vec![3, 2, 1], &Value::Null));
    for (filter, expected) in [
        (["--promotion", &name], vec![2, 1]),
        (["--promotion", "99"], vec![]),
        (["--actor", "kim"], vec![3, 1]),
        (["--action", "promotion resume"], vec![2]),
        (["--cursor", "2"], vec![1]),
    ] {
        assert_eq!(ids(&list(&filter)), expected, "{filter:?}");
    }
    let page = list(&["--limit", "2"]);
    assert_eq!((ids(&page), &page["next_cursor"]), (vec![3, 2], &2.into()));
    let stop = &list(&["--actor", "kim", "--action", "promotion stop"])["data"][0];
    assert_eq!(
        (&stop["actor"], &stop["action"], &stop["reason"]),
        (&"kim".into(), &"promotion stop".into(), &"late".into())
    );
    assert_eq!((&stop["targets"], &stop["amount"], &stop["promotion_id"]), (&3.into(), &"301.50".into(), &id.into()));
    let table = field.ctl(&["acts", "list"]).ok().unwrap();
    assert!(table.contains("promotion stop") && table.contains("301.50") && table.contains("late"), "{table}");
}
