-- The names of the earlier data model stay readable: views, so that a report written against them still runs.

CREATE SQL SECURITY INVOKER VIEW campaign_events AS
SELECT promotion_id AS id, campaign_code AS campaign_id, external_id, promotion_type AS event_type,
       CASE promotion_status WHEN 'LOADING' THEN 'PENDING' WHEN 'READY' THEN 'PENDING' WHEN 'IN_PROGRESS' THEN 'RUNNING'
            ELSE promotion_status END AS event_status,
       total_count, total_amount, partition_count, reservation_at, reservation_priority, default_reason, default_amount,
       default_expiry_at, created_by, created_at, updated_by, updated_at
FROM campaign_promotions;

CREATE SQL SECURITY INVOKER VIEW campaign_event_summary AS
SELECT promotion_summary_id AS id, promotion_id AS event_id, published_count, success_count, fail_count,
       retry_success_count, started_at, completed_at, stopped_at, stopped_memo, created_by, created_at, updated_by, updated_at
FROM campaign_promotion_summary;

CREATE SQL SECURITY INVOKER VIEW point_targets AS
SELECT point_target_id AS id, promotion_id AS event_id, customer_uid AS member_id, merchant_code, merchant_brand_code,
       amount, expired_at, reason, partition_key, publish_status, created_at, updated_at
FROM campaign_promotion_point_targets;

CREATE SQL SECURITY INVOKER VIEW voucher_targets AS
SELECT voucher_target_id AS id, promotion_id AS event_id, customer_uid AS member_id, voucher_number, merchant_code,
       merchant_brand_code, amount, expired_at, reason, is_withdrawal, partition_key, publish_status, created_at, updated_at
FROM campaign_promotion_voucher_targets;

CREATE SQL SECURITY INVOKER VIEW point_results AS
SELECT r.point_target_id AS id, r.point_target_id AS target_id, r.promotion_id AS event_id, t.customer_uid AS member_id,
       COALESCE(t.amount, p.default_amount) AS amount,
       CASE r.process_status WHEN 'RETRYING' THEN 'FAILED' WHEN 'FAILED' THEN 'PERMANENTLY_FAILED'
            ELSE r.process_status END AS status,
       r.transaction_key AS money_tx_id, r.error_message, r.retry_count, r.created_at, r.updated_at
FROM campaign_promotion_point_results r
JOIN campaign_promotion_point_targets t ON t.point_target_id = r.point_target_id
JOIN campaign_promotions p ON p.promotion_id = r.promotion_id;

CREATE SQL SECURITY INVOKER VIEW voucher_results AS
SELECT r.voucher_target_id AS id, r.voucher_target_id AS target_id, r.promotion_id AS event_id,
       t.customer_uid AS member_id, COALESCE(t.amount, p.default_amount) AS amount,
       CASE r.process_status WHEN 'RETRYING' THEN 'FAILED' WHEN 'FAILED' THEN 'PERMANENTLY_FAILED'
            ELSE r.process_status END AS status,
       r.transaction_key AS money_tx_id, r.voucher_code, CAST(NULL AS CHAR(1)) AS voucher_pin, r.voucher_expiry_at,
       r.error_message, r.retry_count, r.created_at, r.updated_at
FROM campaign_promotion_voucher_results r
JOIN campaign_promotion_voucher_targets t ON t.voucher_target_id = r.voucher_target_id
JOIN campaign_promotions p ON p.promotion_id = r.promotion_id;
