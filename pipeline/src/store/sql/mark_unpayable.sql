UPDATE JSON_TABLE(?, '$[*]' COLUMNS (id BIGINT PATH '$')) j STRAIGHT_JOIN {targets} t ON t.{key} = j.id
SET t.publish_status = 'FAILED' WHERE t.publish_status <> 'FAILED'
