//! What a request is answered with when it cannot be done: a status and a sentence.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ild_cli::one_line;

/// Shorthand for handlers.
pub type Answer<T> = Result<T, Problem>;

/// A refusal in words; clients show `detail` as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// HTTP status.
    pub status: StatusCode,
    /// What was expected, what was found, and what to do.
    pub detail: String,
}

/// When a client may try again, s.
const RETRY_AFTER: &str = "2";

impl Problem {
    /// Any status.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into() }
    }

    /// 400: the request is wrong.
    pub fn bad(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 404: there is no such thing.
    pub fn absent(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// 409: somebody else changed it.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    /// 503: come again.
    pub fn busy(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    }

    /// 500: the machine's fault.
    pub fn failed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
    }
}

impl From<ild_infer::Error> for Problem {
    fn from(error: ild_infer::Error) -> Self {
        match &error {
            ild_infer::Error::Interrupted(_) => Self::conflict("given up on request"),
            error if error.is_rejection() => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, one_line(error))
            }
            error => Self::failed(one_line(error)),
        }
    }
}

impl From<ild_io::Error> for Problem {
    fn from(error: ild_io::Error) -> Self {
        ild_infer::Error::from(error).into()
    }
}

impl From<ild_cli::FileError> for Problem {
    fn from(error: ild_cli::FileError) -> Self {
        match error.is_refusal() {
            true => Self::conflict(one_line(&error)),
            false => Self::failed(one_line(&error)),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::json!({ "detail": self.detail }).to_string();
        let mut response = (self.status, body).into_response();
        let fields = response.headers_mut();
        fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            fields.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
        }
        response
    }
}
