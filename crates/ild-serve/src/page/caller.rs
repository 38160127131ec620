//! Who asks: a window of the page, and the person in front of it.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::app::App;
use crate::error::Problem;

/// The random name of a window.
const WINDOW: &str = "x-ild-window";
/// What its person is called, percent-encoded.
const WHO: &str = "x-ild-who";
/// Longest name.
const LONGEST: usize = 80;

/// Who asks.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// The window.
    pub window: String,
    /// The person: as the proxy says, else as he says himself; empty where nobody does.
    pub who: String,
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let text = |name: &str| {
            let value = parts.headers.get(name)?.to_str().ok()?;
            let plain = percent_decoded(value);
            let kept: String = plain.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
            Some(kept.trim().to_owned()).filter(|kept| !kept.is_empty())
        };
        let of_proxy = app.settings.user_header.as_deref().and_then(text);
        Ok(Self {
            window: text(WINDOW).unwrap_or_default(),
            who: of_proxy.or_else(|| text(WHO)).unwrap_or_default(),
        })
    }
}

/// `%41` → `A`; what is no such code stays.
fn percent_decoded(text: &str) -> String {
    let (mut out, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((&byte, tail)) = rest.split_first() {
        let code = tail.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match code.filter(|_| byte == b'%').and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(value) => {
                out.push(value);
                rest = &tail[2..];
            }
            None => {
                out.push(byte);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_every_script_come_through() {
        assert_eq!(percent_decoded("J%C3%B6rg%20M"), "Jörg M");
        assert_eq!(percent_decoded("100%"), "100%");
        assert_eq!(percent_decoded("%zz"), "%zz");
    }
}
