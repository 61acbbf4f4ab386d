-- As 0006, for vouchers: a file of its own, so that one that is interrupted has changed all of its table or nothing.
ALTER TABLE campaign_promotion_voucher_results ADD COLUMN attempts VARCHAR(2000) NULL;
