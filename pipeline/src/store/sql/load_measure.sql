-- What stands between the first and the last id of a load, before it is sealed. By primary key: through the index
-- on the customer every amount would be a look-up of its own.
SELECT COUNT(*) AS targets, COALESCE(SUM(COALESCE(amount, ?)), 0) AS amount, COALESCE(MIN({key}), 0) AS first_id, COALESCE(MAX({key}), 0) AS last_id
FROM {targets} FORCE INDEX (PRIMARY)
WHERE promotion_id = ? AND {key} >= ? AND {key} <= ?
