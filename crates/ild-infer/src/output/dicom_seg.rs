//! `dicom-seg/<case>.dcm`: the labels as a DICOM Segmentation of the series that was segmented.

use ild_io::{LabelMap, SegFrames, SegMaker, SegSettings, SourceSeries, write_dicom_seg};
use ndarray::Array3;

use super::{Files, shown_labels};
use crate::run::case::Segmented;
use crate::settings::Resolved;
use crate::{Engine, Result};

/// Writes it, unless nothing was found; what is worth knowing is logged and becomes a note of the
/// case.
pub(super) fn write(
    files: &mut Files,
    name: String,
    done: &mut Segmented,
    labels: &Array3<u8>,
    settings: &Resolved,
    engine: Option<&Engine>,
    series: &SourceSeries,
) -> Result<()> {
    let notes = if labels.iter().all(|&id| id == 0) {
        vec![
            "nothing was found, so no DICOM Segmentation is written: DICOM has no empty one"
                .to_owned(),
        ]
    } else {
        let mut notes = series.notes.clone();
        let table = shown_labels(done);
        let maker = maker(done, engine);
        let map = LabelMap { labels: labels.clone(), geometry: done.scan.grid().clone() };
        files.add(name, |path| {
            let settings = SegSettings {
                kind: settings.flags.seg_type,
                frames: SegFrames::Held,
                table: &table,
                maker: &maker,
                writer: ["ild-infer", env!("CARGO_PKG_VERSION")],
            };
            notes.extend(write_dicom_seg(path, map, path, series, settings)?);
            Ok(())
        })?;
        notes
    };
    for note in &notes {
        tracing::warn!("{}: {note}", done.scan.id);
    }
    done.scan.notes.extend(notes);
    Ok(())
}

fn maker(done: &Segmented, engine: Option<&Engine>) -> SegMaker {
    let kind = serde_json::to_value(done.provenance.kind).unwrap_or_default();
    SegMaker::program(
        concat!("ild-infer ", env!("CARGO_PKG_VERSION")),
        kind.as_str().unwrap_or_default(),
        &done.provenance.stamp,
        engine.map(|engine| engine.origin.sha256.as_str()),
    )
}
