//! Parts of a multipart message (RFC 2046 5.1), one in memory at a time.

use std::io::{self, Read};

use memchr::memmem::Finder;

/// A part is no larger than this.
const LARGEST_PART_BYTES: usize = 2 << 30;
/// Headers of a part are no longer than this.
const LONGEST_HEADERS: usize = 64 << 10;
/// How much is read at once.
const CHUNK: usize = 256 << 10;

/// The boundary that a Content-Type names.
pub(crate) fn boundary_of(content_type: &str) -> Option<String> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/related") {
        return None;
    }
    let lower = parameters.to_ascii_lowercase();
    let rest = &parameters[lower.find("boundary=")? + "boundary=".len()..];
    let boundary = match rest.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next()?,
        None => rest.split(';').next()?.trim(),
    };
    (!boundary.is_empty()).then(|| boundary.to_owned())
}

/// The parts of a message.
pub(crate) struct Parts<R> {
    source: R,
    /// `\r\n--boundary`
    delimiter: Finder<'static>,
    /// What was read and not handed out; begins behind a delimiter once one was found.
    kept: Vec<u8>,
    /// Where the part that was handed out ends, and the delimiter behind it.
    used: usize,
    started: bool,
    ended: bool,
}

impl<R: Read> Parts<R> {
    pub fn new(source: R, boundary: &str) -> Self {
        let delimiter = format!("\r\n--{boundary}");
        Self {
            source,
            delimiter: Finder::new(delimiter.as_bytes()).into_owned(),
            // The first delimiter may stand at the very beginning.
            kept: b"\r\n".to_vec(),
            used: 0,
            started: false,
            ended: false,
        }
    }

    /// The next part without its headers; `None` behind the last.
    pub fn next(&mut self) -> io::Result<Option<&[u8]>> {
        self.kept.drain(..self.used);
        self.used = 0;
        if !self.started {
            let end = self.find_delimiter(0)?;
            self.kept.drain(..end + self.delimiter.needle().len());
            self.started = true;
        }
        // Behind a delimiter: `--` at the end of all, else a line end, headers, an empty line.
        self.fill(2)?;
        if self.ended || self.kept.starts_with(b"--") {
            self.ended = true;
            return Ok(None);
        }
        let headers = self.find_headers()?;
        let end = self.find_delimiter(headers)?;
        self.used = end + self.delimiter.needle().len();
        Ok(Some(&self.kept[headers..end]))
    }

    /// Where the headers of the part end; they are not needed: every part is a DICOM file.
    fn find_headers(&mut self) -> io::Result<usize> {
        loop {
            if let Some(at) = memchr::memmem::find(&self.kept, b"\r\n\r\n") {
                return Ok(at + 4);
            }
            if self.kept.len() > LONGEST_HEADERS {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "headers without an end"));
            }
            self.more()?;
        }
    }

    fn find_delimiter(&mut self, from: usize) -> io::Result<usize> {
        // The empty line behind headers may be the one before the delimiter.
        let mut searched = from.saturating_sub(2);
        loop {
            if let Some(at) = self.delimiter.find(&self.kept[searched..]) {
                return Ok((searched + at).max(from));
            }
            searched = self.kept.len().saturating_sub(self.delimiter.needle().len()).max(searched);
            if self.kept.len() - from.min(self.kept.len()) > LARGEST_PART_BYTES {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a part above 2 GiB"));
            }
            self.more()?;
        }
    }

    fn fill(&mut self, length: usize) -> io::Result<()> {
        while self.kept.len() < length {
            self.more()?;
        }
        Ok(())
    }

    fn more(&mut self) -> io::Result<()> {
        let before = self.kept.len();
        self.kept.resize(before + CHUNK, 0);
        let read = loop {
            match self.source.read(&mut self.kept[before..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.kept.truncate(before + *read.as_ref().unwrap_or(&0));
        match read? {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "no last boundary")),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out one byte at a time: every boundary falls apart.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let n = self.0.len().min(1);
            buffer[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    fn parts(message: &[u8]) -> io::Result<Vec<Vec<u8>>> {
        let mut fast = Parts::new(message, "b");
        let mut slow = Parts::new(Slow(message), "b");
        let mut all = Vec::new();
        while let Some(part) = fast.next()? {
            assert_eq!(slow.next()?.unwrap(), part);
            all.push(part.to_vec());
        }
        assert!(slow.next()?.is_none());
        Ok(all)
    }

    #[test]
    fn parts_come_out_as_they_were_put_in() {
        let message = b"--b\r\nContent-Type: application/dicom\r\n\r\none\r\n--\r\n--b\r\nA: b\r\n\r\n\r\n\r\n--b--\r\n";
        assert_eq!(parts(message).unwrap(), [b"one\r\n--".to_vec(), b"\r\n".to_vec()]);
        let preamble = b"preamble\r\n--b\r\nA: b\r\n\r\nx\r\n--b--";
        assert_eq!(parts(preamble).unwrap(), [b"x".to_vec()]);
        assert_eq!(parts(b"--b\r\nA: b\r\n\r\n\r\n--b--").unwrap(), [b"".to_vec()]);
    }

    #[test]
    fn a_message_that_breaks_off_is_an_error() {
        let message = b"--b\r\nContent-Type: application/dicom\r\n\r\none\r\n--b--";
        for end in 0..message.len() {
            assert!(parts(&message[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn boundaries_are_found_in_quotes_and_without() {
        let of = |parameters: &str| boundary_of(&format!("multipart/related{parameters}"));
        assert_eq!(of("; type=\"application/dicom\"; boundary=abc").unwrap(), "abc");
        assert_eq!(of("; boundary=\"a b\"; type=x").unwrap(), "a b");
        assert_eq!(of("; Boundary=x; type=y").unwrap(), "x");
        assert_eq!(boundary_of("application/json"), None);
    }
}
