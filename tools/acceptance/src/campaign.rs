//! Promotions, written with plain SQL as another system would write them.

use rust_decimal::Decimal;

use crate::Sql;

/// Rows of one INSERT.
const BATCH: u32 = 1000;
/// Customers count from here, so that no customer's id looks like a target's.
const CUSTOMERS: i64 = 7_000_000;

/// A payout type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// `POINT`
    Point,
    /// `VOUCHER`
    Voucher,
}

impl Kind {
    /// As in `promotion_type`.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Point => "POINT",
            Self::Voucher => "VOUCHER",
        }
    }

    /// Middle of the tables' names and of the id's.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Point => "point",
            Self::Voucher => "voucher",
        }
    }
}

/// What is to be written.
#[derive(Clone, Debug)]
pub struct Plan {
    code: String,
    kind: Kind,
    targets: u32,
    partitions: u32,
    default_amount: Option<&'static str>,
    status: &'static str,
    reservation: &'static str,
    priority: Option<i32>,
    excess: u32,
}

impl Plan {
    /// Points for so many customers: amounts of their own, and every tenth the default one.
    pub fn points(code: &str, targets: u32) -> Self {
        Self {
            code: code.to_owned(),
            kind: Kind::Point,
            targets,
            partitions: 4,
            default_amount: Some("5000.00"),
            status: "READY",
            reservation: "NULL",
            priority: None,
            excess: 0,
        }
    }

    /// The same with vouchers.
    pub fn vouchers(code: &str, targets: u32) -> Self {
        Self { kind: Kind::Voucher, ..Self::points(code, targets) }
    }

    /// Over so many partitions instead of 4.
    #[must_use]
    pub fn partitions(self, partitions: u32) -> Self {
        Self { partitions, ..self }
    }

    /// Without a default amount: every tenth target cannot be paid.
    #[must_use]
    pub fn without_default(self) -> Self {
        Self { default_amount: None, ..self }
    }

    /// Due at an SQL time.
    #[must_use]
    pub fn due(self, reservation: &'static str, priority: i32) -> Self {
        Self { reservation, priority: Some(priority), ..self }
    }

    /// Claims so many more targets than there are.
    #[must_use]
    pub fn claims_more(self, excess: u32) -> Self {
        Self { excess, ..self }
    }

    /// In another status than READY.
    #[must_use]
    pub fn status(self, status: &'static str) -> Self {
        Self { status, ..self }
    }

    fn amount(&self, n: u32) -> Option<Decimal> {
        // Every tenth has none of its own; the others have cents in all their lengths.
        (!n.is_multiple_of(10)).then(|| Decimal::new(i64::from(10_000 + n % 5000 + n % 4 * 25), 2))
    }

    fn total(&self) -> Decimal {
        let default: Decimal = self.default_amount.map_or(Decimal::ZERO, |text| text.parse().expect("a number"));
        (1..=self.targets).map(|n| self.amount(n).unwrap_or(default)).sum()
    }

    /// Writes it in one transaction, so that nobody sees half of it.
    pub fn write(&self, sql: &Sql) -> Campaign {
        let (code, kind) = (&self.code, self.kind);
        let default = self.default_amount.map_or("NULL".to_owned(), str::to_owned);
        let priority = self.priority.map_or("NULL".to_owned(), |priority| priority.to_string());
        let promotion = format!(
            "INSERT INTO campaign_promotions (campaign_code, external_id, promotion_type, promotion_status, total_count, \
             total_amount, partition_count, reservation_at, reservation_priority, default_reason, default_amount, \
             default_expiry_at, created_by, created_at, updated_at) VALUES ('{code}', UUID(), '{}', '{}', {}, {}, {}, {}, \
             {priority}, 'a gift', {default}, '2030-12-31 00:00:00', 'admin', NOW(), NOW())",
            kind.code(),
            self.status,
            self.targets + self.excess,
            self.total(),
            self.partitions,
            self.reservation,
        );
        let mut statements = vec![promotion, "SET @promotion = LAST_INSERT_ID()".to_owned()];
        let mut from = 1;
        while from <= self.targets {
            let to = (from + BATCH - 1).min(self.targets);
            statements.push(self.insert(from, to));
            from = to + 1;
        }
        sql.transaction(statements);
        let id = sql.number(&format!("SELECT promotion_id FROM campaign_promotions WHERE campaign_code = '{code}'"));
        Campaign { id, code: code.clone(), kind, targets: self.targets, partitions: self.partitions }
    }

    fn insert(&self, from: u32, to: u32) -> String {
        let partitions = self.partitions;
        let values: Vec<String> = (from..=to)
            .map(|n| {
                let customer = CUSTOMERS + i64::from(n);
                let amount = self.amount(n).map_or("NULL".to_owned(), |amount| amount.to_string());
                let reason = if n.is_multiple_of(3) { "'Wëlcome, \"friend\" 🎁'" } else { "NULL" };
                let expiry = if n.is_multiple_of(7) { "'2031-01-31'" } else { "NULL" };
                let number = match self.kind {
                    Kind::Point => String::new(),
                    Kind::Voucher => format!(", 'V{n:06}', {}", u32::from(n.is_multiple_of(2))),
                };
                format!(
                    "(@promotion, {customer}, 'M01', {amount}, {reason}, {expiry}, \
                     MOD(CRC32(CONCAT(@promotion, {customer})), {partitions}), NOW(), NOW(){number})"
                )
            })
            .collect();
        let more = match self.kind {
            Kind::Point => "",
            Kind::Voucher => ", voucher_number, is_withdrawal",
        };
        format!(
            "INSERT INTO campaign_promotion_{}_targets (promotion_id, customer_uid, merchant_code, amount, reason, expired_at, \
             partition_key, created_at, updated_at{more}) VALUES {}",
            self.kind.name(),
            values.join(",")
        )
    }
}

/// A promotion that was written.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// `promotion_id`
    pub id: i64,
    /// `campaign_code`
    pub code: String,
    /// Its type.
    pub kind: Kind,
    /// How many targets.
    pub targets: u32,
    /// `partition_count`
    pub partitions: u32,
}

impl Campaign {
    /// The promotion with this code, whoever wrote it.
    ///
    /// # Panics
    /// When there is none.
    pub fn find(sql: &Sql, code: &str) -> Self {
        let (id, kind, targets, partitions): (i64, String, i32, i32) = sql.row(&format!(
            "SELECT promotion_id, CAST(promotion_type AS CHAR), total_count, partition_count FROM campaign_promotions \
             WHERE campaign_code = '{code}'"
        ));
        let kind = if kind == Kind::Voucher.code() { Kind::Voucher } else { Kind::Point };
        let (targets, partitions) = (targets.unsigned_abs(), partitions.unsigned_abs());
        Self { id, code: code.to_owned(), kind, targets, partitions }
    }

    /// The table of its targets.
    pub fn targets_table(&self) -> String {
        format!("campaign_promotion_{}_targets", self.kind.name())
    }

    /// The table of its results.
    pub fn results_table(&self) -> String {
        format!("campaign_promotion_{}_results", self.kind.name())
    }

    /// As if so much time had passed since anything became known of it: `2 HOUR`.
    pub fn age(&self, sql: &Sql, interval: &str) {
        let results = self.results_table();
        sql.execute(&format!(
            "UPDATE {results} SET first_sent_at = first_sent_at - INTERVAL {interval}, updated_at = updated_at - INTERVAL {interval} \
             WHERE promotion_id = {}",
            self.id
        ));
    }

    /// How many of its outcomes are unknown.
    pub fn unknown(&self, sql: &Sql) -> i64 {
        let results = self.results_table();
        sql.number(&format!(
            "SELECT COUNT(*) FROM {results} WHERE promotion_id = {} AND process_status = 'PENDING' AND may_have_executed = 1",
            self.id
        ))
    }

    /// The column with a target's id.
    pub fn id_column(&self) -> String {
        format!("{}_target_id", self.kind.name())
    }

    /// The idempotency key of a customer.
    pub fn key(&self, customer: i64, generation: i64) -> String {
        match generation {
            0 | 1 => format!("{}_{customer}", self.code),
            later => format!("{}_{customer}.g{later}", self.code),
        }
    }
}
