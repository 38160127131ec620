//! Who may ask: before anything else is looked at.
//!
//! ```text
//! host      the name the request was sent to, and the page it comes from: no page elsewhere drives
//!           this server, not even through a name that is made to point here
//! token     the secret
//! tls       encryption, where no proxy does it
//! ```

mod host;
mod tls;
mod token;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

pub use host::Hosts;
pub use tls::acceptor;
pub use token::Token;

use crate::app::App;
use crate::error::Problem;

/// The routes by which a client asks for, or shows, the secret.
const OPEN: [&str; 5] = ["/auth", "/auth/", "/auth/token", "/auth/token/", "/auth/token/valid"];

/// Refuses what may not ask; what may goes on to its route.
pub async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let origin = match app.hosts.check(request.headers(), request.method()) {
        Ok(origin) => origin,
        Err(why) => {
            app.journal.say(format!("refused: {why}"));
            return Problem::new(StatusCode::FORBIDDEN, why).into_response();
        }
    };
    if request.method() == Method::OPTIONS && origin.is_some() {
        return with_origin(StatusCode::NO_CONTENT.into_response(), origin);
    }
    if let Some(token) = &app.token
        && !OPEN.contains(&path.as_str())
    {
        if let Some(reply) = token.by_address(&request) {
            return reply;
        }
        if !token.is_shown(request.headers()) {
            let detail = "this server wants its token: send `Authorization: Bearer <token>`, log in \
                          with it as password, or open the page with `?token=<token>` once";
            let mut refused = Problem::new(StatusCode::UNAUTHORIZED, detail).into_response();
            let bearer = HeaderValue::from_static("Bearer");
            refused.headers_mut().insert(header::WWW_AUTHENTICATE, bearer);
            return with_origin(refused, origin);
        }
    }
    with_origin(next.run(request).await, origin)
}

/// Lets the page at `origin`, which is allowed, read the reply; and says to every browser what not
/// to do with it.
fn with_origin(mut response: Response, origin: Option<HeaderValue>) -> Response {
    let fields = response.headers_mut();
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in fixed {
        fields.insert(name, HeaderValue::from_static(value));
    }
    fields.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if let Some(origin) = origin {
        fields.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        for (name, value) in [
            (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, PUT, DELETE"),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type"),
            (header::VARY, "Origin"),
        ] {
            fields.insert(name, HeaderValue::from_static(value));
        }
    }
    response
}
