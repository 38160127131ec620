//! `/session/`: a CT that a viewer sends for a while.

use std::sync::Arc;

use axum::extract::{Multipart, Path, State};
use serde_json::{Value, json};

use crate::app::App;
use crate::error::{Answer, Problem};
use crate::json::Json;
use crate::studies::SentInfo;
use crate::upload;

/// Takes the CT: one `.nii`, `.nii.gz` or `.nrrd`, or the slices of a DICOM series.
pub async fn create(State(app): State<Arc<App>>, form: Multipart) -> Answer<Json<Value>> {
    let (id, folder) = app.sent.begin()?;
    // Taken away with everything in it where the CT is refused.
    let passing = upload::Passing(folder.clone());
    let form = upload::read(form, &["files", "file"], &folder).await?;
    let path = match &form.files[..] {
        [] => return Err(Problem::bad("expected a file in the field `files`")),
        [file] => file.clone(),
        _ => folder,
    };
    let info = app.sent.add(&id, path);
    let (study, _) = app.sent.get(&id)?;
    // Read now: a file that is none is refused here, and the first click need not wait for it.
    if let Err(problem) = app.models.open(&study).await {
        app.sent.forget(&id);
        return Err(problem);
    }
    passing.stay();
    Ok(Json(json!({ "session_id": id, "session_info": info })))
}

/// Whether it still is there.
pub async fn read(State(app): State<Arc<App>>, Path(id): Path<String>) -> Answer<Json<SentInfo>> {
    Ok(Json(app.sent.get(&id)?.1))
}

/// Ends it.
pub async fn end(State(app): State<Arc<App>>, Path(id): Path<String>) -> Answer<Json<SentInfo>> {
    let info = app.sent.end(&id)?;
    app.models.close(&id);
    Ok(Json(info))
}
