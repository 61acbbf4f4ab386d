//! Campaigns from their first row to their last.

use acceptance::{Plan, World};

use crate::LONG;

#[test]
fn a_campaign_is_paid_exactly_once_and_adds_up() {
    let world = World::build().money(&["--fail-before", "0.02", "--refuse", "0.01", "--lose", "0.01"]).start();
    let points = world.write(&Plan::points("SPRING", 2000));
    let vouchers = world.write(&Plan::vouchers("SUMMER", 1000).partitions(3));
    let _stages = world.run(2);
    for campaign in [&points, &vouchers] {
        world.completed(campaign, LONG);
        let books = world.books(campaign);
        books.assert_closed();
        assert_eq!(books.rows.len(), campaign.targets as usize);
        let refused = books.with(Some("FAILED"));
        assert_eq!(refused.len(), books.ledger.count("declined"), "{:?}", books.overview());
        assert!(refused.iter().all(|row| row.error_code.as_deref() == Some("CUSTOMER_NOT_ELIGIBLE")));
    }
    assert_eq!(world.money.stat("/charge/outcomes/key_reused"), 0);
}

#[test]
fn what_cannot_be_read_of_a_payment_is_said_beside_it() {
    // 64 bytes are the longest PIN that has a place.
    let world = World::build().money(&["--pin-prefix", &"9".repeat(64)]).start();
    let campaign = world.write(&Plan::vouchers("SPRING", 40));
    let stages = world.run(1);
    world.completed(&campaign, LONG);
    world.books(&campaign).assert_paid_and_closed();
    let said = "SELECT COUNT(*) FROM campaign_promotion_voucher_results WHERE voucher_pin IS NULL AND voucher_code IS NOT NULL \
        AND error_code IS NULL AND error_message = 'paid, but voucherPin could not be read'";
    assert_eq!(world.sql.number(said), 40);
    assert!(stages.payers[0].metric("payout_stage_errors_total", "class=\"money\"") >= 40.0);
}
