use crate::field::{Field, Shape};

#[tokio::test]
async fn two_migrations_at_once_are_one() {
    let field = Field::empty().await;
    let launch = |_| field.launch(&["migrate", "-o", "json"]);
    let runs: Vec<_> = (0..4).map(launch).collect();
    let results: Vec<_> = std::thread::scope(|scope| {
        let handles: Vec<_> =
            runs.iter().map(|run| scope.spawn(|| run.run(std::time::Duration::from_secs(100)))).collect();
        handles.into_iter().map(|handle| handle.join().unwrap().unwrap().ok().unwrap()).collect()
    });
    assert_eq!(results.len(), 4);
    let versions = field.number("SELECT COUNT(*) FROM _sqlx_migrations WHERE success").await;
    assert_eq!(versions, field.number("SELECT MAX(version) FROM _sqlx_migrations").await);
    assert_eq!(field.number("SELECT COUNT(*) FROM campaign_promotions").await, 0);
    let again = field.json(&["migrate"]);
    assert_eq!(again["from"], again["to"]);
}

#[tokio::test]
async fn what_needs_the_schema_says_how_to_get_it() {
    let field = Field::empty().await;
    let finished = field.ctl(&["promotion", "list"]);
    assert_eq!(finished.status.code(), Some(1));
    assert!(finished.stderr.contains("promoctl migrate"), "{}", finished.stderr);
}

#[tokio::test]
async fn faults_in_the_configuration_end_with_64_before_anything_else() {
    let field = Field::empty().await;
    let run =
        |name, value| field.launch(&["audit", "1"]).env(name, value).run(std::time::Duration::from_secs(20)).unwrap();
    assert_eq!(run("DATABASE_URL", "").status.code(), Some(64));
    assert_eq!(run("REDIS_URL", "nonsense").status.code(), Some(64));
}

#[tokio::test]
async fn an_added_type_has_the_tables_of_point_under_its_own_names() {
    let field = Field::new().await;
    assert_eq!(
        field.code(&["type", "add", "CASH", "--charge-path", "/internal/v1/campaigns/cash/charge", "--reason", "r"]),
        2,
        "unasked"
    );
    assert_eq!(field.code(&["type", "add", "CASH", "--charge-path", "/x", "--yes"]), 2, "no reason");
    field
        .ctl(&["type", "add", "CASH", "--charge-path", "/internal/v1/campaigns/cash/charge", "--reason", "r", "--yes"])
        .ok()
        .unwrap();
    let columns = |table: &str| {
        format!(
            "SELECT COUNT(*) FROM information_schema.columns a JOIN information_schema.columns b ON a.table_schema = b.table_schema \
             AND a.ordinal_position = b.ordinal_position AND a.column_type = b.column_type WHERE a.table_schema = DATABASE() AND \
             a.table_name = 'campaign_promotion_point_{table}' AND b.table_name = 'campaign_promotion_cash_{table}'"
        )
    };
    assert_eq!(field.number(&columns("targets")).await, 13);
    assert_eq!(field.number(&columns("results")).await, 16 + 1);
    // As a type that was added before the column.
    field.sql("ALTER TABLE campaign_promotion_cash_results DROP COLUMN attempts").await;
    field.ctl(&["migrate"]).ok().unwrap();
    assert_eq!(field.number(&columns("results")).await, 16 + 1);
    field.number("SELECT COUNT(cash_target_id) FROM campaign_promotion_cash_targets").await;
    field.number("SELECT COUNT(cash_target_id) FROM campaign_promotion_cash_results").await;
    let list = field.json(&["type", "list"]);
    let codes: Vec<_> = list["data"].as_array().unwrap().iter().map(|line| line["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["POINT", "VOUCHER", "CASH"]);
    assert_eq!(field.acts("type add").await.len(), 1);
    assert_eq!(field.code(&["type", "add", "CASH", "--charge-path", "/x", "--reason", "r", "--yes"]), 2, "twice");
    assert_eq!(field.code(&["type", "add", "POINT", "--charge-path", "/x", "--reason", "r", "--yes"]), 2, "built in");
    assert_eq!(field.code(&["type", "add", "bad code", "--charge-path", "/x", "--reason", "r", "--yes"]), 2);
}

#[tokio::test]
async fn adding_a_type_goes_on_where_a_crash_left_it() {
    let field = Field::new().await;
    // The first table was made and not renamed yet.
    field.sql("CREATE TABLE campaign_promotion_cash_targets LIKE campaign_promotion_point_targets").await;
    field.ctl(&["type", "add", "CASH", "--charge-path", "/c", "--reason", "r", "--yes"]).ok().unwrap();
    field.number("SELECT COUNT(cash_target_id) FROM campaign_promotion_cash_targets").await;
    field.promotion(Shape { targets: 1, partitions: 1, status: "READY", started: false }).await;
    let orphan =
        "INSERT INTO campaign_promotion_cash_targets (promotion_id, customer_uid, partition_key) VALUES (99, 1, 0)";
    assert!(sqlx::query(orphan).execute(&field.pool).await.is_err(), "a target belongs to a promotion");
}
