-- What an operator means to try again, target by target: shown before it is done, and done exactly as shown.
--   plan_status   DRAFT while it is being made, READY, APPLYING from the first slice on, APPLIED when nothing is left
--   target_count, amount   what would be tried again
--   plan_hash     over the planned targets as they stood; a set that has changed meanwhile is refused
--   left_out      JSON: what the filter also means and why it is not tried again, with counts and money
CREATE TABLE payout_retry_plans (
  plan_id      BIGINT        NOT NULL AUTO_INCREMENT,
  promotion_id BIGINT        NOT NULL,
  plan_status  VARCHAR(20)   NOT NULL,
  filter       VARCHAR(1000) NOT NULL,
  target_count BIGINT        NOT NULL DEFAULT 0,
  amount       DECIMAL(20,2) NOT NULL DEFAULT 0,
  plan_hash    CHAR(64)      NULL,
  left_out     TEXT          NULL,
  created_by   VARCHAR(100)  NOT NULL,
  created_at   DATETIME      NOT NULL,
  applied_by   VARCHAR(100)  NULL,
  reason       VARCHAR(500)  NULL,
  applied_at   DATETIME      NULL,
  finished_at  DATETIME      NULL,
  PRIMARY KEY (plan_id),
  KEY ix_promotion (promotion_id, plan_id),
  CONSTRAINT ck_plan_status CHECK (plan_status IN ('DRAFT', 'READY', 'APPLYING', 'APPLIED'))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- The targets of a plan, some 60 bytes each, so that neither the command nor its repetition holds them in memory.
--   key_generation, requeues, error_code   how the row stood
--   takes         SAME or NEXT: the key of its next attempts
--   became        how far it is: nothing yet, or what came of it (committed together with the row itself)
CREATE TABLE payout_retry_plan_targets (
  plan_id        BIGINT        NOT NULL,
  target_id      BIGINT        NOT NULL,
  key_generation INT           NOT NULL,
  requeues       INT           NOT NULL,
  takes          VARCHAR(10)   NOT NULL,
  error_code     VARCHAR(50)   NULL,
  amount         DECIMAL(15,2) NOT NULL,
  became         VARCHAR(20)   NULL,
  PRIMARY KEY (plan_id, target_id),
  CONSTRAINT fk_plan_targets_plan FOREIGN KEY (plan_id) REFERENCES payout_retry_plans (plan_id) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
