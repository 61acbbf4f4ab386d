//! The form of addresses and of the token, and how they are shown without what they hide.

use super::secret::HIDDEN;

/// What a secret must look like. `check` says what was found instead, without giving it away.
pub(super) struct Rule {
    pub(super) expected: &'static str,
    pub(super) advice: &'static str,
    pub(super) check: fn(&str) -> Result<(), String>,
}

pub(super) const DATABASE: Rule = Rule {
    expected: "mysql://user:password@host:port/database",
    advice: "Percent-encode special characters of the password (@ is %40, / is %2F, ? is %3F, # is %23).",
    check: |url| {
        let parts = Parts::of(url, &["mysql"])?;
        if parts.path().trim_matches('/').is_empty() {
            return Err("a URL without the name of a database".to_owned());
        }
        Ok(())
    },
};

pub(super) const REDIS: Rule = Rule {
    expected: "redis://:password@host:port/number, or rediss:// with TLS",
    advice: "Percent-encode special characters of the password (@ is %40, / is %2F, ? is %3F, # is %23).",
    check: |url| match Parts::of(url, &["redis", "rediss"])?.user {
        // The client would not log in, and what looks like a user is the password.
        Some(user) if !user.contains(':') => Err("a URL with a name and no password".to_owned()),
        _ => Ok(()),
    },
};

pub(super) const MONEY: Rule = Rule {
    expected: "http://host:port or https://host:port, with a path or not",
    advice: "Give the credential as MONEY_TOKEN, and no query or fragment.",
    check: |url| {
        let parts = Parts::of(url, &["http", "https"])?;
        if parts.user.is_some() {
            return Err("a URL with credentials in it".to_owned());
        }
        if parts.has_query() || !parts.path().bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("a URL with a query, a fragment, or characters that a path cannot hold".to_owned());
        }
        Ok(())
    },
};

pub(super) const TOKEN: Rule = Rule {
    expected: "a bearer token of visible ASCII characters",
    advice: "A line break or a space within it often comes from copying.",
    check: |token| match token.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(()),
        false => Err("a token with characters that a header cannot carry".to_owned()),
    },
};

pub(super) const WEBHOOK: Rule = Rule {
    expected: "https://host:port/path",
    advice: "No credentials, query or fragment: what is sent is signed.",
    check: MONEY.check,
};

pub(super) const WEBHOOK_SECRET: Rule = Rule {
    expected: "whsec_ and 24 to 64 bytes in base64",
    advice: "Make one with: echo whsec_$(openssl rand -base64 32)",
    check: |secret| match crate::webhook::key_of(secret) {
        Some(_) => Ok(()),
        None => Err("text that is no such secret (not shown)".to_owned()),
    },
};

/// What a URL consists of.
struct Parts<'a> {
    scheme: &'a str,
    user: Option<&'a str>,
    host: &'a str,
    /// Path, query and fragment.
    behind: &'a str,
}

impl<'a> Parts<'a> {
    fn of(url: &'a str, schemes: &[&str]) -> Result<Self, String> {
        let parts = Self::split(url).ok_or("text that is not a URL (not shown)")?;
        if !schemes.contains(&parts.scheme) {
            return Err(match parts.scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+') {
                true => format!("a URL that begins with {}://", parts.scheme),
                false => "text that is not a URL (not shown)".to_owned(),
            });
        }
        if parts.hides_a_password() {
            return Err("a URL with an @ behind the host, as of a password that is not percent-encoded".to_owned());
        }
        if !is_host(parts.host) {
            return Err("a URL whose host and port cannot be read".to_owned());
        }
        Ok(parts)
    }

    /// A password with a `/`, `?` or `#` in it: what comes before that was taken for host and port.
    fn hides_a_password(&self) -> bool {
        self.behind.contains('@')
    }

    fn path(&self) -> &'a str {
        self.behind.split(['?', '#']).next().unwrap_or_default()
    }

    fn has_query(&self) -> bool {
        self.path().len() < self.behind.len()
    }

    fn split(url: &'a str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let (authority, behind) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        Some(Self { scheme, user, host, behind })
    }
}

/// `host`, `host:port` or `[v6]:port`.
fn is_host(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let bracketed = host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
    let named = match bracketed {
        Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte)),
    };
    named && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

/// Whether `text` is an address to listen on.
pub(super) fn is_listen_address(text: &str) -> bool {
    is_host(text) && text.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok())
}

/// A URL without password and query, for people.
pub(super) fn redacted(url: &str) -> String {
    let Some(parts) = Parts::split(url).filter(|parts| !parts.hides_a_password()) else { return HIDDEN.to_owned() };
    let user = match parts.user.map(|user| (user, user.split_once(':'))) {
        None => String::new(),
        Some((_, Some((user, _)))) => format!("{user}:…@"),
        // In Redis' addresses what stands alone is a password whose colon was forgotten.
        Some((_, None)) if parts.scheme.starts_with("redis") => format!("{HIDDEN}@"),
        Some((user, None)) => format!("{user}@"),
    };
    let query = if parts.has_query() { "?…" } else { "" };
    format!("{}://{user}{}{}{query}", parts.scheme, parts.host, parts.path())
}

/// Scheme and host alone, where the path may be a secret too.
pub(super) fn origin(url: &str) -> String {
    match Parts::split(url) {
        Some(parts) => format!("{}://{}/…", parts.scheme, parts.host),
        None => HIDDEN.to_owned(),
    }
}

/// Whether what is sent to this URL goes over a network unencrypted.
pub(super) fn leaves_in_clear(url: &str) -> bool {
    let Some(parts) = Parts::split(url).filter(|parts| parts.scheme == "http") else { return false };
    let host = match parts.host.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => host,
        _ => parts.host,
    };
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    !address.map_or(host == "localhost", |address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_url_hides_its_password_and_query() {
        for (url, shown) in [
            ("mysql://app:s3cret@db:3306/payout", "mysql://app:…@db:3306/payout"),
            ("mysql://app:a@b:c@db/payout?ssl-key=/x", "mysql://app:…@db/payout?…"),
            ("redis://:s3cret@cache/0", "redis://:…@cache/0"),
            ("redis://cache", "redis://cache"),
            ("rediss://s3cret@cache", "rediss://…@cache"),
            ("mysql://app@db/payout", "mysql://app@db/payout"),
            ("s3cret", "…"),
            ("mysql://app:12/s3cret@db/payout", "…"),
            // Found by fuzzing: host 2, the rest of the password in the path, the true host in the fragment.
            ("mysql://app:G1@2/s3cret#@db/payout", "…"),
            ("redis://app:12?s3cret@cache/0", "…"),
        ] {
            assert_eq!(redacted(url), shown);
        }
    }

    #[test]
    fn only_urls_that_the_clients_can_use_pass() {
        for good in ["mysql://u:p@h:3306/d", "mysql://u@h/d?ssl-mode=REQUIRED", "mysql://[::1]:3306/d"] {
            assert_eq!((DATABASE.check)(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "mysql://",
            "mysql://h:3306",
            "mysql://h:99999/d",
            "postgres://h/d",
            "h:3306/d",
            "mysql:///d",
            "mysql://u:1/p@h/d",
            "mysql://u:1@2/p#@h/d",
            "mysql://u:1@2/p?q@h/d",
        ] {
            assert!((DATABASE.check)(bad).is_err(), "{bad}");
        }
        for (bad, rule) in [
            ("http://h", &REDIS),
            ("redis://p@h", &REDIS),
            ("http://u:p@h", &MONEY),
            ("http://h/?a=b", &MONEY),
            ("a b", &TOKEN),
        ] {
            assert!((rule.check)(bad).is_err(), "{bad}");
        }
        assert_eq!((MONEY.check)("https://money.internal/api"), Ok(()));
    }

    #[test]
    fn a_listen_address_has_a_host_and_a_port() {
        for good in ["127.0.0.1:0", "0.0.0.0:9464", "[::]:9464", "localhost:1"] {
            assert!(is_listen_address(good), "{good}");
        }
        for bad in ["", ":9464", "9464", "localhost", "localhost:", "localhost:70000", "a b:1", "::1"] {
            assert!(!is_listen_address(bad), "{bad}");
        }
    }
}
