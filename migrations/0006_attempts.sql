-- What came of a target's attempts, oldest first: for people, nothing decides by it. A line for each outcome that is more than a
-- plain payment at the first attempt (that one stands in the row itself, and costs nothing here):
-- local time, key generation, effect, error code. Written by the statement that records the outcome; the last 2,000 characters.
-- `promoctl migrate` adds it to the tables of types that were added to `payout_types`, too.
ALTER TABLE campaign_promotion_point_results ADD COLUMN attempts VARCHAR(2000) NULL;
