//! Which cases there are, one of them opened, and the next one.

use std::path::Path as FilePath;
use std::sync::{Arc, Mutex};
use std::time::UNIX_EPOCH;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, header};
use axum::response::IntoResponse;
use ild_io::volume_bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::view::View;
use super::{Caller, place};
use crate::app::App;
use crate::draft::{Draft, held};
use crate::error::{Answer, Problem};
use crate::json::Json;
use crate::model::OpenCase;
use crate::next;

/// A case in the list.
#[derive(Serialize)]
pub struct Row {
    id: String,
    accepted: bool,
    unfinished: bool,
    uncertainty: Option<f64>,
}

/// All cases, by name.
pub async fn list(State(app): State<Arc<App>>) -> Answer<Json<Value>> {
    let looking = Arc::clone(&app);
    blocking(move || looking.studies.look_again()).await??;
    let rows: Vec<Row> = app
        .studies
        .all()
        .iter()
        .map(|study| Row {
            id: study.id.clone(),
            accepted: app.labels.when(&study.id).is_some(),
            unfinished: app.drafts.is_left(&study.id),
            uncertainty: app.scores.of(&study.id),
        })
        .collect();
    let origin = &app.models.engine().origin;
    let model =
        json!({ "name": origin.model, "sha256": origin.sha256, "finds": app.models.finds() });
    Ok(Json(json!({ "cases": rows, "model": model, "version": env!("CARGO_PKG_VERSION") })))
}

/// After which case.
#[derive(Deserialize)]
pub struct After {
    after: Option<String>,
}

/// The next case: see [`next::unlabelled`].
pub async fn next(State(app): State<Arc<App>>, Query(after): Query<After>) -> Json<Value> {
    Json(json!({ "id": next::unlabelled(&app, after.after.as_deref(), next::Order::Uncertain) }))
}

/// Opens a case.
pub async fn open(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    caller: Caller,
) -> Answer<Json<Value>> {
    let (id, case, draft) = working(&app, &id).await?;
    let scan = case.scan();
    let [depth, height, width] = scan.grid().shape_zyx;
    let table = app.models.table();
    let classes: Vec<Value> = table
        .classes
        .iter()
        .map(|(id, label)| json!({ "id": id, "name": label.name, "color": label.color }))
        .collect();
    let windows: Vec<_> = scan.windowing.unwrap_or_default().windows().to_vec();
    let view = {
        let draft = held(&draft);
        let all: Vec<usize> = draft.history.occupied().map(|(z, _)| z).collect();
        View::of(&app, (&id, &case), &caller, &draft, all)
    };
    Ok(Json(json!({
        "id": id,
        "dims": [width, height, depth],
        "spacing_mm": scan.grid().spacing_xyz_mm,
        "classes": classes,
        "windows": windows,
        "notes": scan.notes,
        "dicom": app.studies.get(&id)?.case.is_dicom(),
        "accepted": accepted_at(&app, &id),
        "about": app.labels.accepted(&id),
        "earlier": app.labels.earlier(&id),
        "view": view,
    })))
}

/// The time at which the mask of a case was accepted: what [`super::accept`] compares.
pub fn accepted_at(app: &App, id: &str) -> Option<String> {
    let time = app.labels.when(id)?.duration_since(UNIX_EPOCH).ok()?;
    Some(time.as_nanos().to_string())
}

/// The CT as NIfTI, not compressed: on this computer that costs more than sending it.
pub async fn ct(State(app): State<Arc<App>>, Path(id): Path<String>) -> Answer<impl IntoResponse> {
    let (_, case) = app.case(&id).await?;
    let bytes = blocking(move || {
        let ct = case.scan().ct().ok_or_else(|| Problem::failed("the case is no CT"))?;
        Ok::<_, Problem>(volume_bytes(FilePath::new("ct.nii"), &place::shown(ct))?)
    });
    let bytes = bytes.await??;
    let nifti = HeaderValue::from_static("application/octet-stream");
    Ok(([(header::CONTENT_TYPE, nifti)], bytes))
}

/// What the page knows already.
#[derive(Deserialize)]
pub struct Known {
    revision: Option<i64>,
}

/// How a mask stands; all of its slices when it is not what the page knows.
pub async fn state(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(known): Query<Known>,
    caller: Caller,
) -> Answer<Json<Value>> {
    let (id, case, draft) = working(&app, &id).await?;
    let draft = held(&draft);
    let same =
        known.revision.is_some_and(|known| u64::try_from(known) == Ok(draft.history.revision()));
    let depth = case.scan().grid().shape_zyx[0];
    let view = View::of(&app, (&id, &case), &caller, &draft, 0..if same { 0 } else { depth });
    Ok(Json(json!({ "all": !same, "view": view, "accepted": accepted_at(&app, &id) })))
}

/// A case that is worked on: its name, its CT and its mask.
pub type Working = (String, Arc<OpenCase>, Arc<Mutex<Draft>>);

/// Opens what is needed to work on a case.
///
/// # Errors
/// 404, and what the readers refuse.
pub async fn working(app: &Arc<App>, id: &str) -> Answer<Working> {
    let (study, case) = app.case(id).await?;
    if let Some(draft) = app.drafts.get(&study.id) {
        return Ok((study.id.clone(), case, draft));
    }
    let (all, open, id) = (Arc::clone(app), Arc::clone(&case), study.id.clone());
    let draft = blocking(move || {
        let accepted = all.labels.path(&id);
        all.drafts.open(&id, open.scan(), all.models.table(), &accepted)
    });
    Ok((study.id.clone(), case, draft.await??))
}

/// Work that reads or writes files, off the threads that answer.
///
/// # Errors
/// 500 when it broke down.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Answer<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| Problem::failed("the server broke down on this; its log says why"))
}
