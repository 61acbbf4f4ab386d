//! The header row: which column of the contract stands where.

use pipeline::domain::Shape;

use super::encoding::Encoding;
use super::record::Record;

/// A column of the contract.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Column {
    /// Who is paid. Required.
    CustomerUid,
    /// How much.
    Amount,
    /// Why.
    Reason,
    /// Until when.
    ExpiredAt,
    /// Merchant code.
    MerchantCode,
    /// Merchant's brand.
    MerchantBrandCode,
    /// Vouchers: which voucher. Required there.
    VoucherNumber,
    /// Vouchers: whether it is one for withdrawal.
    IsWithdrawal,
}

impl Column {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::CustomerUid,
        Self::Amount,
        Self::Reason,
        Self::ExpiredAt,
        Self::MerchantCode,
        Self::MerchantBrandCode,
        Self::VoucherNumber,
        Self::IsWithdrawal,
    ];

    /// Its name in the header.
    pub fn name(self) -> &'static str {
        match self {
            Self::CustomerUid => "customer_uid",
            Self::Amount => "amount",
            Self::Reason => "reason",
            Self::ExpiredAt => "expired_at",
            Self::MerchantCode => "merchant_code",
            Self::MerchantBrandCode => "merchant_brand_code",
            Self::VoucherNumber => "voucher_number",
            Self::IsWithdrawal => "is_withdrawal",
        }
    }

    /// Most characters that the table's column holds.
    pub fn max_chars(self) -> usize {
        match self {
            Self::CustomerUid => 19,
            Self::Amount => 32,
            Self::Reason => 500,
            Self::ExpiredAt => 10,
            Self::MerchantCode => 30,
            Self::MerchantBrandCode => 20,
            Self::VoucherNumber => 40,
            Self::IsWithdrawal => 5,
        }
    }

    /// Whether its values must not be shown: they tell who somebody is, or are worth money.
    pub fn is_personal(self) -> bool {
        match self {
            Self::CustomerUid | Self::Reason | Self::VoucherNumber => true,
            Self::Amount | Self::ExpiredAt | Self::MerchantCode | Self::MerchantBrandCode | Self::IsWithdrawal => false,
        }
    }

    fn belongs_to(self, shape: Shape) -> bool {
        match (self, shape) {
            (Self::VoucherNumber | Self::IsWithdrawal, Shape::Point) => false,
            (_, Shape::Point | Shape::Voucher) => true,
        }
    }
}

/// Where each column stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    columns: Vec<Column>,
    places: [Option<usize>; Column::ALL.len()],
}

impl Header {
    /// Reads the header row.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn read(record: &Record<'_>, encoding: Encoding, shape: Shape) -> Result<Self, String> {
        let line = record.line;
        if record.fault.is_some() || record.field_count > record.fields.len() {
            return Err(format!("line {line}: this is not a header row of column names separated by commas"));
        }
        let mut header = Self { columns: Vec::new(), places: [None; Column::ALL.len()] };
        for (place, field) in record.fields.iter().enumerate() {
            let bytes = record.bytes.get(field.begin..field.end).unwrap_or_default();
            let decoded = encoding.decode(bytes).or_else(|| Encoding::Cp949.decode(bytes));
            let name = decoded.unwrap_or_else(|| String::from_utf8_lossy(bytes));
            if let [_] = record.fields
                && let Some(problem) = wrong_delimiter(&name)
            {
                return Err(format!("line {line}: {problem}"));
            }
            let column = known(&name, shape).map_err(|problem| format!("line {line}: {problem}"))?;
            if header.places[column as usize].replace(place).is_some() {
                return Err(format!("line {line}: the column {} stands there twice", column.name()));
            }
            header.columns.push(column);
        }
        let required = match shape {
            Shape::Point => &[Column::CustomerUid][..],
            Shape::Voucher => &[Column::CustomerUid, Column::VoucherNumber],
        };
        match required.iter().find(|column| !header.has(**column)) {
            Some(missing) => Err(format!("line {line}: the column {} is missing, which is required", missing.name())),
            None => Ok(header),
        }
    }

    /// The columns in the file's order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Where a column stands, counted from 0.
    pub fn place(&self, column: Column) -> Option<usize> {
        self.places[column as usize]
    }

    /// Whether the file has it.
    pub fn has(&self, column: Column) -> bool {
        self.place(column).is_some()
    }
}

fn wrong_delimiter(name: &str) -> Option<&'static str> {
    if name.contains(';') {
        Some("the columns are separated by semicolons; separate them by commas")
    } else if name.contains('\t') {
        Some("the columns are separated by tabs; separate them by commas")
    } else if name.contains('\r') {
        Some("the lines end in a carriage return alone; end them in a line feed")
    } else {
        None
    }
}

fn known(name: &str, shape: Shape) -> Result<Column, String> {
    if let Some(column) = Column::ALL.into_iter().find(|column| column.name() == name) {
        return match column.belongs_to(shape) {
            true => Ok(column),
            false => Err(format!("the column {name} belongs to vouchers, and this type is of the shape of points")),
        };
    }
    let ours = Column::ALL.into_iter().filter(|column| column.belongs_to(shape));
    let names = ours.clone().map(Column::name).collect::<Vec<_>>().join(", ");
    let lower = name.trim().to_lowercase();
    let nearest = ours
        .map(|column| (strsim::damerau_levenshtein(&lower, column.name()), column))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, column)| distance * 2 <= column.name().len());
    let shown: String = name.chars().take(40).collect();
    Err(match nearest {
        Some((_, column)) => format!("unknown column \"{}\"; did you mean {}?", shown.escape_debug(), column.name()),
        None => format!("unknown column \"{}\"; known are {names}", shown.escape_debug()),
    })
}

#[cfg(test)]
mod tests {
    use super::super::record::RecordReader;
    use super::*;

    fn read(text: &str, shape: Shape) -> Result<Header, String> {
        let mut reader = RecordReader::new(text.as_bytes()).unwrap();
        let record = reader.next_record().unwrap().unwrap();
        Header::read(&record, Encoding::Utf8, shape)
    }

    #[test]
    fn columns_are_found_by_name_in_any_order() {
        let header = read("amount,\"customer_uid\"\r\n", Shape::Point).unwrap();
        assert_eq!(header.place(Column::CustomerUid), Some(1));
        assert_eq!(header.place(Column::Amount), Some(0));
        assert_eq!(header.place(Column::Reason), None);
    }

    #[test]
    fn a_wrong_header_says_what_to_change() {
        let table = [
            ("customer_uid,amuont", Shape::Point, "line 1: unknown column \"amuont\"; did you mean amount?"),
            ("Customer_UID", Shape::Point, "line 1: unknown column \"Customer_UID\"; did you mean customer_uid?"),
            (
                "customer_uid,x",
                Shape::Point,
                "line 1: unknown column \"x\"; known are customer_uid, amount, reason, expired_at, merchant_code, merchant_brand_code",
            ),
            (
                "customer_uid,voucher_number",
                Shape::Point,
                "line 1: the column voucher_number belongs to vouchers, and this type is of the shape of points",
            ),
            ("customer_uid", Shape::Voucher, "line 1: the column voucher_number is missing, which is required"),
            ("\n\namount", Shape::Point, "line 3: the column customer_uid is missing, which is required"),
            ("customer_uid,customer_uid", Shape::Point, "line 1: the column customer_uid stands there twice"),
            (
                "customer_uid;amount",
                Shape::Point,
                "line 1: the columns are separated by semicolons; separate them by commas",
            ),
            (
                "customer_uid\tamount",
                Shape::Point,
                "line 1: the columns are separated by tabs; separate them by commas",
            ),
            (
                "customer_uid\r1\r2",
                Shape::Point,
                "line 1: the lines end in a carriage return alone; end them in a line feed",
            ),
        ];
        for (text, shape, expected) in table {
            assert_eq!(read(text, shape), Err(expected.to_owned()), "{text:?}");
        }
    }
}
