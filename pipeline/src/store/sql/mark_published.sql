-- A marker for people; what to publish next is read from the streams alone.
UPDATE {targets} FORCE INDEX (PRIMARY) SET publish_status = 'PUBLISHED', room = ''
WHERE promotion_id = ? AND {key} BETWEEN ? AND ? AND publish_status = 'PENDING'
