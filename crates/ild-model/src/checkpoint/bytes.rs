//! The bytes of a pickle, taken from the front; none beyond the end.

use super::error::{Checked, refuse};
use super::value::Node;

/// What is left of a pickle.
pub(super) struct Bytes<'a> {
    pub bytes: &'a [u8],
    /// Where the next byte is.
    pub at: usize,
}

impl Bytes<'_> {
    pub(super) fn byte(&mut self) -> Checked<u8> {
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn array<const N: usize>(&mut self) -> Checked<[u8; N]> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    pub(super) fn take(&mut self, n: usize) -> Checked<&[u8]> {
        match self.at.checked_add(n).and_then(|end| self.bytes.get(self.at..end)) {
            Some(slice) => {
                self.at += n;
                Ok(slice)
            }
            None => refuse(
                format!("{n} more bytes of pickle at byte {}", self.at),
                format!("{}", self.bytes.len() - self.at),
            ),
        }
    }

    pub(super) fn length4(&mut self) -> Checked<usize> {
        Ok(u32::from_le_bytes(self.array()?) as usize)
    }

    pub(super) fn length8(&mut self) -> Checked<usize> {
        Ok(usize::try_from(u64::from_le_bytes(self.array()?)).unwrap_or(usize::MAX))
    }

    pub(super) fn text(&mut self, n: usize) -> Checked<Node> {
        Ok(Node::Text(String::from_utf8_lossy(self.take(n)?).into_owned()))
    }

    pub(super) fn line(&mut self) -> Checked<&str> {
        let rest = &self.bytes[self.at..];
        let Some(end) = rest.iter().position(|&b| b == b'\n') else {
            return refuse("a line of text", "the end of the pickle");
        };
        self.at += end + 1;
        std::str::from_utf8(&rest[..end]).or_else(|_| refuse("text", "bytes that are not UTF-8"))
    }

    pub(super) fn index(&mut self) -> Checked<u64> {
        self.line()?.parse().or_else(|_| refuse("a number", "other text"))
    }

    /// `INT` also spells booleans, as `00` and `01`; `LONG` ends in `L`.
    pub(super) fn decimal(&mut self) -> Checked<Node> {
        match self.line()? {
            "00" | "01" => Ok(Node::Bool),
            text => Ok(text.trim_end_matches('L').parse().map_or(Node::BigInt, Node::Int)),
        }
    }
}

/// Little-endian two's complement of any length.
pub(super) fn long(bytes: &[u8]) -> Node {
    if bytes.len() > 8 {
        return Node::BigInt;
    }
    let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
    let mut out = [if negative { 0xff } else { 0 }; 8];
    out[..bytes.len()].copy_from_slice(bytes);
    Node::Int(i64::from_le_bytes(out))
}
