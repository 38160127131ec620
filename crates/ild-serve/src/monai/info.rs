//! `GET /info/`.

use std::sync::Arc;

use axum::extract::State;
use serde_json::{Map, Value, json};

use super::{AUTOMATIC, CLICKS};
use crate::app::App;
use crate::json::Json;

/// What this server has. No top-level key `config`: 3D Slicer takes a server with one for too old.
pub async fn info(State(app): State<Arc<App>>) -> Json<Value> {
    let classes = &app.models.table().classes;
    // An array: OHIF appends to it.
    let names: Vec<&str> = classes.values().map(|label| label.name.as_str()).collect();
    let labels: Map<String, Value> =
        classes.iter().map(|(id, label)| (label.name.clone(), json!(id))).collect();
    let found = if app.models.finds() {
        "lesions that the weights have learned to find and name, without a prompt"
    } else {
        "dense regions of the lung that the model outlines: these weights name no classes"
    };
    let models = json!({
        AUTOMATIC: {
            "type": "segmentation", "labels": labels, "dimension": 3, "description": found,
            "config": {},
        },
        CLICKS: {
            "type": "deepgrow", "labels": labels, "dimension": 3,
            "description": "clicks inside and outside a lesion; its slices, or followed through the CT",
            "config": { "follow": false },
        },
    });
    let trainers = match app.training.is_offered() {
        true => {
            json!({ "ild": { "description": "the training that this server was started with", "config": {} } })
        }
        false => json!({}),
    };
    let all = app.studies.all();
    let done = all.iter().filter(|study| app.labels.when(&study.id).is_some()).count();
    Json(json!({
        "name": "ild",
        "description": "interstitial lung disease on chest CT; research use only",
        "version": env!("CARGO_PKG_VERSION"),
        "labels": names,
        "models": models,
        "trainers": trainers,
        "strategies": {
            "first": { "description": "the next case without an accepted mask, by name", "config": {} },
            "uncertain": {
                "description": "the case that the model was least sure of when it was last asked",
                "config": {},
            },
        },
        "scoring": {},
        "train_stats": {},
        "datastore": { "total": all.len(), "completed": done, "label_tags": { "final": done } },
    }))
}
