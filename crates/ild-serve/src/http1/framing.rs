//! Where a body ends.

use axum::http::{HeaderMap, header};

/// Longest line of a chunk's size, bytes.
const LONGEST_LINE: usize = 256;

/// How a request says where its body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// After so many bytes.
    Length(u64),
    /// In pieces, each with its size.
    Chunked,
}

impl Framing {
    /// What the fields say; anything that two readers could understand differently is refused.
    pub(super) fn of(fields: &HeaderMap) -> Result<Self, &'static str> {
        let mut lengths = fields.get_all(header::CONTENT_LENGTH).iter();
        let mut codings = fields.get_all(header::TRANSFER_ENCODING).iter();
        match (lengths.next(), lengths.next(), codings.next(), codings.next()) {
            (None, _, None, _) => Ok(Self::Length(0)),
            (Some(length), None, None, _) => {
                let digits = length.as_bytes();
                let text = length.to_str().ok().filter(|_| digits.iter().all(u8::is_ascii_digit));
                let length = text.and_then(|text| text.parse().ok());
                length.map(Self::Length).ok_or("Content-Length is no length")
            }
            (None, _, Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => {
                Ok(Self::Chunked)
            }
            _ => Err("the length of the body is said twice, or in another way than `chunked`"),
        }
    }
}

/// Takes a body out of the bytes of a socket.
pub(super) struct Unframed {
    state: State,
}

enum State {
    /// So many bytes of the body, or of this chunk, are to come.
    Data {
        left: u64,
        chunked: bool,
    },
    /// The line end behind a chunk.
    AfterChunk,
    /// A chunk's size.
    Size,
    /// Fields behind the last chunk; bytes of them so far.
    Trailer(usize),
    End,
}

/// What is next in the bytes.
pub(super) enum Next {
    /// So many bytes of the body begin here.
    Data(usize),
    /// So many bytes belong to the framing.
    Skip(usize),
    /// More bytes are needed.
    More,
    /// The body has ended.
    End,
}

impl Unframed {
    pub(super) fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::Length(0) => State::End,
            Framing::Length(left) => State::Data { left, chunked: false },
            Framing::Chunked => State::Size,
        };
        Self { state }
    }

    /// What `bytes` begin with; the caller takes as many off as that says.
    pub(super) fn next(&mut self, bytes: &[u8]) -> Result<Next, &'static str> {
        match &mut self.state {
            State::End => Ok(Next::End),
            _ if bytes.is_empty() => Ok(Next::More),
            State::Data { left, chunked } => {
                let n = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= n as u64;
                if *left == 0 {
                    self.state = if *chunked { State::AfterChunk } else { State::End };
                }
                Ok(Next::Data(n))
            }
            State::AfterChunk if bytes.len() < 2 => Ok(Next::More),
            State::AfterChunk if bytes.starts_with(b"\r\n") => {
                self.state = State::Size;
                Ok(Next::Skip(2))
            }
            State::AfterChunk => Err("a chunk is longer than it said"),
            State::Size => match httparse::parse_chunk_size(bytes) {
                Ok(httparse::Status::Complete((length, 0))) => {
                    self.state = State::Trailer(0);
                    Ok(Next::Skip(length))
                }
                Ok(httparse::Status::Complete((length, left))) => {
                    self.state = State::Data { left, chunked: true };
                    Ok(Next::Skip(length))
                }
                Ok(httparse::Status::Partial) if bytes.len() < LONGEST_LINE => Ok(Next::More),
                _ => Err("the size of a chunk is none"),
            },
            State::Trailer(seen) => {
                let Some(line) = bytes.windows(2).position(|pair| pair == b"\r\n") else {
                    let long = bytes.len() >= LONGEST_LINE;
                    return if long { Err("a trailer is too long") } else { Ok(Next::More) };
                };
                *seen += line + 2;
                if *seen > super::head::LONGEST_HEAD {
                    return Err("trailers are too long");
                }
                if line == 0 {
                    self.state = State::End;
                }
                Ok(Next::Skip(line + 2))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_joined_and_what_follows_is_the_next_request() {
        let mut unframed = Unframed::new(Framing::Chunked);
        let mut bytes = &b"4;x=y\r\nWiki\r\n5\r\npedia\r\n0\r\nA: b\r\n\r\nGET"[..];
        let mut whole = Vec::new();
        loop {
            let n = match unframed.next(bytes).unwrap() {
                Next::Data(n) => {
                    whole.extend_from_slice(&bytes[..n]);
                    n
                }
                Next::Skip(n) => n,
                Next::End => break,
                Next::More => panic!("cut short"),
            };
            bytes = &bytes[n..];
        }
        assert_eq!((&whole[..], bytes), (&b"Wikipedia"[..], &b"GET"[..]));
    }

    #[test]
    fn a_length_ends_where_it_says() {
        assert!(matches!(Unframed::new(Framing::Length(0)).next(b"GET"), Ok(Next::End)));
        let mut unframed = Unframed::new(Framing::Length(3));
        assert!(matches!(unframed.next(b"abcd"), Ok(Next::Data(3))));
        assert!(matches!(unframed.next(b"d"), Ok(Next::End)));
    }

    #[test]
    fn broken_chunks_are_refused() {
        for broken in [&b"x\r\n"[..], b"fffffffffffffffff\r\n", b"-1\r\n"] {
            assert!(Unframed::new(Framing::Chunked).next(broken).is_err(), "{broken:?}");
        }
        let mut unframed = Unframed::new(Framing::Chunked);
        assert!(matches!(unframed.next(b"2\r\n"), Ok(Next::Skip(3))));
        assert!(matches!(unframed.next(b"abcd"), Ok(Next::Data(2))));
        assert!(unframed.next(b"cd").is_err(), "longer than it said");
    }
}
