//! `/train/`: the operator's training.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use serde::Deserialize;
use serde_json::Value;

use crate::app::App;
use crate::error::{Answer, Problem};
use crate::json::Json;
use crate::training::Task;

/// What is asked about the training.
#[derive(Deserialize)]
pub struct Asked {
    #[serde(default)]
    check_if_running: bool,
}

/// The last run; asked whether one runs, 404 when none does.
pub async fn status(State(app): State<Arc<App>>, Query(asked): Query<Asked>) -> Answer<Json<Task>> {
    let none = || Problem::absent("no training runs");
    if asked.check_if_running && !app.training.is_running() {
        return Err(none());
    }
    app.training.last().map(Json).ok_or_else(none)
}

/// Starts it.
pub async fn start(State(app): State<Arc<App>>, Json(request): Json<Value>) -> Answer<Json<Task>> {
    Ok(Json(app.training.start(request)?))
}

/// Starts it; there is one, whatever it is called.
pub async fn start_model(
    app: State<Arc<App>>,
    _: Path<String>,
    request: Json<Value>,
) -> Answer<Json<Task>> {
    start(app, request).await
}

/// Stops it.
pub async fn stop(State(app): State<Arc<App>>) -> Answer<Json<Task>> {
    Ok(Json(app.training.stop()?))
}
