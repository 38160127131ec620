//! `GET /logs/`: what happened, as text.

use std::sync::Arc;

use axum::extract::{Query, State};
use serde::Deserialize;

use crate::app::App;

/// How much of it.
#[derive(Deserialize)]
pub struct Asked {
    lines: Option<usize>,
}

/// The last lines.
pub async fn logs(State(app): State<Arc<App>>, Query(asked): Query<Asked>) -> String {
    app.journal.last(asked.lines.unwrap_or(300)).join("\n") + "\n"
}
