//! The two forms of an answer with a label map.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use ild_io::{LabelMap, nrrd_bytes};
use serde_json::Value;

/// Parts of a multipart reply end here; no voxels hold it by chance, and it is looked for.
const BOUNDARY: &str = "ild-serve-5f0d2c9a7e41";

/// How the client wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `params` and the file, as 3D Slicer takes it: JSON alone kills its client.
    Both,
    /// The file, as OHIF takes it.
    Image,
}

/// The answer.
pub fn of(form: Form, map: &LabelMap, params: &Value, gzip: bool) -> Response {
    match form {
        Form::Image => {
            let kind = HeaderValue::from_static("application/octet-stream");
            let name = HeaderValue::from_static("attachment; filename=\"result.nrrd\"");
            let fields = [(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, name)];
            (fields, nrrd_bytes(map, gzip)).into_response()
        }
        Form::Both => both(&nrrd_bytes(map, true), params),
    }
}

fn both(nrrd: &[u8], params: &Value) -> Response {
    let mut boundary = BOUNDARY.to_owned();
    while holds(nrrd, boundary.as_bytes()) {
        boundary.push('x');
    }
    let mut body = Vec::with_capacity(nrrd.len() + 1024);
    body.extend_from_slice(
        format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"params\"\r\n\
             Content-Type: application/json\r\n\r\n{params}\r\n\
             --{boundary}\r\nContent-Disposition: form-data; name=\"image\"; \
             filename=\"result.nrrd\"\r\nContent-Type: application/octet-stream\r\n\r\n"
        )
        .as_bytes(),
    );
    body.extend_from_slice(nrrd);
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    let kind = format!("multipart/form-data; boundary={boundary}");
    ([(header::CONTENT_TYPE, kind)], body).into_response()
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
