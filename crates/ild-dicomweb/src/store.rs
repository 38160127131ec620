//! Sending (STOW-RS, PS3.18 10.5).

use serde_json::Value;

use crate::archive::text;
use crate::{Archive, Error, Result};

const STORED: &str = "00081199";
const FAILED: &str = "00081198";
const REASON: &str = "00081197";
const WARNING: &str = "00081196";

impl Archive {
    /// Sends one DICOM file; what the archive warns of.
    ///
    /// # Errors
    /// When it is not stored: says the archive's reason.
    pub fn store(&self, file: &[u8]) -> Result<Option<String>> {
        // No line of the file begins like this: it is made of what the file is not.
        let boundary = free_boundary(file);
        let mut body =
            format!("--{boundary}\r\nContent-Type: application/dicom\r\n\r\n").into_bytes();
        body.extend(file);
        body.extend(format!("\r\n--{boundary}--\r\n").bytes());
        let kind = format!("multipart/related; type=\"application/dicom\"; boundary={boundary}");
        let (address, answer) = self.post("/studies", &kind, &body)?;
        if let Some(failed) = answer[FAILED]["Value"].as_array().and_then(|all| all.first()) {
            let reason = text(failed, REASON).map_or("no reason given".to_owned(), |code| {
                let code: u32 = code.parse().unwrap_or(0);
                format!("failure reason {code:04X}H ({})", meaning(code))
            });
            return Err(Error::broken(&address, format!("the archive did not store it: {reason}")));
        }
        let stored: &Value = &answer[STORED]["Value"][0];
        if stored.is_null() {
            return Err(Error::broken(
                &address,
                "the archive does not say that it stored the file",
            ));
        }
        let warned = |code| format!("stored with warning {code}: the archive may have changed it");
        Ok(text(stored, WARNING).map(warned))
    }
}

/// PS3.18 Table 10.5.3-2 and PS3.4 B.2.3.
fn meaning(code: u32) -> &'static str {
    match code {
        0x0110 => "it could not be processed",
        0x0111 => "it is there already",
        0x0122 => "the archive takes no such objects (SOP class not supported)",
        0x0124 => "not authorized",
        0xa700..=0xa7ff => "out of resources",
        0xa900..=0xa9ff => "data set and SOP class do not match",
        0xc000..=0xcfff => "it could not be understood",
        _ => "unknown",
    }
}

fn free_boundary(file: &[u8]) -> String {
    let name = |n: u32| format!("ild-boundary-{n:08}");
    let taken = |n: &u32| memchr::memmem::find(file, name(*n).as_bytes()).is_some();
    name((0..).find(|n| !taken(n)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::free_boundary;

    #[test]
    fn a_boundary_is_nowhere_in_the_file() {
        assert_eq!(free_boundary(b"pixels"), "ild-boundary-00000000");
        assert_eq!(free_boundary(b"x ild-boundary-00000000"), "ild-boundary-00000001");
    }
}
