-- What the protocol and its operators need beside the contract's tables.

-- One row per promotion: which file it came from and how far its load is (committed together with each
-- batch, so that a killed load goes on where it stopped), and between which ids its targets lie (so that
-- paging, proving and rebuilding touch no other promotion's rows). The dispatcher adds the row of a
-- promotion that another system wrote; file_hash is NULL there.
CREATE TABLE campaign_promotion_loads (
  promotion_id    BIGINT        NOT NULL,
  file_name       VARCHAR(255)  NULL,
  file_hash       CHAR(64)      NULL,
  file_bytes      BIGINT        NOT NULL DEFAULT 0,
  byte_offset     BIGINT        NOT NULL DEFAULT 0,
  line_number     BIGINT        NOT NULL DEFAULT 0,
  loaded_count    BIGINT        NOT NULL DEFAULT 0,
  rejected_count  BIGINT        NOT NULL DEFAULT 0,
  loaded_amount   DECIMAL(20,2) NOT NULL DEFAULT 0,
  first_target_id BIGINT        NULL,
  last_target_id  BIGINT        NULL,
  options_hash    CHAR(64)      NULL,
  sealed_at       DATETIME      NULL,
  created_at      DATETIME      NULL,
  updated_at      DATETIME      NULL,
  PRIMARY KEY (promotion_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- Every write of an operator: who, when, what, why, how many, how much. Rows are only ever added.
CREATE TABLE payout_audit (
  audit_id     BIGINT        NOT NULL AUTO_INCREMENT,
  at           DATETIME      NOT NULL,
  actor        VARCHAR(100)  NOT NULL,
  action       VARCHAR(50)   NOT NULL,
  promotion_id BIGINT        NULL,
  target_id    BIGINT        NULL,
  filter       VARCHAR(1000) NULL,
  reason       VARCHAR(500)  NOT NULL,
  item_count   BIGINT        NOT NULL DEFAULT 0,
  amount       DECIMAL(20,2) NOT NULL DEFAULT 0,
  detail       TEXT          NULL,
  PRIMARY KEY (audit_id),
  KEY ix_promotion (promotion_id, audit_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- Payout types beyond VOUCHER and POINT, of the shape of POINT. `promoctl type add` makes their tables.
CREATE TABLE payout_types (
  code        VARCHAR(20)  NOT NULL,
  charge_path VARCHAR(200) NOT NULL,
  created_by  VARCHAR(100) NULL,
  created_at  DATETIME     NOT NULL,
  PRIMARY KEY (code)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
