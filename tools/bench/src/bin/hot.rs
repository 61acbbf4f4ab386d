//! The pure code that every payout passes, so often: for counting its instructions (`tests/instructions.rs`).

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use chrono::{NaiveDate, NaiveDateTime};
use clap::{Parser, ValueEnum};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use pipeline::domain::decide::{Request, Rules, UNANSWERED_FOR};
use pipeline::domain::ids::partition_key;
use pipeline::domain::outcome::Verdict;
use pipeline::domain::promotion::Defaults;
use pipeline::domain::result::AttemptToken;
use pipeline::domain::{
    Amount, CustomerUid, Partition, PayoutType, ProcessStatus, Promotion, PromotionId, PromotionStatus, ResultRow,
    SummaryId, Target, TargetId,
};
use pipeline::keys::{self, IdempotencyKey};
use pipeline::money::{Contract, Exchange, charge_body};
use pipeline::record::Record;

/// A piece of the path of a payout
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Piece {
    /// Nothing: what the loop itself costs
    Nothing,
    /// Dispatcher: partition of a customer, and the record's bytes
    Publish,
    /// Payer: the record of an entry
    Decode,
    /// Payer: what is done about a row, before and after the answer
    Decide,
    /// Payer: key and body of a charge
    Ask,
    /// Payer: what an answer proves
    Classify,
}

#[derive(Debug, Parser)]
struct Cli {
    /// Which piece
    piece: Piece,
    /// How often
    times: i64,
}

fn main() {
    let Cli { piece, times } = Cli::parse();
    let example = Example::new();
    for number in 0..times {
        match piece {
            Piece::Nothing => drop(black_box(number)),
            Piece::Publish => example.publish(black_box(number)),
            Piece::Decode => example.decode(),
            Piece::Decide => example.decide(),
            Piece::Ask => example.ask(),
            Piece::Classify => example.classify(),
        }
    }
}

/// One payout of points, as there are millions.
struct Example {
    promotion: Promotion,
    target: Target,
    row: ResultRow,
    now: NaiveDateTime,
    rules: Rules,
    record: Vec<u8>,
    contract: Contract,
    key: IdempotencyKey,
    answer: Exchange,
}

const TOKEN: AttemptToken = AttemptToken(7);

impl Example {
    fn new() -> Self {
        let now = NaiveDate::from_ymd_opt(2026, 11, 20).and_then(|day| day.and_hms_opt(12, 0, 0)).unwrap_or_default();
        let promotion = Promotion {
            id: PromotionId(42),
            summary: SummaryId(42),
            campaign_code: "SPRING_2026".into(),
            kind: Arc::new(PayoutType::point()),
            status: PromotionStatus::InProgress,
            total_count: 1_000_000,
            total_amount: Amount::ZERO,
            partition_count: 4,
            reservation_at: None,
            reservation_priority: None,
            defaults: Defaults { reason: Some("Spring campaign".into()), ..Defaults::default() },
        };
        let target = Target {
            id: TargetId(123_456_789),
            customer: CustomerUid(9_876_543_210),
            amount: Amount::parse("10000.50").ok(),
            reason: None,
            expired_at: Some("2026-12-31".to_owned()),
            merchant_code: Some("M-1".to_owned()),
            voucher_number: None,
            is_withdrawal: false,
        };
        let row = ResultRow {
            status: ProcessStatus::Pending,
            retry_count: 0,
            may_have_executed: false,
            generation: 1,
            requeues: 0,
            first_sent_at: Some(now),
            waits: None,
            token: TOKEN,
            updated_at: Some(now),
        };
        let rules = Rules {
            lookup: true,
            cancel: true,
            max_attempts: 5,
            key_lifetime: Duration::from_secs(86_400),
            unanswered_for: UNANSWERED_FOR,
        };
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let body = Bytes::from_static(br#"{"data":{"moneyKey":"mk-000000123456"},"meta":{"result":"SUCCESS"}}"#);
        let key = IdempotencyKey::new(&promotion.campaign_code, target.customer, 1);
        let record = record(&promotion, target.id).encode();
        let contract = Contract::new(vec!["CUSTOMER_NOT_ELIGIBLE".to_owned()], chrono_tz::Asia::Seoul)
            .unwrap_or_else(|error| panic!("{error}"));
        let answer = Exchange::Complete { status: StatusCode::OK, headers, body };
        Self { promotion, target, row, now, rules, record, contract, key, answer }
    }

    fn publish(&self, number: i64) {
        let customer = CustomerUid(number);
        black_box(partition_key(self.promotion.id, customer, self.promotion.partition_count));
        let mut bytes = Vec::with_capacity(64);
        record(&self.promotion, TargetId(number)).encode_into(&mut bytes);
        black_box(bytes);
    }

    fn decode(&self) {
        let _ = black_box(Record::decode(black_box(&self.record)));
    }

    fn decide(&self) {
        let (row, now) = (black_box(&self.row), self.now);
        let unpayable = self.target.unpayable(self.promotion.kind.shape, &self.promotion.defaults);
        black_box(self.rules.first_delivery(row, TOKEN, unpayable, now));
        black_box(self.rules.may_still_send(row, Request::Charge, now));
        black_box(self.rules.charged(row, black_box(Verdict::Paid), false, now));
        let paid = ResultRow { status: ProcessStatus::Success, ..*row };
        black_box(Rules::written(&paid));
    }

    fn ask(&self) {
        let target = black_box(&self.target);
        black_box(IdempotencyKey::new(&self.promotion.campaign_code, target.customer, 1));
        black_box(charge_body(&self.promotion.kind, &self.promotion, target));
        black_box(keys::targets(Partition { promotion: self.promotion.id, number: 1 }));
    }

    fn classify(&self) {
        let answer =
            self.contract.classify(Request::Charge, &self.key, black_box(&self.answer), SystemTime::UNIX_EPOCH);
        assert!(answer.verdict == Verdict::Paid, "the example is a payment");
        black_box(answer);
    }
}

fn record(promotion: &Promotion, target: TargetId) -> Record {
    Record { kind: promotion.kind.code.clone(), promotion: promotion.id, target, published_at_ms: 1_790_000_000_000 }
}
