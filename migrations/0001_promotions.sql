-- What is to be paid, how it is going, to whom, and what became of it.
-- All DATETIME columns hold local time of the one configured zone (PAYOUT_TIME_ZONE), bound by the stages.
-- utf8mb4_bin: codes and keys are compared byte for byte, as `money` compares them.

CREATE TABLE campaign_promotions (
  promotion_id         BIGINT        NOT NULL AUTO_INCREMENT,
  campaign_code        VARCHAR(50)   NOT NULL,
  external_id          VARCHAR(40)   NOT NULL,
  promotion_type       VARCHAR(20)   NOT NULL,
  promotion_status     VARCHAR(30)   NOT NULL,
  total_count          INT           NOT NULL DEFAULT 0,
  total_amount         DECIMAL(18,2) NOT NULL DEFAULT 0,
  partition_count      INT           NOT NULL DEFAULT 4,
  reservation_at       DATETIME      NULL,
  reservation_priority INT           NULL,
  default_reason       VARCHAR(500)  NULL,
  default_amount       DECIMAL(15,2) NULL,
  default_expiry_at    DATETIME      NULL,
  created_by           VARCHAR(50)   NULL,
  created_at           DATETIME      NULL,
  updated_by           VARCHAR(50)   NULL,
  updated_at           DATETIME      NULL,
  PRIMARY KEY (promotion_id),
  UNIQUE KEY uk_campaign_code (campaign_code),
  UNIQUE KEY uk_external_id (external_id),
  -- Due promotions, and every stage's poll for the running ones.
  KEY ix_due (promotion_status, reservation_at, reservation_priority),
  CONSTRAINT ck_promotion_status CHECK
    (promotion_status IN ('LOADING', 'READY', 'IN_PROGRESS', 'COMPLETED', 'STOPPED', 'FAILED')),
  CONSTRAINT ck_partition_count CHECK (partition_count BETWEEN 1 AND 64)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE campaign_promotion_summary (
  promotion_summary_id BIGINT       NOT NULL AUTO_INCREMENT,
  promotion_id         BIGINT       NOT NULL,
  published_count      INT          NOT NULL DEFAULT 0,
  success_count        INT          NOT NULL DEFAULT 0,
  fail_count           INT          NOT NULL DEFAULT 0,
  retry_success_count  INT          NOT NULL DEFAULT 0,
  started_at           DATETIME     NULL,
  completed_at         DATETIME     NULL,
  stopped_at           DATETIME     NULL,
  stopped_memo         VARCHAR(500) NULL,
  created_by           VARCHAR(50)  NULL,
  created_at           DATETIME     NULL,
  updated_by           VARCHAR(50)  NULL,
  updated_at           DATETIME     NULL,
  PRIMARY KEY (promotion_summary_id),
  UNIQUE KEY uk_promotion (promotion_id),
  CONSTRAINT fk_summary_promotion FOREIGN KEY (promotion_id) REFERENCES campaign_promotions (promotion_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- room: a row that grows is not updated in place, and InnoDB then reorganizes page after page. PENDING gives
-- its two bytes of room to PUBLISHED, and a result's room goes to its transaction key: 5 µs and 2 KB of redo a payout
-- less.
--
-- Targets are paged by primary key. publish_status stands in no index: with one, marking a row PUBLISHED
-- cost 22 to 25 microseconds instead of 4 to 7, more than everything else about a payout together.
CREATE TABLE campaign_promotion_point_targets (
  point_target_id     BIGINT        NOT NULL AUTO_INCREMENT,
  promotion_id        BIGINT        NOT NULL,
  customer_uid        BIGINT        NOT NULL,
  merchant_code       VARCHAR(30)   NULL,
  merchant_brand_code VARCHAR(20)   NULL,
  amount              DECIMAL(15,2) NULL,
  expired_at          VARCHAR(10)   NULL,
  reason              VARCHAR(500)  NULL,
  partition_key       INT           NOT NULL,
  publish_status      VARCHAR(20)   NOT NULL DEFAULT 'PENDING',
  room                VARCHAR(2)    NOT NULL DEFAULT '--',
  created_at          DATETIME      NULL,
  updated_at          DATETIME      NULL,
  PRIMARY KEY (point_target_id),
  UNIQUE KEY uk_promotion_customer (promotion_id, customer_uid),
  CONSTRAINT fk_point_targets_promotion FOREIGN KEY (promotion_id) REFERENCES campaign_promotions (promotion_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE campaign_promotion_voucher_targets (
  voucher_target_id   BIGINT        NOT NULL AUTO_INCREMENT,
  promotion_id        BIGINT        NOT NULL,
  customer_uid        BIGINT        NOT NULL,
  voucher_number      VARCHAR(40)   NULL,
  merchant_code       VARCHAR(30)   NULL,
  merchant_brand_code VARCHAR(20)   NULL,
  amount              DECIMAL(15,2) NULL,
  expired_at          VARCHAR(10)   NULL,
  reason              VARCHAR(500)  NULL,
  is_withdrawal       TINYINT(1)    NOT NULL DEFAULT 0,
  partition_key       INT           NOT NULL,
  publish_status      VARCHAR(20)   NOT NULL DEFAULT 'PENDING',
  room                VARCHAR(2)    NOT NULL DEFAULT '--',
  created_at          DATETIME      NULL,
  updated_at          DATETIME      NULL,
  PRIMARY KEY (voucher_target_id),
  UNIQUE KEY uk_promotion_customer (promotion_id, customer_uid),
  CONSTRAINT fk_voucher_targets_promotion FOREIGN KEY (promotion_id) REFERENCES campaign_promotions (promotion_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- Results carry no foreign key and no index on process_status: both together cost more than the payment
-- itself (outcome 8.9 against 21.3 microseconds a row). A result is only ever written for a target that was read.
--   may_have_executed  an attempt under the present key may have been executed without our knowing
--   key_generation     which idempotency key the next attempt uses; only a requeue moves it on
--   attempt_token      whose intent the row carries
--   first_sent_at      when the present key was first sent; nothing is sent once `money` may have forgotten it
--   waits_for          why the row waits for a person, when it does
--   room               keeps the row's length until the transaction key takes it over
CREATE TABLE campaign_promotion_point_results (
  point_target_id   BIGINT       NOT NULL,
  promotion_id      BIGINT       NOT NULL,
  process_status    VARCHAR(30)  NOT NULL,
  transaction_key   VARCHAR(100) NULL,
  error_code        VARCHAR(50)  NULL,
  error_message     VARCHAR(500) NULL,
  retry_count       INT          NOT NULL DEFAULT 0,
  may_have_executed TINYINT(1)   NOT NULL DEFAULT 0,
  key_generation    INT          NOT NULL DEFAULT 1,
  requeues          INT          NOT NULL DEFAULT 0,
  attempt_token     BIGINT       NOT NULL DEFAULT 0,
  first_sent_at     DATETIME     NULL,
  waits_for         VARCHAR(30)  NULL,
  room              VARBINARY(255) NULL,
  created_at        DATETIME     NULL,
  updated_at        DATETIME     NULL,
  PRIMARY KEY (point_target_id),
  CONSTRAINT ck_point_process_status CHECK (process_status IN ('PENDING', 'RETRYING', 'SUCCESS', 'FAILED'))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE campaign_promotion_voucher_results (
  voucher_target_id BIGINT         NOT NULL,
  promotion_id      BIGINT         NOT NULL,
  process_status    VARCHAR(30)    NOT NULL,
  transaction_key   VARCHAR(100)   NULL,
  voucher_code      VARCHAR(50)    NULL,
  voucher_pin       VARBINARY(128) NULL,
  voucher_expiry_at DATETIME       NULL,
  error_code        VARCHAR(50)    NULL,
  error_message     VARCHAR(500)   NULL,
  retry_count       INT            NOT NULL DEFAULT 0,
  may_have_executed TINYINT(1)     NOT NULL DEFAULT 0,
  key_generation    INT            NOT NULL DEFAULT 1,
  requeues          INT            NOT NULL DEFAULT 0,
  attempt_token     BIGINT         NOT NULL DEFAULT 0,
  first_sent_at     DATETIME       NULL,
  waits_for         VARCHAR(30)    NULL,
  room              VARBINARY(255) NULL,
  created_at        DATETIME       NULL,
  updated_at        DATETIME       NULL,
  PRIMARY KEY (voucher_target_id),
  CONSTRAINT ck_voucher_process_status CHECK (process_status IN ('PENDING', 'RETRYING', 'SUCCESS', 'FAILED'))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
