//! What somebody does by hand.

use std::sync::Arc;

use axum::extract::{Path, State};
use serde::Deserialize;

use super::Caller;
use super::cases::working;
use super::view::View;
use crate::app::App;
use crate::clock;
use crate::draft::{History, Made, Runs, held};
use crate::error::{Answer, Problem};
use crate::json::Json;

/// Slices that somebody has painted on.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Painted {
    /// The revision that he painted on.
    revision: u64,
    slices: Vec<PaintedSlice>,
}

/// One of them, in the page's order.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaintedSlice {
    k: usize,
    runs: Runs,
}

/// Takes painted slices.
pub async fn paint(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    caller: Caller,
    Json(painted): Json<Painted>,
) -> Answer<Json<View>> {
    let (id, case, draft) = working(&app, &id).await?;
    let mut draft = held(&draft);
    if painted.revision != draft.history.revision() {
        return Err(Problem::conflict(
            "somebody else, or the model, has changed this mask meanwhile; the page loads it anew, \
             paint again",
        ));
    }
    let size = draft.history.size();
    let table = app.models.table();
    let mut new = Vec::new();
    for slice in painted.slices {
        let turned = slice.runs.turned();
        let mut counts = [0; 256];
        turned.count(&mut counts);
        let stranger =
            (1..=255u8).find(|&id| counts[usize::from(id)] > 0 && !table.classes.contains_key(&id));
        if let Some(id) = stranger {
            return Err(Problem::bad(format!("there is no label {id} here")));
        }
        // Written anew: neighbouring runs of one label become one.
        let labels = turned.slice(size).ok_or_else(|| {
            Problem::bad(format!("expected slices of {size:?} rows and columns, found another"))
        })?;
        new.push((slice.k, Runs::of(labels.view())));
    }
    let made = Made {
        when: clock::now(),
        who: caller.who.clone(),
        how: "paint".to_owned(),
        label: None,
        prompt: serde_json::Value::Null,
    };
    let changed = draft.history.change(made, None, new);
    Ok(Json(View::of(&app, (&id, &case), &caller, &draft, changed)))
}

/// Takes the last step back; nothing to take back is no error.
pub async fn undo(app: State<Arc<App>>, id: Path<String>, caller: Caller) -> Answer<Json<View>> {
    step(app, id, caller, History::undo).await
}

/// Does it again.
pub async fn redo(app: State<Arc<App>>, id: Path<String>, caller: Caller) -> Answer<Json<View>> {
    step(app, id, caller, History::redo).await
}

async fn step(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    caller: Caller,
    step: fn(&mut History) -> Vec<usize>,
) -> Answer<Json<View>> {
    let (id, case, draft) = working(&app, &id).await?;
    let mut draft = held(&draft);
    let changed = step(&mut draft.history);
    Ok(Json(View::of(&app, (&id, &case), &caller, &draft, changed)))
}
