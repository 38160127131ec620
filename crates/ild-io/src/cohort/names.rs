//! Names of two lists laid beside each other: what matches nothing is counted, said, and, where it
//! looks like a slip of the pen, refused.

use std::collections::BTreeSet;
use std::path::Path;

use ild_cli::{Refusal, edit_distance};

use crate::Result;

/// How many names a sentence shows.
const SHOWN_NAMES: usize = 5;
/// Letters that a slip changes at most.
const SLIP: usize = 2;

/// Two lists of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beside<'a> {
    /// Names that are in both.
    pub both: BTreeSet<&'a str>,
    /// Names that only the first list has.
    pub only_first: BTreeSet<&'a str>,
    /// Names that only the second list has.
    pub only_second: BTreeSet<&'a str>,
}

impl<'a> Beside<'a> {
    /// Compares two lists, letter for letter.
    pub fn new(
        first: impl IntoIterator<Item = &'a str>,
        second: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let (first, second): (BTreeSet<_>, BTreeSet<_>) =
            (first.into_iter().collect(), second.into_iter().collect());
        Self {
            both: first.intersection(&second).copied().collect(),
            only_first: first.difference(&second).copied().collect(),
            only_second: second.difference(&first).copied().collect(),
        }
    }

    /// Refuses `path`, in which the names of the first list stand, when one of them matches nothing
    /// and looks like a name of the second that nothing matches, or when no name matches at all.
    /// `first` and `second` say what the names are of: `row`, `case`.
    ///
    /// # Errors
    /// Names the nearest pair.
    pub fn refuse_slips(&self, path: &Path, first: &str, second: &str) -> Result<()> {
        let slip = self
            .only_first
            .iter()
            .find_map(|&a| self.only_second.iter().find(|&&b| alike(a, b)).map(|&b| (a, b)));
        if let Some((a, b)) = slip {
            return Err(Refusal::of(path)
                .expected(format!("the name of a {second}; the nearest is `{b}`"))
                .found(format!("the {first} `{a}`"))
                .next("write both alike, or leave it out")
                .into());
        }
        if self.both.is_empty() && !self.only_first.is_empty() && !self.only_second.is_empty() {
            return Err(Refusal::of(path)
                .expected(format!("names of {second}s: {}", shown(&self.only_second)))
                .found(shown(&self.only_first))
                .next("not one name matches: a case is called like its file without the ending")
                .into());
        }
        Ok(())
    }
}

/// `3 (a, b, c)`, cut after a few.
#[must_use]
pub fn shown<'a>(names: impl IntoIterator<Item = &'a &'a str>) -> String {
    let names: Vec<&str> = names.into_iter().copied().collect();
    let more = if names.len() > SHOWN_NAMES { ", …" } else { "" };
    format!("{} ({}{more})", names.len(), names[..names.len().min(SHOWN_NAMES)].join(", "))
}

/// Whether two different names are one to a person: the same numbers, and the same letters up to
/// case, signs between them and a slip. `case_7` is `Case-007` but never `case_8`.
#[must_use]
pub fn alike(a: &str, b: &str) -> bool {
    let [(letters_a, numbers_a), (letters_b, numbers_b)] = [a, b].map(parts);
    let longest = letters_a.chars().count().max(letters_b.chars().count());
    numbers_a == numbers_b && edit_distance(&letters_a, &letters_b) <= SLIP.min(longest / 3)
}

/// The letters of a name in lower case, and its numbers without leading zeros.
fn parts(name: &str) -> (String, Vec<String>) {
    let (mut letters, mut numbers, mut within) = (String::new(), Vec::<String>::new(), false);
    for c in super::bare_case(name, &["_0000.nii.gz"]).chars() {
        if c.is_ascii_digit() {
            match numbers.last_mut().filter(|_| within) {
                Some(number) => number.push(c),
                None => numbers.push(c.to_string()),
            }
            within = true;
            continue;
        }
        within = false;
        letters.extend(c.is_alphanumeric().then(|| c.to_lowercase()).into_iter().flatten());
    }
    (letters, numbers.iter().map(|number| number.trim_start_matches('0').to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_alike_and_neighbours_are_not() {
        for (a, b) in [
            ("case_7", "Case-007"),
            ("p1a", "P1A"),
            ("p1a", "p1a.nii.gz"),
            ("patient12", "pateint12"),
            ("honeycombing", "Honeycombing "),
        ] {
            assert!(alike(a, b), "{a} {b}");
        }
        for (a, b) in [
            ("case_7", "case_8"),
            ("a1", "b1"),
            ("p1a", "p1b"),
            ("p1_left", "p1_right"),
            ("inspiration3", "expiration3"),
        ] {
            assert!(!alike(a, b), "{a} {b}");
        }
    }

    #[test]
    fn what_matches_nothing_is_refused_with_the_nearest_name() {
        let beside = Beside::new(["a1", "B2"], ["a1", "b2", "c3"]);
        let text = beside.refuse_slips(Path::new("p.csv"), "row", "case").unwrap_err().to_string();
        assert!(text.contains("the nearest is `b2`") && text.contains("row `B2`"), "{text}");
        let beside = Beside::new(["a1", "z9"], ["a1", "b2"]);
        assert!(beside.refuse_slips(Path::new("p.csv"), "row", "case").is_ok());
        let beside = Beside::new(["x1"], ["a1", "b2"]);
        let text = beside.refuse_slips(Path::new("p.csv"), "row", "case").unwrap_err().to_string();
        assert!(text.contains("not one name matches") && text.contains("2 (a1, b2)"), "{text}");
    }
}
