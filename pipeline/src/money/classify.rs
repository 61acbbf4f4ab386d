//! What an exchange with `money` proves: the one place that decides it, total and without I/O.
//!
//! The rule behind every line: what is not listed is `Unknown`. Reading an unknown outcome as "not executed"
//! is harmless while the key is remembered; reading it as "refused" loses the proof that FAILED needs, so a
//! refusal takes a readable answer with a listed code. An answer that contradicts itself proves nothing.
//!
//! What one might look for and not find: HTTP/2, whose refused streams prove something, is never spoken; a compressed
//! body is never asked for, and is unreadable; an echo of key and amount is not in the contract (`promoctl audit`
//! compares the ledger instead); 451 says that a person must look and not whether anything was executed: it is unknown,
//! and waits for one when its attempts are used up.

use std::borrow::Cow;
use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use chrono::DateTime;
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName, StatusCode};

use super::envelope::Content;
use super::{ConnectProblem, Exchange, MoneyConfigError};
use crate::domain::decide::Request;
use crate::domain::outcome::{Answer, Verdict};
use crate::keys::IdempotencyKey;
use crate::mutant;

/// With 503 and the value `false`: the request was turned away before it was executed.
const PAYOUT_EXECUTED: HeaderName = HeaderName::from_static("payout-executed");
/// Longest wait that `money` may ask for; a longer one is cut, so that a mistake there cannot stop us for days.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(600);
/// `errorCode`s that say the key is still being executed. They can never be final refusals.
const IN_PROGRESS: [&str; 4] = ["IN_PROGRESS", "REQUEST_IN_PROGRESS", "PROCESSING", "EXECUTING"];
/// `errorCode` of a key that was used with another body. No refusal either.
const KEY_REUSED: &str = "KEY_REUSED";
/// `errorCode` under which a burnt key answers.
const CANCELLED: &str = "CANCELLED";
/// Most characters of a code, of `money` or ours.
const MAX_CODE: usize = 50;
/// `error_message VARCHAR(500)`.
const MAX_MESSAGE: usize = 500;

/// What is agreed with `money` beyond HTTP.
#[derive(Clone)]
pub struct Contract {
    final_error_codes: HashSet<String>,
    time_zone: chrono_tz::Tz,
    token: Option<String>,
}

impl Contract {
    /// The list of final refusals, and the zone of local times.
    ///
    /// # Errors
    /// [`MoneyConfigError::FinalCode`] for a code that is malformed or can never be a refusal.
    pub fn new(final_error_codes: Vec<String>, time_zone: chrono_tz::Tz) -> Result<Self, MoneyConfigError> {
        for code in &final_error_codes {
            let malformed = code.is_empty() || code.len() > MAX_CODE || !code.bytes().all(is_code_byte);
            if malformed || code == KEY_REUSED || IN_PROGRESS.contains(&code.as_str()) {
                return Err(MoneyConfigError::FinalCode(code.clone()));
            }
        }
        Ok(Self { final_error_codes: final_error_codes.into_iter().collect(), time_zone, token: None })
    }

    /// The token that is sent: an answer that repeats it is stored without it.
    #[must_use]
    pub fn hiding(self, token: Option<String>) -> Self {
        Self { token: token.filter(|token| !token.is_empty()), ..self }
    }

    /// What `exchange` proves about `key`. `now` is only for a `Retry-After` that is a date.
    pub fn classify(&self, request: Request, key: &IdempotencyKey, exchange: &Exchange, now: SystemTime) -> Answer {
        let answer = match exchange {
            Exchange::NotBuilt => Answer::new(Verdict::Fault, "REQUEST_NOT_BUILT"),
            Exchange::NotConnected { problem, detail } => not_connected(*problem, detail),
            Exchange::NoAnswer(silence) => Answer::new(Verdict::Unknown, silence.code()),
            Exchange::HeadersOnly { status, headers, problem } => {
                let mut answer = Answer::new(Verdict::Unknown, problem.code());
                answer.message = Some(format!("HTTP {}", status.as_u16()));
                answer.retry_after = retry_after(headers, now);
                answer
            }
            Exchange::Complete { status, headers, body } => {
                let content = Content::read(headers, body, self.time_zone);
                let mut answer = self.complete(request, *status, headers, content);
                answer.retry_after = match answer.verdict {
                    Verdict::NotExecuted | Verdict::Executing | Verdict::NotSeen | Verdict::Unknown => {
                        retry_after(headers, now)
                    }
                    Verdict::Paid
                    | Verdict::Refused
                    | Verdict::RefusalNotListed
                    | Verdict::Cancelled
                    | Verdict::KeyReused
                    | Verdict::KeyExpired
                    | Verdict::Fault => None,
                };
                answer
            }
        };
        self.printable(mutant::misread(request, answer), key)
    }

    /// Codes and messages as they may be stored and logged: short, without control characters, without the customer's keys
    /// (of any generation), without the token.
    fn printable(&self, mut answer: Answer, key: &IdempotencyKey) -> Answer {
        let (key, token) = (key.first_generation(), self.token.as_deref());
        let is_named_in = |text: &str| text.contains(key) || token.is_some_and(|token| text.contains(token));
        if let Cow::Owned(code) = &answer.code {
            let mut kept: String = code.chars().filter(|c| u8::try_from(*c).is_ok_and(is_code_byte)).collect();
            // It may become readable by what is left out.
            let is_secret = is_named_in(code) || is_named_in(&kept);
            kept.truncate(MAX_CODE);
            answer.code = if is_secret || kept.is_empty() { "UNPRINTABLE_CODE".into() } else { kept.into() };
        }
        answer.message = answer.message.map(|message| {
            let mut message: String = message.chars().filter(|c| !c.is_control()).collect();
            message = message.replace(key, "(key)");
            if let Some(token) = token {
                message = message.replace(token, "(token)");
            }
            message.chars().take(MAX_MESSAGE).collect()
        });
        answer
    }

    fn complete(&self, request: Request, status: StatusCode, headers: &HeaderMap, content: Content) -> Answer {
        let is_payment = matches!(content, Content::Paid { .. });
        let answer = match request {
            Request::Charge => self.charged(status, headers, content),
            Request::LookUp => self.looked_up(status, headers, content),
            Request::Cancel => self.cancelled(status, headers, content),
        };
        let contradicts = match answer.verdict {
            Verdict::NotExecuted | Verdict::Fault => is_payment || says_executed(headers) == Some(true),
            Verdict::NotSeen | Verdict::KeyReused | Verdict::KeyExpired | Verdict::Cancelled => is_payment,
            Verdict::Paid | Verdict::Refused | Verdict::RefusalNotListed | Verdict::Executing | Verdict::Unknown => {
                false
            }
        };
        if contradicts { by_status(Verdict::Unknown, status) } else { answer }
    }

    fn charged(&self, status: StatusCode, headers: &HeaderMap, content: Content) -> Answer {
        match status.as_u16() {
            200 | 201 => self.stored(status, content),
            402 => match content {
                Content::Declined { .. } => self.stored(status, content),
                Content::Paid { .. } | Content::Acknowledged | Content::Empty | Content::Unreadable(_) => {
                    by_status(Verdict::Unknown, status)
                }
            },
            409 => match content {
                Content::Paid { .. } | Content::Declined { .. } => self.stored(status, content),
                Content::Acknowledged | Content::Empty | Content::Unreadable(_) => {
                    by_status(Verdict::Executing, status)
                }
            },
            422 if self.is_final(&content) => self.stored(status, content),
            422 => with_message(by_status(Verdict::KeyReused, status), content),
            400 | 404 if self.is_final(&content) => self.stored(status, content),
            400 | 404 => with_message(by_status(Verdict::Fault, status), content),
            _ => by_status_alone(status, headers, content),
        }
    }

    fn looked_up(&self, status: StatusCode, headers: &HeaderMap, content: Content) -> Answer {
        match status.as_u16() {
            200 => self.stored(status, content),
            404 => by_status(Verdict::NotSeen, status),
            409 => by_status(Verdict::Executing, status),
            _ => by_status_alone(status, headers, content),
        }
    }

    fn cancelled(&self, status: StatusCode, headers: &HeaderMap, content: Content) -> Answer {
        match (status.as_u16(), content) {
            (200, Content::Acknowledged) => Answer::new(Verdict::Cancelled, CANCELLED),
            (200, Content::Declined { code, .. }) if code == CANCELLED => Answer::new(Verdict::Cancelled, CANCELLED),
            // An intermediary's page is no acknowledgement, nor is an answer that lost its body; and 409 without an answer may be either.
            (200 | 409, content) => self.stored(status, content),
            (_, content) => by_status_alone(status, headers, content),
        }
    }

    /// The answer that is stored under the key, or nothing proved where there is none.
    fn stored(&self, status: StatusCode, content: Content) -> Answer {
        let verdict = match &content {
            Content::Declined { code, .. } if IN_PROGRESS.contains(&code.as_str()) => Verdict::Executing,
            Content::Declined { code, .. } if self.final_error_codes.contains(code) => Verdict::Refused,
            Content::Declined { .. } => Verdict::RefusalNotListed,
            Content::Paid { .. } => Verdict::Paid,
            Content::Acknowledged | Content::Empty | Content::Unreadable(_) => Verdict::Unknown,
        };
        match content {
            Content::Paid { receipt, dropped } => {
                let mut answer = Answer::new(verdict, "PAID");
                answer.message = dropped.map(|field| format!("paid, but {field} could not be read"));
                answer.receipt = Some(receipt);
                answer
            }
            Content::Declined { code, message } => {
                let mut answer = Answer::new(verdict, code);
                answer.message = message;
                answer
            }
            Content::Acknowledged => Answer::new(verdict, "SUCCESS_WITHOUT_PAYMENT"),
            Content::Empty => by_status(verdict, status),
            Content::Unreadable(problem) => Answer::new(verdict, problem),
        }
    }

    fn is_final(&self, content: &Content) -> bool {
        match content {
            Content::Declined { code, .. } => self.final_error_codes.contains(code),
            Content::Paid { .. } | Content::Acknowledged | Content::Empty | Content::Unreadable(_) => false,
        }
    }
}

/// Before any byte was sent nothing can have been executed.
fn not_connected(problem: ConnectProblem, detail: &str) -> Answer {
    let verdict = match problem {
        ConnectProblem::TlsCertificate => Verdict::Fault,
        ConnectProblem::Refused
        | ConnectProblem::Dns
        | ConnectProblem::Timeout
        | ConnectProblem::Unreachable
        | ConnectProblem::LocalLimit
        | ConnectProblem::TlsHandshake
        | ConnectProblem::ClosedBeforeUse => Verdict::NotExecuted,
    };
    let mut answer = Answer::new(verdict, problem.code());
    answer.message = Some(detail.to_owned());
    answer
}

/// What a status proves whatever was asked.
fn by_status_alone(status: StatusCode, headers: &HeaderMap, content: Content) -> Answer {
    let verdict = match status.as_u16() {
        // A wrong URL, wrong credentials, a client that the other side does not accept: found before execution.
        300..=399 | 400 | 401 | 403..=407 | 411..=415 | 417 | 426 | 428 | 431 | 501 | 505 | 511 => Verdict::Fault,
        // Turned away before the key was looked at.
        421 | 425 | 429 => Verdict::NotExecuted,
        410 => Verdict::KeyExpired,
        503 if says_executed(headers) == Some(false) => Verdict::NotExecuted,
        _ => Verdict::Unknown,
    };
    with_message(by_status(verdict, status), content)
}

fn by_status(verdict: Verdict, status: StatusCode) -> Answer {
    Answer::new(verdict, format!("HTTP_{}", status.as_u16()))
}

/// For people: what the body says beside a status that decides by itself.
fn with_message(mut answer: Answer, content: Content) -> Answer {
    if let Content::Declined { code, message } = content {
        answer.message = Some(match message {
            Some(message) => format!("{code}: {message}"),
            None => code,
        });
    }
    answer
}

/// `Payout-Executed`, where it is said once and clearly.
fn says_executed(headers: &HeaderMap) -> Option<bool> {
    let mut values = headers.get_all(PAYOUT_EXECUTED).iter().map(|value| value.as_bytes().trim_ascii());
    match (values.next(), values.next()) {
        (Some(value), None) if value.eq_ignore_ascii_case(b"false") => Some(false),
        // Anything else that stands there is taken as the worse of the two.
        (Some(_), _) => Some(true),
        (None, _) => None,
    }
}

/// `Retry-After` in seconds or as a date, cut to [`MAX_RETRY_AFTER`].
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        Duration::from_secs(text.parse().unwrap_or(u64::MAX))
    } else {
        let date = SystemTime::from(DateTime::parse_from_rfc2822(text).ok()?);
        date.duration_since(now).unwrap_or(Duration::ZERO)
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

fn is_code_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-')
}
