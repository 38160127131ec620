//! Names that clients give to what they send.

use crate::error::{Answer, Problem};

/// Longest name.
const LONGEST: usize = 100;

/// `name` where it can be the name of a file and nothing else: letters, digits, `-`, `_` and `.`,
/// not a dot first.
///
/// # Errors
/// 400 for any other.
pub fn safe_name(name: &str) -> Answer<&str> {
    let fine = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !name.is_empty()
        && name.len() <= LONGEST
        && name.chars().all(fine)
        && !name.starts_with('.')
        && !name.contains("..")
    {
        return Ok(name);
    }
    Err(Problem::bad(format!(
        "expected a name of up to {LONGEST} letters, digits, `-`, `_` and `.` (no dot first), found \
         another; name the volume so in the viewer"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_never_a_path() {
        for name in ["a", "case_7", "1.2.840.10008", "A-b.c"] {
            assert_eq!(safe_name(name), Ok(name));
        }
        let long = "a".repeat(101);
        for name in ["", ".", "..", ".a", "a/b", "a\\b", "a b", "a..b", "ä", "a\0", "C:", &long] {
            assert!(safe_name(name).is_err(), "{name}");
        }
    }
}
