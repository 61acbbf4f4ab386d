-- How every target of a promotion stands, by what MySQL proves: no row, or its status, and for SUCCESS
-- whether it took more than the first attempt; and whether it is marked as published. Of PENDING ones, how many may have
-- been executed without our knowing, and when the first of these was sent: nothing that is recorded of them changes that time.
SELECT COALESCE(r.process_status, 'NONE') AS status, COALESCE(r.retry_count > 0 OR r.requeues > 0, 0) AS again,
       t.publish_status = 'PENDING' AS unmarked, COUNT(*) AS targets, COALESCE(SUM(COALESCE(t.amount, ?)), 0) AS amount,
       COUNT(r.waits_for) AS waiting,
       COUNT(IF(r.may_have_executed = 1 AND r.process_status = 'PENDING', 1, NULL)) AS doubtful,
       MIN(IF(r.may_have_executed = 1 AND r.process_status = 'PENDING', r.first_sent_at, NULL)) AS oldest
FROM {targets} t FORCE INDEX (PRIMARY) LEFT JOIN {results} r ON r.{key} = t.{key}
WHERE t.promotion_id = ? AND t.{key} BETWEEN ? AND ?
GROUP BY 1, 2, 3
