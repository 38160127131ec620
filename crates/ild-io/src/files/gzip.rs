//! Gzip streams as they occur: several members in a row (bgzip, `cat a.gz b.gz`), zero padding
//! behind the last.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

/// Inflates member after member; each member's CRC-32 and length (RFC 1952) are checked by the
/// decoder.
pub(crate) struct Gunzip<R: BufRead> {
    /// `None` only after the last member.
    member: Option<GzDecoder<R>>,
}

impl<R: BufRead> Gunzip<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { member: Some(GzDecoder::new(reader)) }
    }
}

impl<R: BufRead> Read for Gunzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while let Some(member) = &mut self.member {
            let n = member.read(buffer)?;
            if n > 0 {
                return Ok(n);
            }
            self.member = match self.member.take() {
                Some(finished) => next_member(finished.into_inner())?,
                None => None,
            };
        }
        Ok(0)
    }
}

/// The member behind the one just finished; `None` at the end of the file, zero padding included
/// (as gzip(1) ignores it).
fn next_member<R: BufRead>(mut reader: R) -> io::Result<Option<GzDecoder<R>>> {
    loop {
        let rest = reader.fill_buf()?;
        let Some(&first) = rest.first() else { return Ok(None) };
        match first {
            0 => {
                let zeros = rest.iter().take_while(|&&byte| byte == 0).count();
                reader.consume(zeros);
            }
            0x1f => return Ok(Some(GzDecoder::new(reader))),
            _ => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "bytes behind the end of the gzip stream that are not gzip",
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gz(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn inflate(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        Gunzip::new(bytes).read_to_end(&mut out)?;
        Ok(out)
    }

    #[test]
    fn members_are_joined_and_padding_ignored() {
        let two = [gz(b"one "), gz(b""), gz(b"two"), vec![0; 512]].concat();
        assert_eq!(inflate(&two).unwrap(), b"one two");
    }

    #[test]
    fn garbage_a_flipped_bit_and_a_missing_tail_are_errors() {
        let whole = gz(b"some voxels, some more voxels");
        assert!(inflate(&[whole.clone(), b"garbage".to_vec()].concat()).is_err());
        for cut in 1..whole.len() {
            assert!(inflate(&whole[..cut]).is_err(), "cut at {cut}");
        }
        let crc = whole.len() - 6;
        let mut flipped = whole;
        flipped[crc] ^= 1;
        assert!(inflate(&flipped).is_err());
    }
}
