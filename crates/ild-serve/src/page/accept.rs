//! The mask is done.

use std::sync::Arc;

use axum::extract::{Path, State};
use ild_io::write_volume;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Caller;
use super::cases::{accepted_at, blocking, working};
use crate::app::App;
use crate::draft::held;
use crate::error::{Answer, Problem};
use crate::json::Json;
use crate::labels::Accepted;
use crate::model::OpenCase;

/// What somebody accepts.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accept {
    /// The revision that he sees.
    revision: u64,
    /// The accepted mask that he knows of, by its time.
    #[serde(default)]
    accepted: Option<String>,
    /// Whether it takes the place of one that he does not know of.
    #[serde(default)]
    replace: bool,
}

/// Puts the mask of a case where training looks for it.
pub async fn accept(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    caller: Caller,
    Json(wish): Json<Accept>,
) -> Answer<Json<Value>> {
    let (id, case, draft) = working(&app, &id).await?;
    let (map, made) = {
        let draft = held(&draft);
        if draft.history.revision() != wish.revision {
            return Err(Problem::conflict(
                "the mask has changed since it was shown to you; look at it once more and accept",
            ));
        }
        (draft.map(), draft.history.record())
    };
    let now = accepted_at(&app, &id);
    if now != wish.accepted && !wish.replace {
        return Err(Problem::conflict(
            "somebody has accepted another mask of this case since you opened it; accepting yours \
             as well keeps that one as an earlier version",
        ));
    }
    let (all, name) = (Arc::clone(&app), id.clone());
    let done = blocking(move || {
        let (table, engine) = (all.models.table(), all.models.engine());
        keep_ct(&all, &name, &case)?;
        let accepted = Accepted { case: &name, map, who: &caller.who, made };
        all.labels.accept(accepted, table, engine)?;
        all.drafts.accepted(&name, wish.revision)
    });
    done.await??;
    app.journal.say(format!("accepted: {id}"));
    Ok(Json(json!({ "accepted": accepted_at(&app, &id), "earlier": app.labels.earlier(&id) })))
}

/// Training reads NIfTI: the CT of a DICOM case is written beside its mask.
fn keep_ct(app: &App, id: &str, case: &OpenCase) -> Answer<()> {
    let study = app.studies.get(id)?;
    let path = app.studies.folders().images.join(format!("{id}_0000.nii.gz"));
    if let (true, false, Some(ct)) = (study.case.is_dicom(), path.exists(), case.scan().ct()) {
        write_volume(&path, ct)?;
    }
    Ok(())
}
