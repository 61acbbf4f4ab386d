-- Targets by primary key, before their intent.
SELECT t.{key}, t.customer_uid, t.amount, t.reason, t.expired_at, t.merchant_code {voucher_target_columns}
FROM JSON_TABLE(?, '$[*]' COLUMNS (id BIGINT PATH '$')) j STRAIGHT_JOIN {targets} t ON t.{key} = j.id
WHERE t.promotion_id = ?
