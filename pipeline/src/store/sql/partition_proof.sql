-- The same per partition, or of one alone, for targets up to the last published one.
SELECT t.partition_key AS number, COALESCE(r.process_status, 'NONE') AS status,
       COALESCE(r.retry_count > 0 OR r.requeues > 0, 0) AS again, COUNT(*) AS targets
FROM {targets} t FORCE INDEX (PRIMARY) LEFT JOIN {results} r ON r.{key} = t.{key}
WHERE t.promotion_id = ? AND t.{key} BETWEEN ? AND ? AND (? IS NULL OR t.partition_key = ?)
GROUP BY 1, 2, 3
