-- The targets of a load, a few thousand a statement, while their promotion is LOADING. They get ascending ids in the
-- order of the list, which is the order of the file. A value that does not fit is an error, never a NULL: JSON_TABLE
-- by itself would drop it silently.
INSERT INTO {targets} (promotion_id, customer_uid, partition_key, amount, reason, expired_at, merchant_code, merchant_brand_code, {voucher_load_columns} created_at, updated_at)
SELECT ?, j.customer_uid, j.partition_key, j.amount, j.reason, j.expired_at, j.merchant_code, j.merchant_brand_code, {voucher_load_values} ?, ?
FROM JSON_TABLE(?, '$[*]' COLUMNS (
  customer_uid BIGINT PATH '$[0]' ERROR ON EMPTY ERROR ON ERROR,
  partition_key INT PATH '$[1]' ERROR ON EMPTY ERROR ON ERROR,
  amount DECIMAL(15,2) PATH '$[2]' ERROR ON ERROR,
  reason VARCHAR(500) PATH '$[3]' ERROR ON ERROR,
  expired_at VARCHAR(10) PATH '$[4]' ERROR ON ERROR,
  merchant_code VARCHAR(30) PATH '$[5]' ERROR ON ERROR,
  merchant_brand_code VARCHAR(20) PATH '$[6]' ERROR ON ERROR
  {voucher_load_json})) j
