//! Inputs to begin from: one of each kind that the product knows, so that what is tried next lies near the rules.

use pipeline::domain::{PromotionId, TargetId};
use pipeline::record::{DeadLetter, Record, VERSION};

fn a_record(promotion: i64) -> Vec<u8> {
    let kind = "POINT".to_owned();
    let (promotion, target) = (PromotionId(promotion), TargetId(1 << 40));
    Record { kind, promotion, target, published_at_ms: 1_790_000_000_000 }.encode()
}

/// For the record decoder.
pub fn record() -> Vec<Vec<u8>> {
    let letter = DeadLetter {
        version: VERSION,
        kind: "VOUCHER".to_owned(),
        promotion: PromotionId(17),
        target: TargetId(9),
        generation: 2,
        attempts: 5,
        reason: "CLOSED".to_owned(),
        failed_at_ms: 1_790_000_000_000,
    };
    let later = [b"\x97\x02".as_slice(), &a_record(17)[2..], b"\xa3new"].concat();
    let headers: [&[u8]; 5] = [
        b"\x91\xcf\x00\x00\x00\x01\x00\x00\x00\x00",
        b"\xdd\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xdc\x00\x05\x01",
        b"",
    ];
    let mut seeds = vec![a_record(17), letter.encode(), later, vec![0x91; 600]];
    seeds.extend(headers.map(<[u8]>::to_vec));
    seeds
}

/// For files: the form in front, then the file.
pub fn csv() -> Vec<Vec<u8>> {
    let files: [(u8, &str); 10] = [
        (0, "customer_uid,amount\n1,10000\n2,10000.50\n"),
        (1, "1,10\n2,x\n2,5\n1,7\n\n3,0.10\r\n"),
        (1, "1,\"10\"\n2,\"a\"\"b\"\n3,\"a\nb\"\n4,a\"b\n5,1"),
        (1, "1,10\n2,\"never closed\n3,5\n"),
        (9, "7,\n8,1.005\n9,9999999999999.99\n9,99999999999999\n"),
        (2, "5,1,봄,2030-12-31\n5.5,2,,2030-02-30\n"),
        (3, "1,V1,5,true,M01\r\n2,,5,N,M01\r\n3,V3,,0,\r\n"),
        (0, "\u{feff}customer_uid,amount\r\n1,1\r\n"),
        (0, "customer_uid;amount\n1;1\n"),
        (8, "customer_uid\n1\n2\n\u{1}\n"),
    ];
    let mut seeds: Vec<Vec<u8>> = files.map(|(form, file)| [&[form], file.as_bytes()].concat()).to_vec();
    seeds.push([&[2_u8][..], b"5,1,\xba\xbd,\n"].concat());
    seeds
}

/// For answers: request, phase, place of the status, headers, body.
pub fn answer() -> Vec<Vec<u8>> {
    let bodies = [
        r#"{"data":{"moneyKey":"mk1"},"meta":{"result":"SUCCESS"}}"#,
        r#"{"data":{"moneyKey":"mk1","voucherCode":"VC1","voucherPin":"0042","voucherExpiryAt":"2026-12-31T23:59:59Z"},"meta":{"result":"SUCCESS"}}"#,
        r#"{"data":null,"meta":{"result":"FAIL","errorCode":"CLOSED","message":"SPRING_42 is closed"}}"#,
        r#"{"data":null,"meta":{"result":"FAIL","errorCode":"LIMIT"}}"#,
        r#"{"data":null,"meta":{"result":"FAIL","errorCode":"IN_PROGRESS"}}"#,
        r#"{"data":null,"meta":{"result":"SUCCESS"}}"#,
        "<html>Sign in</html>",
        "",
    ];
    let mut seeds = Vec::new();
    for (number, body) in (0_u8..).zip(bodies) {
        for request in 0..3 {
            for status in [0, 9 - number] {
                seeds.push([&[request, 4, status, 1, 0, 0, 0], body.as_bytes()].concat());
            }
        }
    }
    seeds.push(b"\x00\x04\x0f\x01\x00\x01\x02".to_vec());
    seeds.push(b"\x00\x04\x0d\x01\x01\x02\x1dSun, 06 Nov 1994 08:49:57 GMT".to_vec());
    seeds.extend((0..4).map(|phase| vec![0, phase, 1, 2, 3]));
    seeds
}

/// For configurations: form, two texts around the secret, variables, the file.
pub fn config() -> Vec<Vec<u8>> {
    let files = [
        "",
        "[money]\nmax_rps = 7\ntimeout = \"2s\"\nfinal_error_codes = [\"A\", \"B\"]\n",
        "[money]\ntimout = \"5s\"\n[retry]\ntick = 5\n",
        "[money\n",
        "a = 1\n[retry]\nvisibility_timeout = \"9s\"\n",
        "[log]\nfilter = \"[{f=.*.*.*}]=debug\"\n",
    ];
    let mut seeds: Vec<Vec<u8>> = Vec::new();
    for (number, file) in (0_u8..).zip(files) {
        seeds.push([&[number << 3, 0, 0], file.as_bytes()].concat());
    }
    for (number, value) in
        (0_u8..).zip(["5s", "500ms", "-1", "true", "info,pipeline=debug", "A,B", "UTC", "0.0.0.0:9464"])
    {
        let length = value.len() as u8;
        // The form of two variables whose faults are looked for one by one too.
        let two = [&[7, 0, 0, 7 * number, length], value.as_bytes(), &[11 * number + 3, length], value.as_bytes()];
        seeds.push(two.concat());
    }
    seeds.push(b"\x00\x0212\x03/x@".to_vec());
    seeds
}

/// For entries: replies of Redis, and lists of entries.
pub fn entry() -> Vec<Vec<u8>> {
    let record = a_record(17);
    let length = record.len() as u8;
    let head = format!("{length}\r\n");
    let raw = [
        b"*1\r\n*2\r\n$20\r\npromo:{17:0}:targets\r\n*1\r\n*2\r\n$3\r\n5-0\r\n*2\r\n$1\r\nd\r\n$".as_slice(),
        head.as_bytes(),
        &record,
        b"\r\n",
    ];
    let mut seeds = vec![raw.concat(), b"*-1\r\n".to_vec(), b"*1\r\n*2\r\n$1\r\nx\r\n*0\r\n".to_vec()];
    // One entry with the id 5-0 and one field: bytes of a record, or a record made of what follows.
    seeds.push([&[1, 0b0000_1000, 5, 0, 0, length], record.as_slice()].concat());
    seeds.push([&[1, 0b0000_1000, 5, 0, 1], 77_u64.to_be_bytes().as_slice(), &[9]].concat());
    seeds.push(
        [&[1, 0b0000_1010, 5], 3_u64.to_be_bytes().as_slice(), &[0, 9], &77_u64.to_be_bytes(), &[9, 1, 3]].concat(),
    );
    seeds.push(vec![2, 0b0000_0100, 5, 0b0000_0000, 6]);
    seeds
}
