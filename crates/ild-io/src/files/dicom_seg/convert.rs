//! Label map ↔ Segmentation, as commands: `ild-io convert`.

use std::path::{Path, PathBuf};

use super::{SegAlgorithm, SegFrames, SegMaker, SegSettings, SegType, read, write_dicom_seg};
use crate::cohort::LabelNames;
use crate::files::convert::{names_for, refuse_existing, write_names};
use crate::{Converted, LabelMap, Result, SourceSeries, read_label_map, write_label_map};

/// What is asked of a Segmentation that a label map becomes.
#[derive(Clone, Debug, Default)]
pub struct SegOutput {
    /// How pixels say what they are of.
    pub kind: SegType,
    /// Which slices become frames.
    pub frames: SegFrames,
    /// The file that names the labels.
    pub labels: Option<PathBuf>,
    /// How the mask came about, when the user says it.
    pub algorithm: Option<SegAlgorithm>,
}

/// Makes the Segmentation `output` of the label map `mask`, whose voxels are those of `series`.
///
/// Names, colours and codes are those of the mask or of the table beside it; who made it is taken from
/// the sidecar of `ild-infer`, if there is one.
///
/// # Errors
/// What the readers refuse and [`write_dicom_seg`] does, an existing output without `force`.
pub fn convert_to_seg(
    mask: &Path,
    series: &SourceSeries,
    output: &Path,
    wanted: &SegOutput,
    force: bool,
) -> Result<Converted> {
    refuse_existing([&output.to_owned()], force)?;
    let map = read_label_map(mask)?;
    let names = LabelNames::of_mask(wanted.labels.as_deref(), mask)?;
    // A table given by the user renames what the mask calls otherwise.
    let own = LabelNames::own(mask)?;
    let table = names.or_numbers();
    let map = LabelMap { labels: own.under(&table, map.labels, mask)?, ..map };
    let mut notes = series.notes.clone();
    let maker = match (wanted.algorithm, SegMaker::beside(mask)) {
        (None, Some(maker)) => maker,
        (Some(algorithm), Some(maker)) => SegMaker { algorithm, ..maker },
        (Some(algorithm), None) => SegMaker::unknown(algorithm),
        (None, None) => {
            notes.push(
                "nothing says how this mask was made: written as semi-automatic, program not stated \
                 (--made-by says otherwise)"
                    .to_owned(),
            );
            SegMaker::unknown(SegAlgorithm::SemiAutomatic)
        }
    };
    let settings = SegSettings {
        kind: wanted.kind,
        frames: wanted.frames,
        table: &table,
        maker: &maker,
        writer: ["ild-io", env!("CARGO_PKG_VERSION")],
    };
    notes.extend(write_dicom_seg(output, map, mask, series, settings)?);
    Ok(Converted { outputs: vec![output.to_owned()], notes })
}

/// Makes the NIfTI file `output` of a Segmentation, on the whole grid of `series`.
///
/// # Errors
/// What the readers refuse, a Segmentation of another series, an existing output without `force`.
pub fn convert_from_seg(
    seg: &Path,
    series: &SourceSeries,
    output: &Path,
    force: bool,
) -> Result<Converted> {
    let names = names_for(seg, output)?;
    let output = output.to_owned();
    refuse_existing([&output].into_iter().chain(names.iter().map(|(path, _)| path)), force)?;
    let notes = to_nifti(seg, &output, Some(series))?;
    let names = names.map(write_names).transpose()?;
    Ok(Converted { outputs: [output].into_iter().chain(names).collect(), notes })
}

/// The label map of a Segmentation as NIfTI: on the grid of `series`, else on the slices that it spans.
pub(in crate::files) fn to_nifti(
    seg: &Path,
    output: &Path,
    series: Option<&SourceSeries>,
) -> Result<Vec<String>> {
    let map = read::read_segmentation(seg)?;
    let slices = map.geometry.shape_zyx[0];
    let (map, note) = match series {
        Some(series) => (map.on_grid_of(seg, "segmentation", "series", &series.geometry)?, None),
        None => {
            let note = format!(
                "holds the {slices} slices from its first frame to its last, not the whole series \
                 (--like SERIES gives them)"
            );
            (map, Some(note))
        }
    };
    write_label_map(output, &map)?;
    Ok(note.into_iter().collect())
}
