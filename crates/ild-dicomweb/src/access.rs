//! Whose archive, and how it is entered.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ild_cli::{Refusal, inputs};
use ureq::http::Uri;
use ureq::tls::{Certificate, PemItem, RootCerts, parse_pem};

use crate::Result;

/// Names of this machine, with which nothing goes over a wire.
const LOOPBACK: [&str; 4] = ["localhost", "127.0.0.1", "[::1]", "::1"];

/// An address and what opens it.
#[derive(Clone, Debug)]
pub struct Access {
    /// Where its DICOMweb begins: `https://pacs.example/dicom-web`.
    pub address: String,
    /// A file with the token (`Authorization: Bearer`), or with `name:password` (`Basic`).
    pub token: Option<PathBuf>,
    /// A file with the certificates (PEM) of those who vouch for the archive, instead of the world's.
    pub certificates: Option<PathBuf>,
    /// Whether patients' data may go over the wire unencrypted.
    pub plain: bool,
}

impl Access {
    /// The address without a slash at its end.
    ///
    /// # Errors
    /// When it is none, holds a password, or is not encrypted and leaves this machine.
    pub(crate) fn base(&self) -> Result<String> {
        let refused = |found: &str, next: &str| {
            Refusal::of(&self.address).expected("an address of DICOMweb").found(found).next(next)
        };
        let example = "write it like https://pacs.example/dicom-web";
        let uri: Uri = match self.address.parse() {
            Ok(uri) => uri,
            Err(_) => return Err(refused("something else", example).into()),
        };
        let (scheme, host) = (uri.scheme_str().unwrap_or_default(), uri.host().unwrap_or_default());
        if !["http", "https"].contains(&scheme) || host.is_empty() || uri.query().is_some() {
            return Err(refused("no http:// or https://, or a query", example).into());
        }
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(Refusal::of(format!("{scheme}://{host}"))
                .expected("an address without name and password, which logs would keep")
                .found("some before the @")
                .next("put `name:password` into a file and name it with --token-file")
                .into());
        }
        if scheme == "http" && !self.plain && !LOOPBACK.contains(&host) {
            let next = "use https://, or allow it with --unencrypted inside a closed network";
            return Err(refused("http://, which everybody on the way can read", next).into());
        }
        Ok(self.address.trim_end_matches('/').to_owned())
    }

    /// What stands under `Authorization`.
    pub(crate) fn authorization(&self) -> Result<Option<String>> {
        let Some(path) = &self.token else { return Ok(None) };
        let text = read(path)?;
        let text = text.trim();
        let visible = text.chars().all(|c| c.is_ascii() && !c.is_ascii_control());
        if text.is_empty() || !visible {
            return Err(Refusal::of(path)
                .expected("one line with a token, or name:password")
                .found(if text.is_empty() { "nothing" } else { "several lines or other letters" })
                .next("write it without line breaks")
                .into());
        }
        // A token has no colon (RFC 6750 2.1).
        Ok(Some(match text.contains(':') {
            true => format!("Basic {}", STANDARD.encode(text)),
            false => format!("Bearer {text}"),
        }))
    }

    /// Who may vouch for the archive.
    pub(crate) fn roots(&self) -> Result<RootCerts> {
        let Some(path) = &self.certificates else { return Ok(RootCerts::WebPki) };
        let text = read(path)?;
        let items = parse_pem(text.as_bytes()).filter_map(std::result::Result::ok);
        let certificates: Vec<Certificate<'static>> = items
            .filter_map(|item| match item {
                PemItem::Certificate(certificate) => Some(certificate),
                _ => None,
            })
            .collect();
        if certificates.is_empty() {
            return Err(Refusal::of(path)
                .expected("certificates (-----BEGIN CERTIFICATE-----)")
                .found("none")
                .next("ask the archive's administrator for the PEM file of its authority")
                .into());
        }
        Ok(RootCerts::new_with_certs(&certificates))
    }
}

/// A small text file.
fn read(path: &Path) -> Result<String> {
    inputs::note(path);
    std::fs::read_to_string(path).map_err(|error| {
        Refusal::of(path)
            .expected("a text file")
            .found(error.to_string())
            .next("check the path")
            .into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(address: &str) -> Access {
        Access { address: address.to_owned(), token: None, certificates: None, plain: false }
    }

    #[test]
    fn patients_go_over_no_wire_that_everybody_can_read() {
        assert_eq!(
            access("https://a.example/dicom-web/").base().unwrap(),
            "https://a.example/dicom-web"
        );
        assert!(access("http://127.0.0.1:8042/dicom-web").base().is_ok());
        assert!(access("http://localhost:8042/dicom-web").base().is_ok());
        let said = access("http://a.example/dicom-web").base().unwrap_err().to_string();
        assert!(said.contains("--unencrypted"), "{said}");
        assert!(Access { plain: true, ..access("http://a.example/x") }.base().is_ok());
        for address in ["", "a.example", "ftp://a.example", "/dicom-web", "https://a.example/?q=1"]
        {
            assert!(access(address).base().is_err(), "{address}");
        }
        let said = access("https://me:secret@a.example/x").base().unwrap_err().to_string();
        assert!(!said.contains("secret") && said.contains("--token-file"), "{said}");
    }

    #[test]
    fn a_colon_makes_a_password_of_a_token() {
        let path = std::env::temp_dir().join(format!("ild-token-{}", std::process::id()));
        let of = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Access { token: Some(path.clone()), ..access("https://a.example") }.authorization()
        };
        assert_eq!(of("abc.def\n").unwrap().unwrap(), "Bearer abc.def");
        assert_eq!(of("me:secret").unwrap().unwrap(), "Basic bWU6c2VjcmV0");
        let said = of("a\nb").unwrap_err().to_string();
        assert!(said.contains("several lines") && of("").is_err(), "{said}");
        std::fs::remove_file(&path).unwrap();
    }
}
