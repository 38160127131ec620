//! Which C library a program needs.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use anyhow::Context;

/// Major and minor number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(u32, u32);

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('.').and_then(|(major, minor)| {
            Some(Self(major.parse().ok()?, minor.split('.').next()?.parse().ok()?))
        });
        numbers.ok_or_else(|| format!("expected MAJOR.MINOR, e.g. 2.17, found `{text}`"))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// The highest `GLIBC_x.y` that the file names: the versions of the symbols it is linked to stand
/// there as text.
pub fn highest(program: &Path) -> anyhow::Result<Version> {
    let bytes = std::fs::read(program).with_context(|| program.display().to_string())?;
    Ok(highest_in(&bytes))
}

fn highest_in(bytes: &[u8]) -> Version {
    const NAME: &[u8] = b"GLIBC_";
    let places = bytes.windows(NAME.len()).enumerate().filter(|(_, window)| *window == NAME);
    let versions = places.filter_map(|(at, _)| {
        let rest = &bytes[at + NAME.len()..];
        let end = rest.iter().position(|byte| !byte.is_ascii_digit() && *byte != b'.')?;
        std::str::from_utf8(&rest[..end]).ok()?.parse().ok()
    });
    versions.max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_version_is_found_by_number_and_not_by_text() {
        let bytes = b"\0GLIBC_2.9\0GLIBC_2.17\0GLIBC_PRIVATE\0GLIBC_2.2.5\0";
        assert_eq!(highest_in(bytes), Version(2, 17));
        assert_eq!("2.28".parse(), Ok(Version(2, 28)));
        assert!("new".parse::<Version>().is_err());
    }
}
