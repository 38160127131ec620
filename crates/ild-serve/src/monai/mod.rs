//! MONAI Label's protocol, as 3D Slicer's plugin and OHIF speak it.
//!
//! ```text
//! info      what there is
//! infer     a model on a CT → a label map; points → the model's prompts
//! reply     the two forms of an answer, with their traps
//! session   CTs that a viewer sends for a while
//! datastore CTs and masks on the server
//! sample    the next case
//! train     the operator's training
//! auth      the secret as a password
//! logs      what happened
//! ```
//!
//! Points and regions are voxels of the file that the viewer has: its order is not ours.

mod auth;
mod datastore;
mod infer;
mod info;
mod logs;
mod reply;
mod sample;
mod session;
mod train;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{MethodRouter, get, post, put};

use crate::app::App;

/// The model that finds lesions itself.
pub const AUTOMATIC: &str = "ild_auto";
/// The model that answers clicks.
pub const CLICKS: &str = "ild_click";
/// Largest request without a file.
const LARGEST: usize = 4 << 20;

/// Routes of the protocol, each with and without a slash at its end.
pub fn routes(app: &App) -> Router<Arc<App>> {
    let uploads = Router::new();
    let uploads = both(uploads, "/session", put(session::create));
    let uploads = both(uploads, "/datastore", get(datastore::list).put(datastore::add));
    let uploads = both(uploads, "/datastore/label", get(datastore::label).put(datastore::save));
    let uploads = both(uploads, "/infer/{model}", post(infer::infer));
    let uploads = uploads.layer(DefaultBodyLimit::max(app.upload_limit()));

    let others = Router::new();
    let others = both(others, "/info", get(info::info));
    let others = both(others, "/auth", get(auth::enabled));
    let others = both(others, "/auth/token", post(auth::token));
    let others = both(others, "/auth/token/valid", get(auth::valid));
    let others = both(others, "/session/{id}", get(session::read).delete(session::end));
    let others = both(others, "/datastore/image", get(datastore::image));
    let others = both(others, "/activelearning/{strategy}", post(sample::next));
    let train = get(train::status).post(train::start).delete(train::stop);
    let others = both(others, "/train", train);
    let others = both(others, "/train/{model}", post(train::start_model));
    let others = both(others, "/logs", get(logs::logs));
    uploads.merge(others.layer(DefaultBodyLimit::max(LARGEST)))
}

fn both(router: Router<Arc<App>>, path: &str, methods: MethodRouter<Arc<App>>) -> Router<Arc<App>> {
    router.route(path, methods.clone()).route(&format!("{path}/"), methods)
}
