//! A money service that does not honour idempotency keys. `cargo xtask prove weaker-money` kills 200 times.

use std::time::SystemTime;

use acceptance::weaker;

#[test]
fn with_a_look_up_alone_killed_payers_and_retriers_pay_nobody_twice() {
    weaker::killed(20, SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs());
}

#[test]
fn with_a_look_up_alone_a_frozen_payer_pays_no_more_twice_than_it_was_about_to_send() {
    weaker::frozen(2);
}

#[test]
fn with_neither_key_nor_look_up_the_product_says_so_and_counts_what_may_have_been_sent_twice() {
    weaker::without_look_up(5);
}
