-- The next targets to publish, all partitions at once: 0.2 µs a row by primary key, where paging by
-- partition through an index cost 4.
SELECT {key}, partition_key, amount, expired_at {voucher_page_columns}
FROM {targets} FORCE INDEX (PRIMARY)
WHERE promotion_id = ? AND {key} > ? AND {key} <= ?
ORDER BY {key} LIMIT ?
