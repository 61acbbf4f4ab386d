-- paid.sql for plain keys of ids that lie close together: one pass over the table instead of a join, half the cost. The
-- keys are packed, one slot of equal length for every id from the first, and the mask says whose slot holds one.
UPDATE {results} FORCE INDEX (PRIMARY)
SET process_status = 'SUCCESS', transaction_key = TRIM(TRAILING 0x00 FROM SUBSTRING(?, ({key} - ?) * ? + 1, ?)),
  room = NULL, error_code = NULL, error_message = NULL, updated_at = ?
WHERE {key} BETWEEN ? AND ? AND SUBSTRING(?, {key} - ? + 1, 1) = '1'
  AND process_status = 'PENDING' AND attempt_token IN (?, ?, ?, ?, ?, ?, ?, ?) AND key_generation = ? AND retry_count = ?
  AND waits_for IS NULL
