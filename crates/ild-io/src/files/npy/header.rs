//! The header of an NPY file: a Python dictionary that is read without Python.
//!
//! Layout as in numpy's `numpy/lib/format.py`, versions 1.0 to 3.0.

use std::io::Read;

/// Longest header that is read; numpy itself refuses more than 10,000 bytes.
const LARGEST_HEADER: usize = 10_000;
/// numpy leaves room so that the first axis can grow to this many digits in place.
const GROWTH_DIGITS: usize = 21;
/// Data starts at a multiple of this.
const ALIGN: usize = 64;
const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// What an NPY header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NpyHeader {
    /// numpy's type string, e.g. `|u1`, `<f8`.
    pub descr: String,
    /// Whether the first axis runs fastest.
    pub fortran_order: bool,
    /// Sizes of the axes.
    pub shape: Vec<usize>,
}

/// A header that cannot be used: what was expected, what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BadHeader {
    pub expected: &'static str,
    pub found: String,
}

fn bad(expected: &'static str, found: impl Into<String>) -> BadHeader {
    BadHeader { expected, found: found.into() }
}

impl NpyHeader {
    /// Reads magic, version and dictionary; the reader then stands at the data.
    pub(crate) fn read(reader: &mut impl Read) -> Result<Self, BadHeader> {
        let short = |error: std::io::Error| bad("an NPY array", format!("{error}"));
        let mut start = [0u8; 8];
        reader.read_exact(&mut start).map_err(short)?;
        if &start[..6] != MAGIC {
            return Err(bad(
                "an NPY array",
                format!("data that begins with `{}`", start[..6].escape_ascii()),
            ));
        }
        let length = match start[6] {
            1 => {
                let mut raw = [0u8; 2];
                reader.read_exact(&mut raw).map_err(short)?;
                usize::from(u16::from_le_bytes(raw))
            }
            2 | 3 => {
                let mut raw = [0u8; 4];
                reader.read_exact(&mut raw).map_err(short)?;
                u32::from_le_bytes(raw) as usize
            }
            version => return Err(bad("NPY version 1, 2 or 3", version.to_string())),
        };
        if length > LARGEST_HEADER {
            return Err(bad("an NPY header of at most 10000 bytes", length.to_string()));
        }
        let mut text = vec![0u8; length];
        reader.read_exact(&mut text).map_err(short)?;
        let text =
            std::str::from_utf8(&text).map_err(|_| bad("an NPY header in UTF-8", "other bytes"))?;
        Self::parse(text)
    }

    fn parse(text: &str) -> Result<Self, BadHeader> {
        let dictionary = "a dictionary with descr, fortran_order and shape";
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        let mut rest =
            text.trim().strip_prefix('{').ok_or_else(|| bad(dictionary, short(text)))?.trim_start();
        while !rest.starts_with('}') {
            let (key, after) = quoted(rest).ok_or_else(|| bad(dictionary, short(rest)))?;
            rest = after
                .trim_start()
                .strip_prefix(':')
                .ok_or_else(|| bad(dictionary, short(after)))?
                .trim_start();
            rest = match key {
                "descr" => {
                    // A list here is a record type, and its text cannot be one plain type.
                    let (value, after) = quoted(rest).ok_or_else(|| {
                        bad("an array of plain numbers", format!("records, {}", short(rest)))
                    })?;
                    descr = Some(value.to_owned());
                    after
                }
                "fortran_order" => {
                    let (value, after) = [("True", true), ("False", false)]
                        .into_iter()
                        .find_map(|(word, value)| {
                            rest.strip_prefix(word).map(|after| (value, after))
                        })
                        .ok_or_else(|| bad("fortran_order True or False", short(rest)))?;
                    fortran_order = Some(value);
                    after
                }
                "shape" => {
                    let (inside, after) = rest
                        .strip_prefix('(')
                        .and_then(|r| r.split_once(')'))
                        .ok_or_else(|| bad("shape, a tuple of sizes", short(rest)))?;
                    shape = Some(
                        sizes(inside)
                            .ok_or_else(|| bad("shape, a tuple of sizes", short(inside)))?,
                    );
                    after
                }
                other => return Err(bad(dictionary, format!("the key `{}`", short(other)))),
            }
            .trim_start();
            rest = match rest.strip_prefix(',') {
                Some(after) => after.trim_start(),
                None if rest.starts_with('}') => rest,
                None => return Err(bad(dictionary, short(rest))),
            };
        }
        match (descr, fortran_order, shape) {
            (Some(descr), Some(fortran_order), Some(shape)) => {
                Ok(Self { descr, fortran_order, shape })
            }
            _ => Err(bad(dictionary, short(text))),
        }
    }

    /// Number of entries times `item_bytes`; `None` when that is no `u64`.
    pub(crate) fn data_bytes(&self, item_bytes: u64) -> Option<u64> {
        self.shape.iter().try_fold(item_bytes, |bytes, &n| bytes.checked_mul(n as u64))
    }

    /// The bytes that numpy writes before C-ordered data of this type and shape.
    pub(crate) fn bytes(descr: &str, shape: &[usize]) -> Vec<u8> {
        let sizes: Vec<String> = shape.iter().map(usize::to_string).collect();
        let tuple = if sizes.len() == 1 {
            format!("({},)", sizes[0])
        } else {
            format!("({})", sizes.join(", "))
        };
        let growth = sizes.first().map_or(0, |n| GROWTH_DIGITS.saturating_sub(n.len()));
        let mut text = format!(
            "{{'descr': '{descr}', 'fortran_order': False, 'shape': {tuple}, }}{}",
            " ".repeat(growth)
        );
        let prefix = MAGIC.len() + 4;
        let padding = ALIGN - (prefix + text.len() + 1) % ALIGN;
        text.push_str(&" ".repeat(padding));
        text.push('\n');
        let mut out = MAGIC.to_vec();
        out.extend([1, 0]);
        out.extend((text.len() as u16).to_le_bytes());
        out.extend(text.into_bytes());
        out
    }
}

/// A Python string literal without escapes, and what is behind it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    text[1..].split_once(quote)
}

/// `3, 4` or `3,` or nothing; Python 2 wrote `3L`.
fn sizes(text: &str) -> Option<Vec<usize>> {
    let text = text.trim().trim_end_matches(',');
    if text.is_empty() {
        return Some(Vec::new());
    }
    text.split(',').map(|n| n.trim().trim_end_matches('L').parse().ok()).collect()
}

fn short(text: &str) -> String {
    let cut: String = text.trim().chars().take(60).collect();
    format!("`{}`", cut.escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_numpys_byte_for_byte() {
        // numpy 2.4: np.save of zeros((15, 80, 96), uint8) begins with 128 bytes, the dictionary
        // filled up with spaces.
        let dictionary = "{'descr': '|u1', 'fortran_order': False, 'shape': (15, 80, 96), }";
        let want = [b"\x93NUMPY\x01\x00v\x00", format!("{dictionary:117}\n").as_bytes()].concat();
        assert_eq!(NpyHeader::bytes("|u1", &[15, 80, 96]), want);
        let read = NpyHeader::read(&mut &want[..]).unwrap();
        assert_eq!(
            read,
            NpyHeader { descr: "|u1".into(), fortran_order: false, shape: vec![15, 80, 96] }
        );
    }

    #[test]
    fn scalars_vectors_and_python_2_sizes_are_read() {
        for (text, shape) in [("()", vec![]), ("(3,)", vec![3]), ("(3L, 4L)", vec![3, 4])] {
            let header = NpyHeader::parse(&format!(
                "{{'shape': {text}, \"descr\": '<f8', 'fortran_order': True}}"
            ))
            .unwrap();
            assert_eq!((header.shape, header.fortran_order), (shape, true));
        }
    }

    #[test]
    fn nonsense_is_refused_with_what_was_there() {
        for text in [
            "",
            "{",
            "{}",
            "{'descr': [('a', '<f4')], }",
            "{'shape': (-1,)}",
            "{'shape': (1.5,)}",
            "{'shape': (99999999999999999999,)}",
            "{'x': 1}",
        ] {
            assert!(NpyHeader::parse(text).is_err(), "{text}");
        }
        assert_eq!(
            NpyHeader::parse("{'descr': [('a', '<f4')], }").unwrap_err().expected,
            "an array of plain numbers"
        );
        assert!(NpyHeader::parse(&format!("{{'shape': {}", "(".repeat(60_000))).is_err());
    }
}
