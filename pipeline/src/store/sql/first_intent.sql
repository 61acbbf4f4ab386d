-- The usual intent: of targets that have no result yet. It is refused as a whole when any has one, and intent.sql
-- decides; where it is not, every row is new and ours, and need not be read back.
INSERT INTO {results} ({key}, promotion_id, process_status, attempt_token, first_sent_at, created_at, updated_at, room)
SELECT j.id, ?, 'PENDING', ?, ?, ?, ?, REPEAT('-', ?)
FROM JSON_TABLE(?, '$[*]' COLUMNS (id BIGINT PATH '$')) j
