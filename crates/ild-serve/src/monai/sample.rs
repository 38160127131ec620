//! `POST /activelearning/{strategy}`: the next case.

use std::sync::Arc;

use axum::extract::{Path, State};
use serde_json::{Value, json};

use crate::app::App;
use crate::error::{Answer, Problem};
use crate::json::Json;
use crate::next::{Order, unlabelled};
use crate::settings::is_own;

/// The next case without an accepted mask; `{}` when there is none.
pub async fn next(
    State(app): State<Arc<App>>,
    Path(strategy): Path<String>,
    Json(_): Json<Value>,
) -> Answer<Json<Value>> {
    let order = match strategy.as_str() {
        "first" => Order::Name,
        "uncertain" => Order::Uncertain,
        other => {
            let found = ild_cli::printable(other);
            return Err(Problem::absent(format!(
                "expected `first` or `uncertain`, found `{found}`"
            )));
        }
    };
    let Some(id) = unlabelled(&app, None, order) else { return Ok(Json(json!({}))) };
    let study = app.studies.get(&id)?;
    let path = study.case.path.clone();
    // Only a viewer on this computer can do anything with a path of it.
    let told = is_own(app.settings.address.ip()) && !study.case.is_dicom();
    let shown = if told { path.display().to_string() } else { format!("{id}.nii.gz") };
    let all = Arc::clone(&app);
    let hash = tokio::task::spawn_blocking(move || all.studies.sha256(&path)).await.ok().flatten();
    Ok(Json(json!({
        "id": id,
        "name": format!("{id}.nii.gz"),
        "path": shown,
        "checksum": format!("SHA256:{}", hash.unwrap_or_default()),
        "uncertainty": app.scores.of(&id),
    })))
}
