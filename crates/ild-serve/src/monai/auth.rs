//! `/auth/`: the secret as a password, which 3D Slicer asks for before anything else.

use std::sync::Arc;

use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::App;
use crate::error::{Answer, Problem};
use crate::json::Json;

/// Whether there is a secret.
pub async fn enabled(State(app): State<Arc<App>>) -> Json<Value> {
    Json(json!({ "enabled": app.token.is_some() }))
}

/// What somebody types.
#[derive(Deserialize)]
pub struct Login {
    password: String,
}

/// The secret for the secret: whoever knows it gets it in the form that the protocol has.
pub async fn token(State(app): State<Arc<App>>, Form(login): Form<Login>) -> Answer<Json<Value>> {
    match &app.token {
        Some(token) if token.is(&login.password) => {
            Ok(Json(json!({ "access_token": login.password, "token_type": "bearer" })))
        }
        Some(_) => {
            let wrong = "expected the server's token as password, found another";
            Err(Problem::new(StatusCode::UNAUTHORIZED, wrong))
        }
        None => Err(Problem::absent("this server asks for no password")),
    }
}

/// Whether a request shows the secret.
pub async fn valid(State(app): State<Arc<App>>, fields: HeaderMap) -> Answer<Json<Value>> {
    match &app.token {
        Some(token) if !token.is_shown(&fields) => {
            Err(Problem::new(StatusCode::UNAUTHORIZED, "the token is not this server's"))
        }
        _ => Ok(Json(json!({ "valid": true }))),
    }
}
