//! What an archive holds (QIDO-RS, PS3.18 10.6).

use ild_cli::Refusal;

use crate::archive::text;
use crate::{Archive, Result};

const STUDY: &str = "0020000D";
const SERIES: &str = "0020000E";
const INSTANCE: &str = "00080018";
const MODALITY: &str = "00080060";
const DESCRIPTION: &str = "0008103E";
const NUMBER: &str = "00200011";
const COUNT: &str = "00201209";
/// The longest UID, and what it is made of (PS3.5 9.1).
const LONGEST_UID: usize = 64;
/// Rows asked for at once.
const PAGE: usize = 1000;

/// Which study.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// By its StudyInstanceUID.
    Study(String),
    /// By its AccessionNumber.
    Accession(String),
}

/// A series in the archive; nothing in it says whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// StudyInstanceUID.
    pub study: String,
    /// SeriesInstanceUID.
    pub uid: String,
    /// `CT`, `SEG`, …
    pub modality: String,
    /// SeriesNumber.
    pub number: Option<String>,
    /// SeriesDescription.
    pub description: String,
    /// How many instances the archive says it has.
    pub instances: Option<String>,
}

impl Series {
    /// What it is, in words.
    #[must_use]
    pub fn words(&self) -> String {
        let number = self.number.as_deref().unwrap_or("without number");
        let count = self.instances.as_deref().unwrap_or("some");
        let Self { description, modality, uid, .. } = self;
        format!("series {number} `{description}` ({modality}, {count} instances, {uid})")
    }
}

impl Archive {
    /// The series of the study that is `wanted`.
    ///
    /// # Errors
    /// When there is no such study or several are, or the archive does not answer.
    pub fn series(&self, wanted: &Wanted) -> Result<Vec<Series>> {
        let study = match wanted {
            Wanted::Study(uid) => uid_of(uid)?.to_owned(),
            Wanted::Accession(number) => self.study_of(number)?,
        };
        let fields = [("includefield", DESCRIPTION), ("includefield", COUNT)];
        let rows = self.pages(&format!("/studies/{study}/series"), &fields)?;
        let series = rows.iter().filter_map(|row| {
            Some(Series {
                study: text(row, STUDY).unwrap_or_else(|| study.clone()),
                uid: text(row, SERIES)?,
                modality: text(row, MODALITY).unwrap_or_default(),
                number: text(row, NUMBER),
                description: text(row, DESCRIPTION).unwrap_or_default(),
                instances: text(row, COUNT),
            })
        });
        let series: Vec<Series> = series.collect();
        if series.is_empty() {
            return Err(Refusal::of(study)
                .expected("a study in the archive")
                .found("no series of it")
                .next("check the UID, and whether the token may see the study")
                .into());
        }
        Ok(series)
    }

    /// SOPInstanceUIDs of a series, sorted.
    ///
    /// # Errors
    /// When the archive does not answer, or names none.
    pub fn instances(&self, series: &Series) -> Result<Vec<String>> {
        let (study, uid) = (uid_of(&series.study)?, uid_of(&series.uid)?);
        let rows = self.pages(&format!("/studies/{study}/series/{uid}/instances"), &[])?;
        let mut uids: Vec<String> = rows.iter().filter_map(|row| text(row, INSTANCE)).collect();
        uids.sort();
        uids.dedup();
        if uids.is_empty() {
            return Err(Refusal::of(&series.uid)
                .expected("a series with instances")
                .found("none")
                .next("is it still being sent to the archive?")
                .into());
        }
        Ok(uids)
    }

    fn study_of(&self, accession: &str) -> Result<String> {
        let rows = self.pages("/studies", &[("AccessionNumber", accession)])?;
        let uids: Vec<String> = rows.iter().filter_map(|row| text(row, STUDY)).collect();
        match &uids[..] {
            [uid] => Ok(uid.clone()),
            // The number itself is the patient's: it stands in no message.
            _ => Err(Refusal::of("--accession")
                .expected("the number of one study")
                .found(format!("{} studies", uids.len()))
                .next("name the study by its StudyInstanceUID (--study)")
                .into()),
        }
    }

    /// All rows, page by page; an archive that knows no pages gives all of them at once.
    fn pages(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Vec<serde_json::Value>> {
        let mut all: Vec<serde_json::Value> = Vec::new();
        loop {
            let (limit, offset) = (PAGE.to_string(), all.len().to_string());
            let mut with_page = parameters.to_vec();
            with_page.push(("limit", limit.as_str()));
            with_page.push(("offset", offset.as_str()));
            let rows = self.rows(path, &with_page)?;
            let full = rows.len() == PAGE;
            // The same page again: it does not know `offset`.
            if all.first().is_some_and(|first| rows.first() == Some(first)) {
                return Ok(all);
            }
            all.extend(rows);
            if !full {
                return Ok(all);
            }
        }
    }
}

/// A UID that may stand in an address.
fn uid_of(uid: &str) -> Result<&str> {
    let good = !uid.is_empty()
        && uid.len() <= LONGEST_UID
        && uid.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if good {
        return Ok(uid);
    }
    Err(Refusal::of(uid)
        .expected("a UID: digits and dots, 64 at most")
        .found("something else")
        .next("copy it from the archive")
        .into())
}
