//! The flags of `ild-metrics quantify`.

use std::path::{Path, PathBuf};

use clap::Args;
use ild_cli::veil;
use ild_io::cohort::bare_case;
use ild_io::{DicomOptions, Format, SourceSeries, Volume, read_dicom_ct, read_volume};
use serde::Serialize;

use crate::{Error, Result};

/// Measure a mask: volume per class, share of the lung, and where in the lung. With a second mask of
/// the same patient: what changed between the two dates.
#[derive(Args, Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct QuantifySettings {
    /// Label map: NIfTI, .seg.nrrd or DICOM Segmentation; of people or of a program.
    #[arg(value_name = "MASK")]
    pub mask: PathBuf,
    /// The same patient's mask at a later date; MASK is then the earlier one.
    #[arg(value_name = "FOLLOWUP")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub followup: Option<PathBuf>,
    /// Lung mask on the same grid; every value but 0 is lung.
    #[arg(long, value_name = "MASK")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lung: Option<PathBuf>,
    /// CT on the same grid, in HU, NIfTI or a DICOM folder; without --lung the lung is found in it, and the report shows
    /// slices of it.
    #[arg(long, value_name = "CT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ct: Option<PathBuf>,
    /// DICOM: the series of the CT, by SeriesInstanceUID or SeriesNumber [default: as `ild-infer` chooses].
    #[arg(long, value_name = "UID|NUMBER", requires = "ct")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub series: Option<String>,
    /// DICOM of a tilted gantry: shift each slice of a CT in its own plane to a right-angled grid, as
    /// `ild-infer --upright` has done; MASK is then the NIfTI it wrote.
    #[arg(long, requires = "ct")]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub upright: bool,
    /// Lung mask of the later date.
    #[arg(long, value_name = "MASK", requires = "followup")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub followup_lung: Option<PathBuf>,
    /// CT of the later date.
    #[arg(long, value_name = "CT", requires = "followup")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub followup_ct: Option<PathBuf>,
    /// The series of the later CT.
    #[arg(long, value_name = "UID|NUMBER", requires = "followup_ct")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub followup_series: Option<String>,
    /// summary.json of `ild-metrics evaluate` for the model that made both masks: how far its volumes
    /// are off, which is how far a change has to go to be more than its error.
    #[arg(long, value_name = "FILE", requires = "followup")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evaluation: Option<PathBuf>,
    /// Folder for quantification.json, quantification.csv and report.html, or with FOLLOWUP for
    /// progression.json, progression.csv and progression.html [default: only the printed table].
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<PathBuf>,
    /// Also write the numbers as a DICOM Structured Report, `measurements.dcm`, which carries patient and
    /// study of the CT; --ct has to be DICOM.
    #[arg(long, requires = "output", requires = "ct", conflicts_with = "followup")]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub save_dicom_sr: bool,
    /// Call the patient by a pseudonym, made of the StudyInstanceUID of the CT, which has to be DICOM, in
    /// everything that is written; paths are not written then.
    #[arg(long, requires = "ct")]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub anonymous: bool,
    /// JSON with the names of the labels, nnU-Net's dataset.json too [default: those that ild-infer
    /// wrote beside the mask, else labels.json or dataset.json beside or above it, else none].
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<PathBuf>,
}

impl QuantifySettings {
    /// The settings of the later date alone.
    #[must_use]
    pub fn of_followup(&self) -> Option<Self> {
        Some(Self {
            mask: self.followup.clone()?,
            followup: None,
            lung: self.followup_lung.clone(),
            ct: self.followup_ct.clone(),
            series: self.followup_series.clone(),
            followup_lung: None,
            followup_ct: None,
            followup_series: None,
            evaluation: None,
            ..self.clone()
        })
    }

    /// The files that are read.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let files = [
            Some(&self.mask),
            self.followup.as_ref(),
            self.lung.as_ref(),
            self.ct.as_ref(),
            self.followup_lung.as_ref(),
            self.followup_ct.as_ref(),
            self.evaluation.as_ref(),
        ];
        // Of a DICOM folder there is no one hash.
        files.into_iter().flatten().filter(|path| path.is_file())
    }

    /// The mask's name without ending, or the pseudonym.
    ///
    /// # Errors
    /// When there is no DICOM of which a pseudonym can be made.
    pub fn case(&self) -> Result<String> {
        if self.anonymous {
            return Ok(self.series()?.pseudonym());
        }
        let name = self.mask.file_name().unwrap_or_default().to_string_lossy();
        Ok(bare_case(&name, &[]).to_owned())
    }

    /// The series of the CT.
    ///
    /// # Errors
    /// When the CT is no DICOM series that can be referred to.
    pub fn series(&self) -> Result<SourceSeries> {
        let Some(ct) = self.dicom_ct() else {
            return Err(Error::refused(
                self.ct.as_deref().unwrap_or(&self.mask),
                "the CT as a DICOM series (--ct), which says whose it is",
                "none",
                "name the folder or zip archive of the series with --ct",
            ));
        };
        let series = SourceSeries::read(ct, self.dicom())?;
        Ok(if self.anonymous { series.anonymous() } else { series })
    }

    fn dicom_ct(&self) -> Option<&Path> {
        let dicom = |ct: &&Path| Format::of(ct).is_ok_and(|format| format == Format::Dicom);
        self.ct.as_deref().filter(dicom)
    }

    fn dicom(&self) -> DicomOptions<'_> {
        DicomOptions { series: self.series.as_deref(), upright: self.upright }
    }

    /// The CT, where one is named; what its reader noted is logged.
    ///
    /// # Errors
    /// When it is refused, or is no DICOM and a series of it was asked for.
    pub fn read_ct(&self) -> Result<Option<Volume>> {
        let Some(path) = &self.ct else { return Ok(None) };
        if self.dicom_ct().is_some() {
            let (ct, facts) = read_dicom_ct(path, self.dicom())?;
            for note in &facts.notes {
                tracing::warn!("{}: {note}", path.display());
            }
            return Ok(Some(ct));
        }
        if self.upright || self.series.is_some() {
            let wish = "DICOM, of which --upright and --series speak";
            return Err(Error::refused(path, wish, "another format", "leave these flags out"));
        }
        Ok(Some(read_volume(path)?))
    }

    /// With `--anonymous`: what is typed is called otherwise in all that is said and recorded.
    pub fn hide_what_is_typed(&self) {
        if !self.anonymous {
            return;
        }
        let Self { mask, followup, lung, ct, followup_lung, followup_ct, .. } = self;
        let typed = [
            (Some(mask), "mask"),
            (followup.as_ref(), "later mask"),
            (lung.as_ref(), "lung mask"),
            (ct.as_ref(), "CT"),
            (followup_lung.as_ref(), "later lung mask"),
            (followup_ct.as_ref(), "later CT"),
        ];
        for (path, shown) in typed {
            path.iter().for_each(|path| veil::hide(path, shown));
        }
        for path in self.output.iter().chain(&self.evaluation).chain(&self.labels) {
            veil::hide_folder(path, "output or table");
        }
    }

    /// A path as it may be written.
    #[must_use]
    pub fn shown(&self, path: &Path) -> String {
        if self.anonymous {
            "not shown (--anonymous)".to_owned()
        } else {
            path.display().to_string()
        }
    }

    /// The files that are read, by path or number, and their SHA-256.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn hashes<C: FromIterator<(String, String)>>(&self) -> Result<C> {
        let name = |i: usize, path: &Path| match self.anonymous {
            true => format!("file {}", i + 1),
            false => path.display().to_string(),
        };
        let files = self.files().enumerate();
        files.map(|(i, path)| Ok((name(i, path), ild_cli::sha256_of_file(path)?))).collect()
    }
}
