use pipeline::domain::{Partition, PromotionId};

use crate::field::{Field, Shape, counts, stream};

#[tokio::test]
async fn repair_brings_back_what_was_deleted_and_the_right_counts() {
    let mut field = Field::new().await;
    let id = field.promotion(Shape { targets: 40, partitions: 2, status: "IN_PROGRESS", started: true }).await;
    let targets = [field.publish(id, 0).await, field.publish(id, 1).await];
    field.result(id, targets[0][0], "SUCCESS").await;
    // Entries vanish, a count is wrong.
    for entry in [format!("{}-0", targets[0][0]), format!("{}-0", targets[0][1]), format!("{}-0", targets[0][2])] {
        redis::cmd("XDEL").arg(stream(id, 0)).arg(entry).query::<u64>(&mut field.redis).unwrap();
    }
    redis::cmd("HSET").arg(counts(id, 0)).arg("success_count").arg(9).query::<u64>(&mut field.redis).unwrap();
    let name = id.to_string();
    assert_eq!(field.code(&["audit", &name, "--patience", "0s"]), 1);
    assert_eq!(field.code(&["repair", &name, "--reason", "r"]), 2, "unasked");
    let done = field.json(&["repair", &name, "--partition", "0", "--reason", "entries were deleted", "--yes"]);
    assert_eq!(done["partitions"][0]["entries"], targets[0].len() - 1);
    let states = field
        .streams
        .partition_states(&[0, 1].map(|number| Partition { promotion: PromotionId(id), number }))
        .await
        .unwrap();
    assert_eq!(states[0].len(), targets[0].len() as u64 - 1);
    assert_eq!((states[0].counts.published, states[0].counts.success), (targets[0].len() as u64, 1));
    assert_eq!(states[1].len(), targets[1].len() as u64);
    field.ctl(&["audit", &name, "--patience", "0s"]).ok().unwrap();
    assert_eq!(field.acts("repair").await.len(), 1);
}

#[tokio::test]
async fn a_partition_without_a_stream_is_left_to_the_dispatcher() {
    let field = Field::new().await;
    let id = field.promotion(Shape { targets: 5, partitions: 1, status: "IN_PROGRESS", started: true }).await;
    assert_eq!(field.code(&["repair", &id.to_string(), "--reason", "r", "--yes"]), 3);
    field.sql("UPDATE campaign_promotions SET promotion_status = 'COMPLETED'").await;
    assert_eq!(field.code(&["repair", &id.to_string(), "--reason", "r", "--yes"]), 2);
    assert_eq!(field.code(&["repair", &id.to_string(), "--partition", "7", "--reason", "r", "--yes"]), 2);
}
