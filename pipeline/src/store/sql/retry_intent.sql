-- The retrier's intent: as the payer's, and a row that is known not to have been paid goes back to
-- PENDING under our token, one attempt more (none more when its key was never sent). Assignments run from
-- left to right, so process_status comes last.
INSERT INTO {results} ({key}, promotion_id, process_status, attempt_token, first_sent_at, created_at, updated_at, room)
SELECT t.{key}, t.promotion_id, 'PENDING', ?, ?, ?, ?, REPEAT('-', ?)
FROM JSON_TABLE(?, '$[*]' COLUMNS (id BIGINT PATH '$')) j STRAIGHT_JOIN {targets} t ON t.{key} = j.id
WHERE t.promotion_id = ?
ON DUPLICATE KEY UPDATE
  may_have_executed = IF({results}.process_status = 'PENDING' AND {results}.attempt_token <> VALUES(attempt_token), 1, {results}.may_have_executed),
  retry_count = {results}.retry_count + IF({results}.process_status = 'RETRYING' AND {results}.first_sent_at IS NOT NULL, 1, 0),
  first_sent_at = IF({results}.process_status = 'RETRYING', COALESCE({results}.first_sent_at, VALUES(first_sent_at)), {results}.first_sent_at),
  updated_at = IF({results}.process_status = 'RETRYING', VALUES(updated_at), {results}.updated_at),
  attempt_token = IF({results}.process_status = 'RETRYING', VALUES(attempt_token), {results}.attempt_token),
  process_status = IF({results}.process_status = 'RETRYING', 'PENDING', {results}.process_status)
