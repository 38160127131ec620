//! The page of this server and what it asks for.
//!
//! Voxels are `(i, j, k)` here: to the patient's right, front and head, as NiiVue counts them. Our
//! arrays run to the left and to the back ([`place`] turns one into the other).
//!
//! ```text
//! files     the page itself, where it was built in
//! cases     which there are, one of them opened, the next one
//! prompt    a box or clicks → a mask
//! edit      painting, undo, redo
//! work      propagation and search: jobs with progress
//! accept    the mask is done
//! dicom_seg the accepted mask as a DICOM Segmentation
//! ```

mod accept;
mod caller;
mod cases;
mod dicom_seg;
mod edit;
mod files;
mod place;
mod prompt;
mod view;
mod work;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};

use crate::app::App;

pub use caller::Caller;
pub use files::has_page;

/// Largest request of the page: a painted mask in runs.
const LARGEST: usize = 64 << 20;

/// Routes of the page.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/", get(files::index))
        .route("/page/file/{name}", get(files::file))
        .route("/page/cases", get(cases::list))
        .route("/page/next", get(cases::next))
        .route("/page/case/{id}", get(cases::open))
        .route("/page/case/{id}/ct.nii", get(cases::ct))
        .route("/page/case/{id}/state", get(cases::state))
        .route("/page/case/{id}/look", post(prompt::look))
        .route("/page/case/{id}/prompt", post(prompt::prompt))
        .route("/page/case/{id}/paint", post(edit::paint))
        .route("/page/case/{id}/undo", post(edit::undo))
        .route("/page/case/{id}/redo", post(edit::redo))
        .route("/page/case/{id}/propagate", post(work::propagate))
        .route("/page/case/{id}/auto", post(work::automatic))
        .route("/page/case/{id}/job", get(work::report).delete(work::cancel))
        .route("/page/case/{id}/accept", post(accept::accept))
        .route("/page/case/{id}/seg.dcm", get(dicom_seg::dicom_seg))
        .layer(DefaultBodyLimit::max(LARGEST))
}
