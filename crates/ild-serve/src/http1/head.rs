//! The head of a request: line and fields.

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version, header};

use super::framing::Framing;

/// Longest head that is read, bytes.
pub(super) const LONGEST_HEAD: usize = 32 << 10;
/// Most fields.
const MOST_FIELDS: usize = 64;

/// What a request says before its body.
pub(super) struct Head {
    pub method: Method,
    pub uri: Uri,
    pub version: Version,
    pub fields: HeaderMap,
    pub framing: Framing,
    /// Whether the socket may be used again.
    pub keep_alive: bool,
}

/// The head at the beginning of `bytes` and its length; `None` when it is not whole yet.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Head, usize)>, &'static str> {
    let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    let length = match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err("this is no HTTP/1.1 request"),
    };
    let method = request.method.and_then(|m| Method::from_bytes(m.as_bytes()).ok());
    let uri = request.path.and_then(|path| path.parse::<Uri>().ok());
    let (Some(method), Some(uri)) = (method, uri) else { return Err("method or path is no such") };
    let version = if request.version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 };
    let mut map = HeaderMap::with_capacity(request.headers.len());
    for field in request.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes());
        let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(field.value)) else {
            return Err("a header field is none");
        };
        map.append(name, value);
    }
    if version == Version::HTTP_11 && map.get_all(header::HOST).iter().count() != 1 {
        return Err("there must be one Host field");
    }
    let framing = Framing::of(&map)?;
    let says = |word: &str| {
        let value = map.get(header::CONNECTION).and_then(|value| value.to_str().ok());
        value.is_some_and(|value| value.split(',').any(|w| w.trim().eq_ignore_ascii_case(word)))
    };
    let keep_alive = if version == Version::HTTP_11 { !says("close") } else { says("keep-alive") };
    Ok(Some((Head { method, uri, version, fields: map, framing, keep_alive }, length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framing(fields: &str) -> Result<Framing, &'static str> {
        let text = format!("PUT /a HTTP/1.1\r\nHost: x\r\n{fields}\r\n");
        parse(text.as_bytes()).map(|head| head.expect("whole").0.framing)
    }

    #[test]
    fn a_body_has_one_length_or_none() {
        assert_eq!(framing("").unwrap(), Framing::Length(0));
        assert_eq!(framing("Content-Length: 7\r\n").unwrap(), Framing::Length(7));
        assert_eq!(framing("Transfer-Encoding: chunked\r\n").unwrap(), Framing::Chunked);
        // What two programs in a row may read differently is how one request hides in another.
        for smuggled in [
            "Content-Length: 7\r\nContent-Length: 8\r\n",
            "Content-Length: 7\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Content-Length: +7\r\n",
            "Content-Length: 7, 7\r\n",
            "Content-Length: -1\r\n",
            "Content-Length: 99999999999999999999999\r\n",
        ] {
            assert!(framing(smuggled).is_err(), "{smuggled}");
        }
    }

    #[test]
    fn a_head_is_whole_or_waited_for_or_refused() {
        assert!(parse(b"GET / HTTP/1.1\r\nHost: x\r\n").unwrap().is_none());
        for wrong in [
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\n a: folded\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00",
        ] {
            assert!(parse(wrong).is_err(), "{}", wrong.escape_ascii());
        }
        let old = parse(b"GET / HTTP/1.0\r\n\r\n").unwrap().unwrap().0;
        assert!(!old.keep_alive);
    }
}
