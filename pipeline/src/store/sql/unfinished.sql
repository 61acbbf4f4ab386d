-- Targets of a partition, published and not final: what a rebuilt stream must hold.
SELECT t.{key}
FROM {targets} t FORCE INDEX (PRIMARY) LEFT JOIN {results} r ON r.{key} = t.{key}
WHERE t.promotion_id = ? AND t.{key} BETWEEN ? AND ? AND t.partition_key = ?
  AND (r.{key} IS NULL OR r.process_status NOT IN ('SUCCESS', 'FAILED'))
ORDER BY t.{key} LIMIT ?
