-- Targets and their results, by primary key: what the decisions are made of.
SELECT t.{key}, t.customer_uid, t.amount, t.reason, t.expired_at, t.merchant_code {voucher_target_columns},
       r.process_status, r.retry_count, r.may_have_executed, r.key_generation, r.requeues, r.first_sent_at, r.waits_for, r.attempt_token,
       r.updated_at
FROM JSON_TABLE(?, '$[*]' COLUMNS (id BIGINT PATH '$')) j
STRAIGHT_JOIN {targets} t ON t.{key} = j.id
JOIN {results} r ON r.{key} = t.{key}
WHERE t.promotion_id = ?
