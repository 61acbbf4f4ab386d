//! Reading money's ledger: NDJSON over HTTP, a line at a time.

use std::borrow::Cow;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longest wait for a connection, for the answer to begin and for each piece of it: the ledger is a stream of any
/// length, so only silence is bounded.
const SILENCE: Duration = Duration::from_secs(30);
/// Longest line; an entry has some 300 bytes.
const MAX_LINE: usize = 64 * 1024;

/// Borrowed from the line unless it has escapes.
#[derive(Deserialize, Debug)]
#[serde(transparent)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// What happened under a key.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    /// Paid.
    Paid,
    /// Refused.
    Declined,
    /// Burnt.
    Cancelled,
    /// Something that moves no money as far as we know.
    #[serde(other)]
    Other,
}

/// An entry of the ledger.
#[derive(Deserialize, Debug)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry<'a> {
    pub(super) kind: Kind,
    #[serde(borrow)]
    pub(super) key: Text<'a>,
    #[serde(default)]
    pub(super) customer_uid: Option<i64>,
    #[serde(borrow, default)]
    campaign_code: Option<Text<'a>>,
    #[serde(borrow, default)]
    amount: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) money_key: Option<Text<'a>>,
}

impl Entry<'_> {
    /// The amount in hundredths, exactly; nothing where it has none, or a finer one.
    pub(super) fn cents(&self) -> Option<i64> {
        let text = self.amount?.get().trim_matches('"');
        let cents = Decimal::from_str_exact(text).ok()?.checked_mul(Decimal::ONE_HUNDRED)?.normalize();
        (cents.scale() == 0).then(|| i64::try_from(cents.mantissa()).ok()).flatten()
    }

    /// The campaign.
    pub(super) fn campaign(&self) -> Option<&str> {
        self.campaign_code.as_ref().map(|code| code.0.as_ref())
    }
}

/// Reads a line.
pub(super) fn parse(line: &[u8]) -> serde_json::Result<Entry<'_>> {
    serde_json::from_slice(line)
}

/// Gives every entry of the ledger at `base` to `take`, and tells how many there were. Holds a line and a piece of the
/// answer in memory, whatever the length of the ledger.
pub(super) async fn read(base: &str, mut take: impl FnMut(&Entry<'_>)) -> Result<u64> {
    let mut body = open(base).await.with_context(|| format!("cannot read the ledger at {base}"))?;
    let mut lines = Lines::default();
    loop {
        let frame = timeout(SILENCE, body.frame()).await.context("the ledger has fallen silent")?;
        let Some(frame) = frame else { break };
        if let Ok(piece) = frame.context("the ledger broke off")?.into_data() {
            lines.piece(&piece, &mut take)?;
        }
    }
    lines.end(&mut take)
}

/// The bytes of a line that has not ended, and the number of lines so far.
#[derive(Default)]
struct Lines {
    rest: Vec<u8>,
    number: u64,
}

impl Lines {
    fn piece(&mut self, mut piece: &[u8], take: &mut impl FnMut(&Entry<'_>)) -> Result<()> {
        while let Some(end) = piece.iter().position(|byte| *byte == b'\n') {
            let (line, behind) = piece.split_at(end);
            if self.rest.is_empty() {
                self.line(line, take)?;
            } else {
                self.rest.extend_from_slice(line);
                let line = std::mem::take(&mut self.rest);
                self.line(&line, take)?;
            }
            piece = &behind[1..];
        }
        self.rest.extend_from_slice(piece);
        if self.rest.len() > MAX_LINE {
            bail!("line {} of the ledger has more than {MAX_LINE} bytes", self.number + 1);
        }
        Ok(())
    }

    fn end(mut self, take: &mut impl FnMut(&Entry<'_>)) -> Result<u64> {
        let line = std::mem::take(&mut self.rest);
        self.line(&line, take)?;
        Ok(self.number)
    }

    fn line(&mut self, line: &[u8], take: &mut impl FnMut(&Entry<'_>)) -> Result<()> {
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        self.number += 1;
        // The line itself may name a person, so the error shows only what is wrong with it.
        let entry = parse(line).with_context(|| format!("line {} of the ledger is not an entry", self.number))?;
        take(&entry);
        Ok(())
    }
}

async fn open(base: &str) -> Result<hyper::body::Incoming> {
    let uri: Uri = format!("{}/ledger", base.trim_end_matches('/')).parse().context("not a URL")?;
    if uri.scheme_str() != Some("http") {
        bail!("only http:// is supported");
    }
    let authority = uri.authority().context("the URL has no host")?.clone();
    let address = (authority.host().trim_matches(['[', ']']).to_owned(), authority.port_u16().unwrap_or(80));
    let stream = timeout(SILENCE, TcpStream::connect(address)).await.context("connecting took too long")??;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let path = uri.path_and_query().map_or("/ledger", |path| path.as_str());
    let request = Request::get(path).header(header::HOST, authority.as_str()).body(Empty::<Bytes>::new())?;
    let response = timeout(SILENCE, sender.send_request(request)).await.context("no answer in time")??;
    match response.status() {
        StatusCode::OK => Ok(response.into_body()),
        status => bail!("it answered {status}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_however_the_answer_is_cut() {
        let text = "{\"kind\":\"paid\",\"key\":\"C_1\"}\n\n{\"kind\":\"refunded\",\"key\":\"C_2\"}\n{\"kind\":\"cancelled\",\"key\":\"C_3\"}";
        for size in 1..text.len() {
            let (mut lines, mut keys) = (Lines::default(), Vec::new());
            let mut take = |entry: &Entry<'_>| keys.push((entry.kind, entry.key.0.to_string()));
            for piece in text.as_bytes().chunks(size) {
                lines.piece(piece, &mut take).unwrap();
            }
            assert_eq!(lines.end(&mut take).unwrap(), 3);
            let expected = [(Kind::Paid, "C_1"), (Kind::Other, "C_2"), (Kind::Cancelled, "C_3")];
            assert_eq!(keys, expected.map(|(kind, key)| (kind, key.to_owned())), "{size}");
        }
    }

    #[test]
    fn amounts_are_exact() {
        for (amount, cents) in [
            ("\"10000.50\"", Some(1_000_050)),
            ("10000", Some(1_000_000)),
            ("\"0.01\"", Some(1)),
            ("\"0.005\"", None),
            ("null", None),
            ("\"9999999999999.99\"", Some(999_999_999_999_999)),
        ] {
            let line = format!("{{\"kind\":\"paid\",\"key\":\"C_1\",\"amount\":{amount}}}");
            assert_eq!(parse(line.as_bytes()).unwrap().cents(), cents, "{amount}");
        }
    }
}
