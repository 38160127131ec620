//! The accepted mask as a DICOM Segmentation of the series that it was drawn on.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderValue, header};
use axum::response::IntoResponse;
use ild_cli::FileError;
use ild_io::{DicomOptions, SegOutput, SourceSeries, convert_to_seg};

use super::cases::blocking;
use crate::app::App;
use crate::error::{Answer, Problem};
use crate::studies::Study;
use crate::upload::Passing;

/// Sends it.
pub async fn dicom_seg(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Answer<impl IntoResponse> {
    let study = app.studies.get(&id)?;
    if !study.case.is_dicom() {
        return Err(Problem::absent(
            "this case is no DICOM series, so there is nothing that a Segmentation could refer to",
        ));
    }
    let bytes = blocking(move || made(&app, &study));
    let fields = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/dicom")),
        (
            header::CONTENT_DISPOSITION,
            HeaderValue::from_static("attachment; filename=\"mask.seg.dcm\""),
        ),
    ];
    Ok((fields, bytes.await??))
}

fn made(app: &App, study: &Study) -> Answer<Vec<u8>> {
    let mask = app.labels.path(&study.id);
    if !mask.is_file() {
        return Err(Problem::absent("no mask of this case is accepted yet: accept one first"));
    }
    let series = SourceSeries::read(&study.case.path, DicomOptions::default())?;
    let folder = Passing::in_folder(&app.studies.folders().state.join("sent"));
    let path = folder.0.join("seg.dcm");
    convert_to_seg(&mask, &series, &path, &SegOutput::default(), false)?;
    Ok(std::fs::read(&path).map_err(FileError::at(&path, "read"))?)
}
