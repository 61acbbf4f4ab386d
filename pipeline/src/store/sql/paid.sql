-- The usual outcome: paid, by an attempt that nobody else has touched. Where as many rows match as were
-- given, the statement itself proves what stands in them; where fewer do, outcome.sql decides.
UPDATE JSON_TABLE(?, '$[*]' COLUMNS (id BIGINT PATH '$[0]', token BIGINT PATH '$[1]', generation INT PATH '$[2]', retries INT PATH '$[3]',
    money_key VARCHAR(100) PATH '$[4]' {voucher_paid_json})) v
STRAIGHT_JOIN {results} r ON r.{key} = v.id
SET r.process_status = 'SUCCESS', r.transaction_key = v.money_key, {voucher_paid_set} r.room = NULL, r.error_code = NULL, r.error_message = NULL, r.updated_at = ?
WHERE r.process_status = 'PENDING' AND r.attempt_token = v.token AND r.key_generation = v.generation AND r.retry_count = v.retries
  AND r.waits_for IS NULL
