-- Any outcome, guarded: the row is not final, and its key generation is the one that was called. Whether
-- "not executed" means RETRYING, FAILED or still unknown is decided by the row as it stands in this
-- statement, never from memory: an answer speaks only for its own attempt, so it counts only where the row
-- still carries that attempt's token and no other attempt may have been executed. Assignments run from left
-- to right; what a condition reads is assigned after it, process_status last. Attempts are counted by a row that has
-- counted none since the decision: a statement whose commit was not acknowledged is repeated. A row that MySQL has lost
-- (a commit undone by a failover) is made again. A person is told of an unknown outcome only where nothing was written since the
-- row was read: who reopened it meanwhile may be about to send it.
INSERT INTO {results} ({key}, promotion_id, process_status, transaction_key, {voucher_columns} error_code, error_message, retry_count,
  may_have_executed, key_generation, attempt_token, first_sent_at, waits_for, attempts, created_at, updated_at)
SELECT v.id, ?, CASE v.effect WHEN 'PAID' THEN 'SUCCESS' WHEN 'FAILED' THEN 'FAILED' ELSE 'PENDING' END, v.money_key, {voucher_values}
  v.error_code, v.error_message, v.another, v.effect NOT IN ('PAID', 'FAILED'), v.generation, v.token, COALESCE(CAST(v.first_sent AS DATETIME), ?), v.waits,
  CONCAT(CONCAT_WS(' ', ?, v.generation, v.effect, v.error_code), '\n'), ?, ?
FROM JSON_TABLE(?, '$[*]' COLUMNS (id BIGINT PATH '$[0]', token BIGINT PATH '$[1]', generation INT PATH '$[2]', another INT PATH '$[3]',
    effect VARCHAR(12) PATH '$[4]', money_key VARCHAR(100) PATH '$[5]', error_code VARCHAR(50) PATH '$[6]',
    error_message VARCHAR(500) PATH '$[7]', waits VARCHAR(30) PATH '$[8]', first_sent VARCHAR(19) PATH '$[9]', retries INT PATH '$[10]',
    read_at VARCHAR(19) PATH '$[11]'    {voucher_outcome_json})) v
ON DUPLICATE KEY UPDATE
  attempts = IF({guard}, RIGHT(CONCAT(COALESCE({results}.attempts, ''), VALUES(attempts)), 2000), {results}.attempts),
  transaction_key = IF({guard} AND v.effect = 'PAID', v.money_key, {results}.transaction_key),
  {voucher_updates}
  room = IF({guard} AND v.effect = 'PAID', NULL, {results}.room),
  error_code = IF({guard}, IF(v.effect = 'PAID', NULL, COALESCE(v.error_code, {results}.error_code)), {results}.error_code),
  error_message = IF({guard}, IF(v.effect = 'PAID', v.error_message, COALESCE(v.error_message, {results}.error_message)), {results}.error_message),
  waits_for = IF({guard},
    CASE v.effect WHEN 'PAID' THEN NULL WHEN 'FAILED' THEN NULL
      WHEN 'UNKNOWN' THEN IF(v.waits = 'UNKNOWN_OUTCOME' AND NOT ({results}.updated_at <=> CAST(v.read_at AS DATETIME)), {results}.waits_for,
        COALESCE(v.waits, {results}.waits_for))
      WHEN 'GIVE_UP' THEN IF({unproved}, 'UNKNOWN_OUTCOME', NULL)
      WHEN 'REOPENED' THEN IF({results}.waits_for IN ('UNKNOWN_OUTCOME', 'REFUSAL_NOT_FINAL'), NULL, {results}.waits_for) ELSE {results}.waits_for END,
    {results}.waits_for),
  first_sent_at = CASE WHEN NOT {guard} THEN {results}.first_sent_at
    WHEN v.effect = 'NOT_CALLED' AND NOT {unproved} AND {results}.retry_count = 0 AND v.retries = 0 THEN NULL
    ELSE COALESCE({results}.first_sent_at, CAST(v.first_sent AS DATETIME)) END,
  retry_count = IF({guard} AND {results}.retry_count = v.retries,
    IF(v.effect = 'NOT_CALLED', IF({unproved}, {results}.retry_count, GREATEST({results}.retry_count, 1) - 1), {results}.retry_count + v.another),
    {results}.retry_count),
  updated_at = IF({guard}, VALUES(updated_at), {results}.updated_at),
  may_have_executed = IF({guard} AND v.effect = 'UNKNOWN', 1, {results}.may_have_executed),
  process_status = IF({guard},
    CASE v.effect WHEN 'PAID' THEN 'SUCCESS' WHEN 'FAILED' THEN 'FAILED' WHEN 'UNKNOWN' THEN 'PENDING' WHEN 'REOPENED' THEN 'PENDING'
      WHEN 'GIVE_UP' THEN IF({unproved}, 'PENDING', 'FAILED') ELSE IF({unproved}, 'PENDING', 'RETRYING') END,
    {results}.process_status)
