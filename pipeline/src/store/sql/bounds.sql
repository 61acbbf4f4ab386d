-- What a promotion's targets add up to, and between which ids they lie. A missing amount counts as the default.
SELECT COUNT(*) AS targets, COALESCE(SUM(COALESCE(amount, ?)), 0) AS amount, MIN({key}) AS first_id, MAX({key}) AS last_id,
       COALESCE(SUM(partition_key < 0 OR partition_key >= ?), 0) AS out_of_range, MAX(COALESCE(updated_at, created_at)) AS changed_at
FROM {targets} WHERE promotion_id = ?
