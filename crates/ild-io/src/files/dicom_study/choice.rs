//! Which series of a study is the chest CT.

use std::cmp::Reverse;

use super::kernel::is_lung;
use super::{DicomStudy, Plane, SeriesEntry};
use crate::{Error, Result};

/// Thicknesses are compared in these steps, mm.
const SAME_THICKNESS_MM: f64 = 0.05;
/// How many series a sentence lists.
const SHOWN: usize = 12;

/// Not axial, not original, thickness in steps, no kernel of the lung, slices.
type Rank = (bool, bool, u64, bool, Reverse<usize>);

/// A series, and why it was taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Chosen<'a> {
    /// The series.
    pub series: &'a SeriesEntry,
    /// What was passed over for it, in a sentence; `None` when there was nothing else.
    pub others: Option<String>,
}

impl DicomStudy {
    /// The series `wanted` by SeriesInstanceUID or SeriesNumber. Without that, of the CT series with
    /// places (no localizer, no secondary capture) the axial before the others, the original before
    /// the derived, the thinnest, the one with a kernel of the lung, the one with the most slices,
    /// the first.
    ///
    /// # Errors
    /// When no series is called `wanted` or several are, or none is a CT; lists what there is.
    pub fn choose(&self, wanted: Option<&str>) -> Result<Chosen<'_>> {
        let refuse = |expected: String, next: &str| {
            Err(Error::refused(&self.path, expected, listed(&self.series), next))
        };
        let meant: Vec<&SeriesEntry> = match wanted {
            Some(name) => self.series.iter().filter(|series| series.is_called(name)).collect(),
            None => self.series.iter().filter(|series| series.is_ct()).collect(),
        };
        let best = meant.iter().min_by_key(|series| series.rank()).copied();
        match (best, wanted) {
            (None, Some(name)) => refuse(
                format!("a series with the UID or number `{name}`"),
                "name one of these with --series",
            ),
            (None, None) => refuse("a CT series with placed slices".to_owned(), "export the CT"),
            (Some(_), Some(name)) if meant.len() > 1 => refuse(
                format!("one series with the number `{name}`"),
                "name it by its SeriesInstanceUID",
            ),
            (Some(series), _) => {
                let others: Vec<&SeriesEntry> =
                    self.series.iter().filter(|other| *other != series).collect();
                let equal =
                    meant.iter().filter(|other| other.rank_but_first() == series.rank_but_first());
                let equal = if wanted.is_none() && equal.count() > 1 {
                    "; others are equally good, the first was taken"
                } else {
                    ""
                };
                let note = format!(
                    "of {} series, {} is read{equal} (--series takes another): {}",
                    self.series.len(),
                    series.words(),
                    listed(others.iter().copied())
                );
                Ok(Chosen { series, others: (!others.is_empty()).then_some(note) })
            }
        }
    }
}

impl SeriesEntry {
    fn is_called(&self, name: &str) -> bool {
        self.uid == name || self.number.is_some_and(|number| number.to_string() == name)
    }

    fn is_ct(&self) -> bool {
        let aside = ["LOCALIZER", "SCOUT"];
        self.modality == "CT"
            && self.plane != Plane::Unknown
            && !self.image_type.split('\\').any(|value| aside.contains(&value))
    }

    /// The better, the smaller.
    fn rank(&self) -> (Rank, Option<u32>, String) {
        (self.rank_but_first(), self.number, self.uid.clone())
    }

    fn rank_but_first(&self) -> Rank {
        let thickness = self.thickness_mm.map_or(u64::MAX, |mm| (mm / SAME_THICKNESS_MM) as u64);
        (
            self.plane != Plane::Axial,
            !self.image_type.starts_with("ORIGINAL"),
            thickness,
            !is_lung(&self.kernel),
            Reverse(self.slices),
        )
    }

    /// What it is, in words.
    #[must_use]
    pub fn words(&self) -> String {
        let number = self.number.map_or("without number".to_owned(), |number| number.to_string());
        let thickness = self.thickness_mm.map_or(String::new(), |mm| format!(", {mm} mm"));
        let kernel = Some(&self.kernel).filter(|kernel| !kernel.is_empty());
        let kernel = kernel.map_or(String::new(), |kernel| format!(", kernel {kernel}"));
        let kind = self.image_type.split('\\').next().unwrap_or_default().to_lowercase();
        let kind = if kind.is_empty() { kind } else { format!(", {kind}") };
        let plane = format!("{:?}", self.plane).to_lowercase();
        format!(
            "series {number} `{}` ({} {plane}{thickness}{kernel}{kind}, {} slices)",
            self.description, self.modality, self.slices
        )
    }
}

fn listed<'a>(series: impl IntoIterator<Item = &'a SeriesEntry>) -> String {
    let words: Vec<String> = series.into_iter().map(SeriesEntry::words).collect();
    let more = words.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!("; {more} more") } else { String::new() };
    words[..words.len().min(SHOWN)].join("; ") + &more
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(number: u32, plane: Plane, thickness_mm: f64, kernel: &str) -> SeriesEntry {
        SeriesEntry {
            uid: format!("1.2.{number}"),
            study: "1.2".to_owned(),
            number: Some(number),
            modality: "CT".to_owned(),
            description: "Thorax".to_owned(),
            kernel: kernel.to_owned(),
            thickness_mm: Some(thickness_mm),
            image_type: "ORIGINAL\\PRIMARY\\AXIAL".to_owned(),
            plane,
            slices: 2,
            files: vec!["a".into(), "b".into()],
        }
    }

    fn study(series: Vec<SeriesEntry>) -> DicomStudy {
        DicomStudy { path: "study".into(), series, unreadable: Vec::new() }
    }

    #[test]
    fn the_thinnest_original_axial_series_with_a_lung_kernel_is_taken() {
        let localizer = SeriesEntry {
            image_type: "ORIGINAL\\PRIMARY\\LOCALIZER".to_owned(),
            ..series(1, Plane::Axial, 0.5, "")
        };
        let derived = SeriesEntry {
            image_type: "DERIVED\\SECONDARY".to_owned(),
            ..series(2, Plane::Axial, 0.5, "B70f")
        };
        let seg = SeriesEntry { modality: "SEG".to_owned(), ..series(8, Plane::Axial, 0.5, "") };
        let all = study(vec![
            localizer,
            derived,
            series(3, Plane::Axial, 5.0, "B70f"),
            series(4, Plane::Axial, 1.0, "B30f"),
            series(5, Plane::Axial, 1.0, "B70f"),
            series(6, Plane::Coronal, 0.6, "B70f"),
            seg,
        ]);
        let chosen = all.choose(None).unwrap();
        assert_eq!(chosen.series.number, Some(5));
        let note = chosen.others.unwrap();
        assert!(
            note.starts_with("of 7 series, series 5 `Thorax` (CT axial, 1 mm, kernel B70f"),
            "{note}"
        );
        assert!(note.contains("series 6") && note.contains("--series"), "{note}");
        assert_eq!(all.choose(Some("3")).unwrap().series.number, Some(3));
        assert_eq!(all.choose(Some("1.2.6")).unwrap().series.number, Some(6));
        let error = all.choose(Some("77")).unwrap_err().to_string();
        assert!(error.contains("`77`") && error.contains("series 4"), "{error}");
    }

    #[test]
    fn of_equals_the_first_is_taken_and_said() {
        let two =
            study(vec![series(4, Plane::Axial, 1.0, "B70f"), series(3, Plane::Axial, 1.0, "B70f")]);
        let chosen = two.choose(None).unwrap();
        assert_eq!(chosen.series.number, Some(3));
        assert!(chosen.others.unwrap().contains("equally good"));
        let one = study(vec![series(3, Plane::Axial, 1.0, "")]);
        assert_eq!(one.choose(None).unwrap().others, None);
        let mr = SeriesEntry { modality: "MR".to_owned(), ..series(3, Plane::Axial, 1.0, "") };
        assert!(study(vec![mr]).choose(None).unwrap_err().is_rejection());
    }
}
