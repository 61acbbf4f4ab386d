-- What the outside is told by webhook. A row is added in the transaction of the change that it tells about, so that
-- exactly one stands here for each; a summarizer sends it afterwards, at least once.
--   event_id     the same at every attempt: receivers know repeats by it
--   body         what is sent, as it was when it happened
--   open_period  1 while payouts of the promotion wait for a person, NULL from then on: one message for each such time
--   attempts     how often it was taken to be sent; taking it is a compare-and-set on this
--   due_at_ms    not before, milliseconds since 1970. Whoever takes it moves this on by a lease; a change of clocks in
--                the configured zone must not stretch it, so it is not local time
CREATE TABLE payout_notifications (
  notification_id BIGINT       NOT NULL AUTO_INCREMENT,
  event_id        CHAR(36)     NOT NULL,
  promotion_id    BIGINT       NOT NULL,
  event           VARCHAR(30)  NOT NULL,
  state           VARCHAR(20)  NOT NULL DEFAULT 'WAITING',
  body            TEXT         NOT NULL,
  open_period     TINYINT      NULL,
  attempts        INT          NOT NULL DEFAULT 0,
  due_at_ms       BIGINT       NOT NULL DEFAULT 0,
  last_answer     VARCHAR(100) NULL,
  created_at      DATETIME     NOT NULL,
  updated_at      DATETIME     NOT NULL,
  PRIMARY KEY (notification_id),
  UNIQUE KEY uk_event (event_id),
  UNIQUE KEY uk_open_period (promotion_id, open_period),
  -- What is due, asked for every second; and what was given up, for boards and alerts.
  KEY ix_due (state, due_at_ms),
  CONSTRAINT ck_notification_state CHECK (state IN ('WAITING', 'DELIVERED', 'GIVEN_UP', 'SKIPPED'))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
