-- An operator's requeue, by compare-and-set on the row as it was planned; repeating it changes nothing, because
-- `requeues` has moved on. A later key has no attempt behind it, so it begins anew; what `money` calls paid becomes
-- an outcome that has to be looked up. No assignment reads what another one writes: in an UPDATE over several tables
-- their order is not defined. The error stays until an attempt writes another one.
UPDATE JSON_TABLE(?, '$[*]' COLUMNS (id BIGINT PATH '$[0]', generation INT PATH '$[1]', requeues INT PATH '$[2]', takes VARCHAR(10) PATH '$[3]')) v
STRAIGHT_JOIN {results} r ON r.{key} = v.id
SET r.key_generation = IF(v.takes = 'NEXT', v.generation + 1, v.generation),
  r.first_sent_at = IF(v.takes = 'NEXT', NULL, r.first_sent_at),
  r.may_have_executed = CASE v.takes WHEN 'NEXT' THEN 0 WHEN 'LOOK_UP' THEN 1 ELSE r.may_have_executed END,
  r.requeues = v.requeues + 1, r.retry_count = 0, r.waits_for = NULL, r.attempt_token = ?, r.updated_at = ?,
  r.process_status = IF(v.takes = 'LOOK_UP', 'PENDING', 'RETRYING')
WHERE r.process_status = 'FAILED' AND r.key_generation = v.generation AND r.requeues = v.requeues AND r.promotion_id = ?
