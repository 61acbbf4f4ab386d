-- The payer's intent, committed before any call. New rows carry our token; a row that is already PENDING
-- under another's token may be in the middle of a call that we know nothing of. Repeating it with the
-- same token changes nothing. Rows are taken in the order of the list, which is sorted by primary key:
-- overlapping statements in another order deadlock by the hundred.
INSERT INTO {results} ({key}, promotion_id, process_status, attempt_token, first_sent_at, created_at, updated_at, room)
SELECT t.{key}, t.promotion_id, 'PENDING', ?, ?, ?, ?, REPEAT('-', ?)
FROM JSON_TABLE(?, '$[*]' COLUMNS (id BIGINT PATH '$')) j STRAIGHT_JOIN {targets} t ON t.{key} = j.id
WHERE t.promotion_id = ?
ON DUPLICATE KEY UPDATE
  may_have_executed = IF({results}.process_status = 'PENDING' AND {results}.attempt_token <> VALUES(attempt_token), 1, {results}.may_have_executed)
