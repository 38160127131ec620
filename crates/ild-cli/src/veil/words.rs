//! Words that are hidden, found in a text.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

/// What every UID of DICOM's own begins with: they are no secret.
const OF_THE_STANDARD: &str = "1.2.840.10008.";
/// Dots of the shortest UID that is hidden: a version has fewer.
const UID_DOTS: usize = 3;
/// Shorter names, and numbers with fewer digits, are nobody's.
const SHORTEST_NAME: usize = 3;
const SHORTEST_NUMBER: usize = 6;
/// What ends the rest of a path in a sentence.
const ENDS: [&str; 7] = [": ", "; ", ", ", "\"", "`", "\n", " ("];

/// How a path is hidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// With all that lies below it.
    Whole,
    /// As a folder; what follows it stays.
    Above,
}

#[derive(Debug)]
struct Hidden {
    kind: Kind,
    text: String,
    shown: String,
}

/// What is hidden.
#[derive(Debug, Default)]
pub(super) struct Words {
    /// The longest first.
    paths: Vec<Hidden>,
    /// Names of files and folders, and what they are called.
    names: HashMap<String, String>,
    /// How long names are, bytes.
    lengths: BTreeSet<usize>,
}

impl Words {
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// Hides a path, unless it says nothing or is hidden already.
    pub fn path(&mut self, kind: Kind, text: &str, shown: &str) {
        if ["", ".", ".."].contains(&text) || self.paths.iter().any(|path| path.text == text) {
            return;
        }
        let at = self.paths.partition_point(|path| path.text.len() >= text.len());
        let (text, shown) = (text.to_owned(), format!("({shown})"));
        self.paths.insert(at, Hidden { kind, text, shown });
    }

    /// Hides a name, unless it says nothing.
    pub fn name(&mut self, name: &str, shown: &str) {
        let digits = name.bytes().all(|byte| byte.is_ascii_digit());
        if name.len() >= if digits { SHORTEST_NUMBER } else { SHORTEST_NAME } {
            self.lengths.insert(name.len());
            self.names.entry(name.to_owned()).or_insert_with(|| shown.to_owned());
        }
    }

    /// `text` without what is hidden.
    pub fn over<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if self.is_empty() {
            return Cow::Borrowed(text);
        }
        let sentence = text.contains(char::is_whitespace);
        let (mut out, mut at) = (String::with_capacity(text.len()), 0);
        while let Some(next) = text[at..].chars().next() {
            let begins = !text[..at].chars().next_back().is_some_and(of_a_name);
            let rest = &text[at..];
            let hidden = begins.then(|| {
                let uid = || uid(rest).map(|length| ("(UID)".to_owned(), length));
                let name = || self.known(rest).filter(|_| sentence);
                let name = || name().map(|(shown, length)| (shown.to_owned(), length));
                uid().or_else(|| self.hidden_path(rest, at == 0)).or_else(name)
            });
            let as_it_is = || (next.to_string(), next.len_utf8());
            let (shown, length) = hidden.flatten().unwrap_or_else(as_it_is);
            out += &shown;
            at += length;
        }
        if out == text { Cow::Borrowed(text) } else { Cow::Owned(out) }
    }

    /// What stands for the path that `rest` begins with, and how long that is. `first`: nothing stands
    /// before it.
    fn hidden_path(&self, rest: &str, first: bool) -> Option<(String, usize)> {
        let path = self.paths.iter().find(|path| {
            let Some(after) = rest.strip_prefix(path.text.as_str()) else { return false };
            // One word may be one of the language.
            let is_path =
                || after.starts_with(['/', ':', '\'', '"', '`']) || first && after.is_empty();
            ends(after) && (path.text.contains('/') || is_path())
        })?;
        let (mut shown, mut length) = (path.shown.clone(), path.text.len());
        while path.kind == Kind::Whole && rest[length..].starts_with('/') {
            let below = &rest[length + 1..];
            let end = || ENDS.iter().filter_map(|end| below.find(end)).min().unwrap_or(below.len());
            let (name, taken) = self.known(below).unwrap_or_else(|| ("…", end()));
            shown += "/";
            shown += name;
            length += 1 + taken;
        }
        Some((shown, length))
    }

    /// The longest known name that `rest` begins with, and how long it is.
    fn known(&self, rest: &str) -> Option<(&str, usize)> {
        self.lengths.iter().rev().find_map(|&length| {
            let shown = self.names.get(rest.get(..length)?)?;
            ends(&rest[length..]).then_some((shown.as_str(), length))
        })
    }
}

fn of_a_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/')
}

/// Whether a name may end before `after`.
fn ends(after: &str) -> bool {
    let mut chars = after.chars();
    match chars.next() {
        Some('.') => !chars.next().is_some_and(char::is_alphanumeric),
        Some('/') | None => true,
        Some(c) => !of_a_name(c),
    }
}

/// The length of the UID that `rest` begins with.
fn uid(rest: &str) -> Option<usize> {
    let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let uid = rest[..digits].trim_end_matches('.');
    let parts = uid.split('.').filter(|part| !part.is_empty()).count();
    let made_of_a_uuid = uid.starts_with("2.25.") && uid.len() > 2 * SHORTEST_NUMBER;
    let is_one = (parts > UID_DOTS || made_of_a_uuid) && parts == uid.split('.').count();
    (is_one && !uid.starts_with(OF_THE_STANDARD)).then_some(uid.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(paths: &[(Kind, &str, &str)], names: &[(&str, &str)]) -> Words {
        let mut words = Words::default();
        paths.iter().for_each(|(kind, text, shown)| words.path(*kind, text, shown));
        names.iter().for_each(|(name, shown)| words.name(name, shown));
        words
    }

    #[test]
    fn a_path_and_what_lies_below_it_are_called_otherwise() {
        let paths = [
            (Kind::Whole, "/data/Müller J/ct", "input"),
            (Kind::Above, "/data/Müller J", "above"),
            (Kind::Above, "/data", "above"),
        ];
        let words = words(&paths, &[("Jörg 1.dcm", "#1"), ("Jörg 2.dcm", "#2")]);
        for (text, shown) in [
            ("/data/Müller J/ct: expected slices", "(input): expected slices"),
            ("/data/Müller J/ct/Jörg 1.dcm: cut short", "(input)/#1: cut short"),
            ("between Jörg 1.dcm and Jörg 2.dcm.", "between #1 and #2."),
            ("/data/Müller J/ct/in a zip/x: no", "(input)/…: no"),
            ("see /data/Müller J/labels.json", "see (above)/labels.json"),
            ("/data/w.safetensors", "(above)/w.safetensors"),
            ("/other/data/x, `/data/Müller J/ct`", "/other/data/x, `(input)`"),
        ] {
            assert_eq!(words.over(text), shown);
        }
        assert!(matches!(words.over("nothing of it"), Cow::Borrowed(_)));
    }

    #[test]
    fn words_of_the_language_stay_what_they_are() {
        let names = [("in", "#1"), ("2024", "#2"), ("auto", "#3")];
        let words = words(&[(Kind::Whole, "in", "input")], &names);
        for (text, shown) in [
            ("in: a lesion in 2024", "(input): a lesion in 2024"),
            ("in/x: no", "(input)/…: no"),
            ("in", "(input)"),
            ("auto", "auto"),
            ("the folder auto", "the folder #3"),
        ] {
            assert_eq!(words.over(text), shown);
        }
    }

    #[test]
    fn uids_are_hidden_but_not_those_of_the_standard() {
        let words = words(&[(Kind::Whole, "in", "input")], &[]);
        for (text, shown) in [
            ("series 1.2.840.113619.2.55, 6 slices", "series (UID), 6 slices"),
            ("JPEG XL (1.2.840.10008.1.2.4.110)", "JPEG XL (1.2.840.10008.1.2.4.110)"),
            ("ild-infer 0.1.0, 12.5 mm.", "ild-infer 0.1.0, 12.5 mm."),
            ("of 2.25.329800735698586629295641978511506172918", "of (UID)"),
        ] {
            assert_eq!(words.over(text), shown);
        }
    }
}
