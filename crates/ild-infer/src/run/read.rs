//! A case from its files: the scan through the window of the model, its labels when there are some.

use std::path::{Path, PathBuf};

use ild_io::LabelTable;
use ild_io::cohort::LabelNames;
use ndarray::Array3;

use super::case::Context;
use crate::{CaseFile, Error, Preset, Result, Scan, window_choice};

impl Context<'_> {
    /// Reads `case`: its slices through the window of the model, its labels when there are some.
    ///
    /// # Errors
    /// What the readers refuse, and a window that nobody names.
    pub fn read(&self, case: &CaseFile) -> Result<Scan> {
        let (typed, path) = (self.settings.window, case.path.as_path());
        let trained = self.engine.and_then(|engine| engine.window);
        let preset = self.settings.flags.preset;
        if case.is_npz() {
            let scan = Scan::from_npz(&case.id, path, self.labels)?;
            if self.engine.is_some() {
                window_choice::check_npz(path, scan.windowing, typed, trained)?;
            }
            return Ok(scan.prepared_for(preset));
        }
        let windowing = if self.engine.is_some() {
            let otherwise = preset.filter(|_| trained.is_none()).map(Preset::windowing);
            window_choice::for_ct(path, typed.or(otherwise), trained)?
        } else {
            typed.unwrap_or_default()
        };
        let truth = self.truth_file(case)?;
        let table = self.table_of(truth.as_deref())?;
        let truth = truth.as_deref();
        let scan = if case.is_dicom() {
            let options = self.settings.flags.dicom();
            Scan::from_dicom(&case.id, path, options, truth, windowing, &table)?
        } else {
            Scan::from_nifti(&case.id, path, truth, windowing, &table)?
        };
        Ok(scan.prepared_for(preset))
    }

    /// What the labels of a result are called: as `--labels` says; where ground truth prompts, as its
    /// own cohort calls it; else as the weights do.
    fn table_of(&self, truth: Option<&Path>) -> Result<LabelTable> {
        let prompts = self.settings.flags.prompt.uses_ground_truth();
        let own = match truth.filter(|_| prompts && self.labels.is_none()) {
            Some(file) => LabelNames::of_mask(None, file)?.table,
            None => None,
        };
        let weights = || self.engine.and_then(|engine| engine.label_table.clone());
        Ok(self.labels.cloned().or(own).or_else(weights).unwrap_or_default())
    }

    /// The label file of a CT; only a prompt from ground truth insists on it.
    fn truth_file(&self, case: &CaseFile) -> Result<Option<PathBuf>> {
        let needed = self.settings.flags.prompt.uses_ground_truth();
        let Some(place) = &self.settings.truth else {
            let next = "add --gt-path, or prompt with boxes, a mask or auto";
            return if needed {
                Err(Error::refused(
                    &case.path,
                    "ground truth for this prompt",
                    "a CT without a label file",
                    next,
                ))
            } else {
                Ok(None)
            };
        };
        let file = place.file(&case.id);
        match ild_cli::inputs::is_file(&file) {
            true => Ok(Some(file)),
            false if !needed => Ok(None),
            false => Err(Error::refused(
                file,
                format!("the label file of {}", case.id),
                "nothing at this path",
                "check --gt-path and --gt-name-suffix",
            )),
        }
    }
}

/// The labels that a prompt from ground truth is made of.
pub(super) fn truth_of<'a>(scan: &'a Scan, case: &CaseFile) -> Result<&'a Array3<u8>> {
    let next = "prompt with boxes, a mask or auto";
    let without = if case.is_npz() { "an NPZ without `gts`" } else { "a CT without a label file" };
    scan.truth
        .as_ref()
        .ok_or_else(|| Error::refused(&case.path, "ground truth for this prompt", without, next))
}
