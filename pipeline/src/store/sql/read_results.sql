SELECT r.{key}, r.process_status, r.retry_count, r.may_have_executed, r.key_generation, r.requeues, r.first_sent_at, r.waits_for, r.attempt_token,
       r.updated_at
FROM JSON_TABLE(?, '$[*]' COLUMNS (id BIGINT PATH '$')) j STRAIGHT_JOIN {results} r ON r.{key} = j.id
