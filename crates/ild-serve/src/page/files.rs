//! The page itself, where it was built in (`cargo xtask page`).

use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::error::Problem;

include!(concat!(env!("OUT_DIR"), "/page.rs"));

/// Nothing but this server's own files; NiiVue's colours and shaders are in its script.
const POLICY: &str = "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; \
    worker-src 'self' blob:; connect-src 'self' data: blob:; font-src 'self' data:; object-src 'none'; \
    base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// What is shown by a build without the page.
const WITHOUT: &str = "<!doctype html><html lang=en><meta charset=utf-8><title>ild-serve</title>\
<h1>ild-serve</h1><p>This server speaks MONAI Label's protocol: give its address to 3D Slicer or OHIF. \
It was built without a page of its own; <code>cargo xtask page</code> makes it (Node.js is needed), and the next \
build of <code>ild-serve</code> holds it.</p></html>";

/// Whether this build holds the page.
#[must_use]
pub fn has_page() -> bool {
    !FILES.is_empty()
}

/// The page.
pub async fn index() -> Response {
    found("index.html").unwrap_or_else(|| page(WITHOUT.as_bytes(), "text/html; charset=utf-8"))
}

/// A file of the page; names that are none are none of the disk either.
pub async fn file(Path(name): Path<String>) -> Response {
    found(&name).unwrap_or_else(|| {
        Problem::new(StatusCode::NOT_FOUND, "the page has no such file").into_response()
    })
}

fn found(name: &str) -> Option<Response> {
    let (_, bytes) = FILES.iter().find(|(known, _)| *known == name)?;
    let kind = match name.rsplit_once('.')?.1 {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    };
    Some(page(bytes, kind))
}

fn page(bytes: &'static [u8], kind: &'static str) -> Response {
    let fields = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
    ];
    (fields, bytes).into_response()
}
