//! The secret that every request carries.

use std::path::Path;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ild_cli::Refusal;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The cookie of a browser that has shown the secret.
const COOKIE: &str = "ild-serve";
/// Shorter ones can be guessed.
const SHORTEST: usize = 16;

/// A secret, kept as its hash.
pub struct Token {
    hash: [u8; 32],
    secure: bool,
}

impl Token {
    /// Of a file whose first line it is; `secure`: browsers send it over TLS only.
    ///
    /// # Errors
    /// Refuses a short one.
    pub fn read(path: &Path, secure: bool) -> anyhow::Result<Self> {
        let text = ild_io::read_text(path)?;
        let secret = text.lines().next().unwrap_or_default().trim();
        if secret.len() < SHORTEST || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Refusal::of(path)
                .expected(format!("a secret of {SHORTEST} or more letters, digits and signs"))
                .found(format!("{} bytes", secret.len()))
                .next("for instance: openssl rand -hex 32 > FILE")
                .into());
        }
        Ok(Self::new(secret, secure))
    }

    /// This secret.
    #[must_use]
    pub fn new(secret: &str, secure: bool) -> Self {
        Self { hash: Sha256::digest(secret).into(), secure }
    }

    /// Whether `shown` is the secret; how long that takes says nothing about it.
    #[must_use]
    pub fn is(&self, shown: &str) -> bool {
        let shown: [u8; 32] = Sha256::digest(shown).into();
        self.hash.ct_eq(&shown).into()
    }

    /// Whether a request shows it, in `Authorization` or as cookie.
    #[must_use]
    pub fn is_shown(&self, fields: &HeaderMap) -> bool {
        let text = |name| fields.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let bearer = text(header::AUTHORIZATION)
            .and_then(|value| value.split_once(' '))
            .is_some_and(|(kind, it)| kind.eq_ignore_ascii_case("bearer") && self.is(it.trim()));
        let cookies = text(header::COOKIE).unwrap_or_default();
        bearer
            || cookies.split(';').any(|cookie| {
                let parts = cookie.trim().split_once('=');
                parts.is_some_and(|(name, value)| name == COOKIE && self.is(value))
            })
    }

    /// The page was opened with `?token=…`: a cookie, and on to the page without it, so that it stays
    /// in no history.
    #[must_use]
    pub fn by_address(&self, request: &Request) -> Option<Response> {
        let (path, method) = (request.uri().path(), request.method());
        let query = request.uri().query()?;
        let shown = query.split('&').find_map(|part| part.strip_prefix("token="))?;
        if path != "/" || method != Method::GET || !self.is(shown) {
            return None;
        }
        let secure = if self.secure { "; Secure" } else { "" };
        let cookie = format!("{COOKIE}={shown}; Path=/; HttpOnly; SameSite=Strict{secure}");
        let fields = [(header::SET_COOKIE, cookie), (header::LOCATION, "/".to_owned())];
        Some((StatusCode::SEE_OTHER, fields).into_response())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef";

    #[test]
    fn the_secret_is_shown_in_a_field_or_a_cookie() {
        let token = Token::new(SECRET, false);
        let shown = |name: &'static str, value: &str| {
            let mut fields = HeaderMap::new();
            fields.insert(name, value.parse().unwrap());
            token.is_shown(&fields)
        };
        assert!(shown("authorization", "Bearer 0123456789abcdef"));
        assert!(shown("authorization", "bearer 0123456789abcdef"));
        assert!(shown("cookie", "a=b; ild-serve=0123456789abcdef"));
        for (name, value) in [
            ("authorization", "0123456789abcdef"),
            ("authorization", "Bearer 0123456789abcde"),
            ("authorization", "Basic 0123456789abcdef"),
            ("cookie", "other=0123456789abcdef"),
        ] {
            assert!(!shown(name, value), "{name}: {value}");
        }
    }

    #[test]
    fn a_short_secret_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "short\n").unwrap();
        assert!(Token::read(file.path(), false).is_err());
        std::fs::write(file.path(), format!("{SECRET}\n")).unwrap();
        assert!(Token::read(file.path(), false).unwrap().is(SECRET));
    }

    #[test]
    fn a_page_opened_with_the_secret_keeps_it_in_a_cookie_and_not_in_its_address() {
        let open = |uri: &str| {
            let request = Request::builder().uri(uri).body(axum::body::Body::empty()).unwrap();
            Token::new(SECRET, true).by_address(&request)
        };
        let reply = open("/?token=0123456789abcdef").unwrap();
        assert_eq!(reply.headers()[header::LOCATION], "/");
        let cookie = reply.headers()[header::SET_COOKIE].to_str().unwrap();
        assert!(cookie.contains("HttpOnly") && cookie.contains("Secure"), "{cookie}");
        assert!(open("/?token=wrong").is_none() && open("/info/?token=0123456789abcdef").is_none());
    }
}
