//! A case that the model looks at once, scored by any rules.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use ild_infer::find::{FindSettings, Looked};
use ild_infer::propagate::GapRule;
use ild_infer::{CaseFile, Engine, Scan, Session};
use ild_io::lung::LungMask;
use ild_io::{DicomOptions, Geometry, LabelTable, Placement};
use ild_metrics::{Aligned, Annotated, AnnotatedCase, Labels, Prediction, volume_dice};
use ild_preprocess::Windowing;

use crate::error::{Error, Result};

/// A validation case, ready to be scored.
pub struct FitCase {
    path: PathBuf,
    looked: Looked,
    placement: Placement,
    grid: Geometry,
    truth: AnnotatedCase,
    ignored: Option<u8>,
}

impl FitCase {
    /// Reads CT and ground truth and lets the model look at every slice with lung.
    ///
    /// # Errors
    /// What the readers and the model refuse.
    pub fn open(
        engine: &Engine,
        windowing: Windowing,
        table: &LabelTable,
        case: &CaseFile,
        truth: &Path,
    ) -> Result<Self> {
        let truth = AnnotatedCase::read(truth, Annotated::Labelled, table)?;
        let scan = if case.is_dicom() {
            let any = DicomOptions { series: None, upright: false };
            Scan::from_dicom(&case.id, &case.path, any, None, windowing, table)?
        } else {
            Scan::from_nifti(&case.id, &case.path, None, windowing, table)?
        };
        let ct = scan.ct().ok_or_else(|| {
            Error::refused(&case.path, "a CT in Hounsfield units", "another volume", "")
        })?;
        let lung = LungMask::of(ct);
        let session = Session::open(engine, scan);
        // Nothing is asked of the decoder, so no features are kept.
        let looked = Looked::at(&session, &lung, GapRule::Near, f32::INFINITY)?;
        let looked = looked.ok_or_else(|| no_classes(&engine.origin.checkpoint))?;
        let scan = session.into_scan();
        Ok(Self {
            path: case.path.clone(),
            looked,
            grid: scan.grid().clone(),
            placement: scan.placement,
            truth,
            ignored: table.ignored(),
        })
    }

    /// DSC by class of what these rules find.
    ///
    /// # Errors
    /// When CT and ground truth do not lie on one grid.
    pub fn dice(
        &self,
        rules: &FindSettings,
        classes: &BTreeSet<u8>,
    ) -> Result<BTreeMap<u8, Option<f64>>> {
        let labels = self.placement.in_ct(self.looked.find(rules).labels);
        let prediction = Prediction {
            shape_zyx: labels.dim().into(),
            labels: Labels::One(labels),
            geometry: Some(self.grid.clone()),
            z_index: None,
        };
        let pair = Aligned::new(&self.truth, Some(&prediction), &self.path)?;
        let pair = match self.ignored {
            Some(ignored) => pair.without(ignored),
            None => pair,
        };
        Ok(volume_dice(&pair, classes))
    }

    /// The classes in its ground truth.
    pub fn classes(&self) -> BTreeSet<u8> {
        let ids = self.truth.labels.iter().copied().collect::<BTreeSet<u8>>();
        ids.into_iter().filter(|&id| id != 0 && Some(id) != self.ignored).collect()
    }
}

/// A refusal of weights that find nothing by themselves.
pub fn no_classes(checkpoint: &Path) -> Error {
    Error::refused(
        checkpoint,
        "weights that have learned to find and name lesions",
        "a checkpoint without classes of its own",
        "train with a lesion head (the default of ild-train); weights without one have no rules to fit",
    )
}
