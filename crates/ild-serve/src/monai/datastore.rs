//! `/datastore/`: CTs and masks on the server.

use std::path::Path as FilePath;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Multipart, Query, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use ild_infer::CaseFile;
use ild_io::cohort::LabelNames;
use ild_io::{LabelMap, LabelTable, read_label_map, read_volume, volume_bytes, write_volume};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::app::App;
use crate::clock;
use crate::draft::Made;
use crate::error::{Answer, Problem};
use crate::json::Json;
use crate::labels::Accepted;
use crate::page::Caller;
use crate::studies::{Study, safe_name};
use crate::upload::{self, Passing};

/// Where a mask is asked for, or put.
#[derive(Deserialize)]
pub struct Which {
    image: Option<String>,
    label: Option<String>,
    tag: Option<String>,
}

/// All CTs and their masks.
pub async fn list(State(app): State<Arc<App>>) -> Json<Value> {
    let names: Map<String, Value> =
        app.models.table().classes.iter().map(|(id, l)| (l.name.clone(), json!(id))).collect();
    let mut objects = Map::new();
    for study in app.studies.all() {
        let labels = match app.labels.when(&study.id) {
            None => json!({}),
            Some(_) => json!({
                "final": { "ext": ".nii.gz", "info": { "params": { "label_names": names } } },
            }),
        };
        let ext = if study.case.is_dicom() { "" } else { ".nii.gz" };
        objects.insert(
            study.id.clone(),
            json!({ "image": { "ext": ext, "info": {} }, "labels": labels }),
        );
    }
    Json(json!({ "name": "ild", "description": "", "objects": objects }))
}

/// A CT.
pub async fn image(State(app): State<Arc<App>>, Query(which): Query<Which>) -> Answer<Response> {
    let study = app.studies.get(which.image.as_deref().unwrap_or_default())?;
    let name = format!("{}.nii.gz", study.id);
    let path = study.case.path.clone();
    let bytes = tokio::task::spawn_blocking(move || bytes_of(&study, &path)).await;
    let bytes = bytes.map_err(|error| Problem::failed(error.to_string()))??;
    Ok(attachment(&name, bytes))
}

/// The file as it is where it is NIfTI; DICOM as NIfTI.
fn bytes_of(study: &Study, path: &FilePath) -> Answer<Vec<u8>> {
    let text = path.to_string_lossy().to_lowercase();
    if !study.case.is_dicom() && text.ends_with(".nii.gz") {
        return std::fs::read(path).map_err(|error| Problem::failed(error.to_string()));
    }
    Ok(volume_bytes(FilePath::new("ct.nii.gz"), &read_volume(path)?)?)
}

/// An accepted mask; `original`, which viewers ask for too, is none of ours.
pub async fn label(State(app): State<Arc<App>>, Query(which): Query<Which>) -> Answer<Response> {
    let id = which.label.or(which.image).unwrap_or_default();
    let study = app.studies.get(&id)?;
    if which.tag.as_deref() == Some("original") {
        return Err(Problem::absent("there is no mask of the model's own in this store"));
    }
    let bytes = std::fs::read(app.labels.path(&study.id));
    let bytes =
        bytes.map_err(|_| Problem::absent("nobody has accepted a mask of this case yet"))?;
    Ok(attachment(&format!("{}.nii.gz", study.id), bytes))
}

/// The name is quoted: clients of MONAI Label break on one that is not.
fn attachment(name: &str, bytes: Vec<u8>) -> Response {
    let safe: String = name.chars().map(|c| if "\"\\".contains(c) { '_' } else { c }).collect();
    let value = format!("attachment; filename=\"{safe}\"");
    let name = HeaderValue::from_str(&value)
        .unwrap_or(HeaderValue::from_static("attachment; filename=\"case.nii.gz\""));
    let kind = HeaderValue::from_static("application/octet-stream");
    let fields = [(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, name)];
    (fields, Body::from(bytes)).into_response()
}

/// A CT from a viewer: kept beside the others once it was read.
pub async fn add(
    State(app): State<Arc<App>>,
    Query(which): Query<Which>,
    form: Multipart,
) -> Answer<Json<Value>> {
    let asked = which.image.unwrap_or_default();
    let id = safe_name(&asked)?.to_owned();
    if app.studies.get(&id).is_ok() {
        return Err(Problem::conflict("there is a case of this name already; choose another name"));
    }
    let folder = Passing::in_folder(&app.studies.folders().state.join("sent"));
    let form = upload::read(form, &["file"], &folder.0).await?;
    let file = form.only_file()?.to_owned();
    let path = app.studies.folders().images.join(format!("{id}_0000.nii.gz"));
    let place = path.clone();
    let kept = tokio::task::spawn_blocking(move || write_volume(&place, &read_volume(&file)?));
    kept.await.map_err(|error| Problem::failed(error.to_string()))??;
    let case = CaseFile { id: id.clone(), path };
    app.studies.add(Study { id: id.clone(), case, series: None });
    app.journal.say(format!("a CT was sent: {id}"));
    Ok(Json(json!({ "image": id })))
}

/// A mask from a viewer, accepted there.
pub async fn save(
    State(app): State<Arc<App>>,
    Query(which): Query<Which>,
    caller: Caller,
    form: Multipart,
) -> Answer<Json<Value>> {
    let study = app.studies.get(which.image.as_deref().unwrap_or_default())?;
    if which.tag.as_deref().is_some_and(|tag| !["final", ""].contains(&tag)) {
        return Err(Problem::bad("masks are kept under the tag `final` only"));
    }
    let folder = Passing::in_folder(&app.studies.folders().state.join("sent"));
    let form = upload::read(form, &["label"], &folder.0).await?;
    let file = form.only_file()?.to_owned();
    let case = app.models.open(&study).await?;
    let names = viewers_names(&form.params);
    let said = form.params["client_id"].as_str().unwrap_or_default();
    let who = if caller.who.is_empty() { said.to_owned() } else { caller.who };
    let (all, id) = (Arc::clone(&app), study.id.clone());
    let done = tokio::task::spawn_blocking(move || {
        let table = all.models.table();
        let map = mask(&file, names, table)?.on_grid_of(&file, "mask", "CT", case.scan().grid())?;
        let made = Made {
            when: clock::now(),
            who: who.clone(),
            how: "upload".to_owned(),
            label: None,
            prompt: json!({ "model": form.params["model"] }),
        };
        let made = std::iter::once(made).collect();
        let accepted = Accepted { case: &id, map, who: &who, made };
        all.labels.accept(accepted, table, all.models.engine())?;
        // The page begins from what was accepted, unless somebody is at work there.
        if all.drafts.is_left(&id) { Ok(()) } else { all.drafts.forget(&id) }
    });
    done.await.map_err(|error| Problem::failed(error.to_string()))??;
    app.journal.say(format!("a mask was sent: {}", study.id));
    Ok(Json(json!({ "image": study.id, "label": study.id })))
}

/// `label_info: [{"name", "idx"}]`: what the viewer's numbers mean.
fn viewers_names(params: &Value) -> Option<LabelTable> {
    let rows = params["label_info"].as_array()?;
    let label = |row: &Value| {
        let id = u8::try_from(row["idx"].as_u64()?).ok().filter(|id| *id > 0)?;
        let name = row["name"].as_str()?.to_owned();
        Some((id, ild_io::Label { name, color: [0; 3], code: None }))
    };
    let table: std::collections::BTreeMap<_, _> = rows.iter().filter_map(label).collect();
    (!table.is_empty()).then(|| LabelTable::new(table))
}

/// A mask under the ids of `table`: the file's own names decide, else what the viewer says, else the
/// numbers.
fn mask(file: &FilePath, said: Option<LabelTable>, table: &LabelTable) -> Answer<LabelMap> {
    let LabelMap { labels, geometry } = read_label_map(file)?;
    let own = LabelNames::own(file)?;
    let names = if own.table.is_some() { own } else { LabelNames { table: said, from: None } };
    let labels = names.under(table, labels, file)?;
    let map = LabelMap { labels, geometry };
    match map.ids().into_iter().find(|id| !table.classes.contains_key(id)) {
        None => Ok(map),
        Some(id) => {
            let known: Vec<String> =
                table.classes.iter().map(|(id, label)| format!("{id} {}", label.name)).collect();
            Err(Problem::bad(format!(
                "expected labels of this server ({}), found {id}; name the segments so in the viewer",
                known.join(", ")
            )))
        }
    }
}
