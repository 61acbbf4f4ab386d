-- The same for ids that lie close together, with what lies between them: 0.6 µs a row instead of 1.6.
SELECT {key}, customer_uid, amount, reason, expired_at, merchant_code {voucher_target_columns}
FROM {targets} FORCE INDEX (PRIMARY)
WHERE promotion_id = ? AND {key} BETWEEN ? AND ?
