//! Names of this server, and the pages that may use it.

use std::net::SocketAddr;

use axum::http::{HeaderMap, HeaderValue, Method, header};

/// Names under which the server may be spoken to, and pages elsewhere that may use it.
#[derive(Clone, Debug)]
pub struct Hosts {
    names: Vec<String>,
    origins: Vec<String>,
}

impl Hosts {
    /// Of a server at `address` with these further names and pages.
    #[must_use]
    pub fn new(address: SocketAddr, names: &[String], origins: &[String]) -> Self {
        let own = ["127.0.0.1".to_owned(), "localhost".to_owned(), "[::1]".to_owned()];
        let ip = address.ip();
        let bound = (!ip.is_unspecified()).then(|| match ip {
            std::net::IpAddr::V4(ip) => ip.to_string(),
            std::net::IpAddr::V6(ip) => format!("[{ip}]"),
        });
        let names = names.iter().map(|name| name.to_lowercase());
        Self {
            names: own.into_iter().chain(bound).chain(names).collect(),
            origins: origins.iter().map(|o| o.trim_end_matches('/').to_lowercase()).collect(),
        }
    }

    /// The page elsewhere that asks, when it may; nothing when the request comes from no page or
    /// from one of this server.
    ///
    /// # Errors
    /// Says what may not ask.
    pub fn check(
        &self,
        fields: &HeaderMap,
        method: &Method,
    ) -> Result<Option<HeaderValue>, String> {
        let text = |name| fields.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let host = text(header::HOST).unwrap_or_default().to_lowercase();
        if !self.names.iter().any(|name| name == without_port(&host)) {
            return Err("the request was sent to a name that is none of this server's (Host); \
                        --host NAME adds one"
                .to_owned());
        }
        match fields.get(header::ORIGIN) {
            None => self.check_fetch(fields, method).map(|()| None),
            Some(origin) => {
                let text = origin.to_str().unwrap_or_default().to_lowercase();
                let own = text.split_once("://").is_some_and(|(_, rest)| rest == host);
                if own {
                    Ok(None)
                } else if self.origins.contains(&text) {
                    Ok(Some(origin.clone()))
                } else {
                    Err("the request comes from a page elsewhere (Origin); --allow-origin ORIGIN \
                         lets it in"
                        .to_owned())
                }
            }
        }
    }

    /// Pictures, scripts and links of other pages come without `Origin`; browsers say so in
    /// `Sec-Fetch-Site`. Typing or following an address is fine.
    fn check_fetch(&self, fields: &HeaderMap, method: &Method) -> Result<(), String> {
        let says = |name: &str, word: &str| fields.get(name).is_some_and(|value| value == word);
        let elsewhere = ["cross-site", "same-site"].iter().any(|w| says("sec-fetch-site", w));
        let opened = says("sec-fetch-mode", "navigate") && method == Method::GET;
        if elsewhere && !opened {
            return Err("the request comes from a page elsewhere (Sec-Fetch-Site)".to_owned());
        }
        Ok(())
    }
}

/// `a:80` → `a`, `[::1]:80` → `[::1]`.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rows: &[(&'static str, &str)]) -> Result<Option<HeaderValue>, String> {
        let mut fields = HeaderMap::new();
        for (name, value) in rows {
            fields.insert(*name, value.parse().unwrap());
        }
        let hosts = Hosts::new(
            "127.0.0.1:8000".parse().unwrap(),
            &["ild.example".to_owned()],
            &["https://viewer.example/".to_owned()],
        );
        hosts.check(&fields, &Method::POST)
    }

    #[test]
    fn only_names_of_this_server_are_answered() {
        for host in ["127.0.0.1:8000", "localhost", "[::1]:8000", "ILD.example", "ild.example:443"]
        {
            assert_eq!(check(&[("host", host)]), Ok(None), "{host}");
        }
        for host in ["evil.example", "127.0.0.1.evil.example:8000", "", "localhost.evil"] {
            assert!(check(&[("host", host)]).is_err(), "{host}");
        }
    }

    #[test]
    fn pages_elsewhere_may_not_ask_unless_they_were_let_in() {
        let asked = |origin| check(&[("host", "localhost:8000"), ("origin", origin)]);
        assert_eq!(asked("http://localhost:8000"), Ok(None));
        assert!(asked("https://viewer.example").unwrap().is_some());
        for origin in
            ["http://evil.example", "null", "http://localhost:9000", "https://viewer.example.evil"]
        {
            assert!(asked(origin).is_err(), "{origin}");
        }
        let picture = [("host", "localhost"), ("sec-fetch-site", "cross-site")];
        assert!(check(&picture).is_err());
        assert!(check(&[("host", "localhost"), ("sec-fetch-site", "same-origin")]).is_ok());
    }
}
