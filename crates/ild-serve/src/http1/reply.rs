//! A reply in bytes.

use axum::http::{HeaderMap, Method, StatusCode, header};
use bytes::Bytes;

/// The bytes of a reply. Its length is always said: clients of MONAI Label take the marks of a
/// chunked one for voxels.
pub(super) fn head(
    status: StatusCode,
    fields: &HeaderMap,
    body: &Bytes,
    method: &Method,
    keep_alive: bool,
) -> Vec<u8> {
    let reason = status.canonical_reason().unwrap_or("");
    let mut out = format!("HTTP/1.1 {} {reason}\r\n", status.as_u16()).into_bytes();
    for (name, value) in fields {
        let framing =
            [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION].contains(name);
        if !framing {
            out.extend_from_slice(name.as_str().as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(value.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
    let bodiless = status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED;
    if !bodiless && method != Method::HEAD {
        out.extend_from_slice(format!("content-length: {}\r\n", body.len()).as_bytes());
    }
    let connection = if keep_alive { "keep-alive" } else { "close" };
    out.extend_from_slice(format!("connection: {connection}\r\n\r\n").as_bytes());
    out
}
