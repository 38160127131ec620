//! What tells one series from another in a folder.
//!
//! A SeriesInstanceUID may have been removed or given twice by whoever hid the patients, so the
//! attributes that are constant in a series (PS3.3 C.7.1.1, C.7.3.1, C.7.4.1, C.8.2.1) are compared
//! too. Those that may change from slice to slice in a proper series (each rotation of a
//! step-and-shoot scan is an acquisition of its own) tell two stacks apart where both go through
//! the same heights.

use std::collections::BTreeMap;
use std::path::Path;

use dicom_object::{InMemDicomObject, Tag};

use super::SliceHeader;
use super::values::{SERIES_DESCRIPTION, all_text};
use crate::{Error, Result};

/// An attribute that is compared, by its name in the standard.
struct Attribute {
    tag: Tag,
    name: &'static str,
    /// Whether its value may be shown; those of patients are not.
    shown: bool,
}

const fn shown(tag: Tag, name: &'static str) -> Attribute {
    Attribute { tag, name, shown: true }
}

const fn hidden(tag: Tag, name: &'static str) -> Attribute {
    Attribute { tag, name, shown: false }
}

/// One value in all slices of a series.
const CONSTANT: [Attribute; 13] = [
    shown(Tag(0x0020, 0x000e), "SeriesInstanceUID"),
    shown(Tag(0x0020, 0x0011), "SeriesNumber"),
    shown(SERIES_DESCRIPTION, "SeriesDescription"),
    shown(Tag(0x0018, 0x1210), "ConvolutionKernel"),
    shown(Tag(0x0018, 0x5100), "PatientPosition"),
    shown(Tag(0x0008, 0x0060), "Modality"),
    hidden(Tag(0x0010, 0x0020), "PatientID"),
    hidden(Tag(0x0010, 0x0010), "PatientName"),
    hidden(Tag(0x0010, 0x0030), "PatientBirthDate"),
    hidden(Tag(0x0010, 0x0040), "PatientSex"),
    shown(Tag(0x0020, 0x000d), "StudyInstanceUID"),
    shown(Tag(0x0020, 0x0052), "FrameOfReferenceUID"),
    shown(Tag(0x0018, 0x1100), "ReconstructionDiameter"),
];

/// May change along a series, but not back and forth.
const ALONG: [Attribute; 13] = [
    shown(Tag(0x0020, 0x0012), "AcquisitionNumber"),
    shown(Tag(0x0008, 0x0017), "AcquisitionUID"),
    shown(Tag(0x0020, 0x0100), "TemporalPositionIdentifier"),
    shown(Tag(0x0018, 0x1060), "TriggerTime"),
    shown(Tag(0x0020, 0x9241), "NominalPercentageOfCardiacPhase"),
    shown(Tag(0x0018, 0x0060), "KVP"),
    shown(Tag(0x0018, 0x0050), "SliceThickness"),
    shown(Tag(0x0018, 0x0010), "ContrastBolusAgent"),
    shown(Tag(0x0018, 0x1160), "FilterType"),
    shown(Tag(0x0018, 0x0081), "EchoTime"),
    shown(Tag(0x0008, 0x0008), "ImageType"),
    shown(Tag(0x0008, 0x002a), "AcquisitionDateTime"),
    shown(Tag(0x0008, 0x0032), "AcquisitionTime"),
];

/// More values than this in one folder are a property of each slice, not of a stack.
const MOST_STACKS: usize = 8;
/// How many of them a message shows.
const MOST_SHOWN: usize = 5;
/// Fewer slices than this are no stack.
const SMALLEST_STACK: usize = 2;

/// The values of one slice; `None` where the header does not say.
#[derive(Clone, Debug, Default)]
pub(super) struct Identity {
    constant: [Option<String>; CONSTANT.len()],
    along: [Option<String>; ALONG.len()],
}

impl Identity {
    pub(super) fn of(object: &InMemDicomObject) -> Self {
        Self {
            constant: CONSTANT.map(|attribute| value(object, attribute.tag)),
            along: ALONG.map(|attribute| value(object, attribute.tag)),
        }
    }
}

/// Numbers written in two ways (`5`, `5.0`) are one value.
fn value(object: &InMemDicomObject, tag: Tag) -> Option<String> {
    let text = all_text(object, tag)?;
    let number = text.parse::<f64>().ok().filter(|v| v.is_finite());
    let whole = text.bytes().all(|byte| byte.is_ascii_digit());
    Some(number.filter(|_| !whole).map_or(text, |number| number.to_string()))
}

/// Refuses slices of several series; names the attribute, its values and files.
pub(super) fn one_series(path: &Path, slices: &[SliceHeader]) -> Result<()> {
    for (i, attribute) in CONSTANT.iter().enumerate() {
        // A UID that only some slices have is a difference, too.
        let absent = (i == 0).then_some("");
        let groups = groups(slices, |slice| slice.identity.constant[i].as_deref().or(absent));
        if groups.len() > 1 {
            return Err(several(path, attribute, &groups, ["one series", "series"]));
        }
    }
    Ok(())
}

/// Refuses two stacks in one series that go through the same `heights`, the positions of the slices
/// along their normal, mm.
pub(super) fn one_stack(path: &Path, slices: &[SliceHeader], heights: &[f64]) -> Result<()> {
    for (i, attribute) in ALONG.iter().enumerate() {
        let groups = groups(slices, |slice| slice.identity.along[i].as_deref());
        let stacks = (2..=MOST_STACKS).contains(&groups.len())
            && groups.values().all(|members| members.len() >= SMALLEST_STACK);
        if stacks && overlap(&groups, heights) {
            let what = ["one stack of slices", "stacks through the same heights"];
            return Err(several(path, attribute, &groups, what));
        }
    }
    Ok(())
}

type Groups<'a> = BTreeMap<&'a str, Vec<(usize, &'a SliceHeader)>>;

/// The slices by value; those that say nothing belong to all.
fn groups<'a>(
    slices: &'a [SliceHeader],
    value: impl Fn(&'a SliceHeader) -> Option<&'a str>,
) -> Groups<'a> {
    let mut groups: Groups = BTreeMap::new();
    for (i, slice) in slices.iter().enumerate() {
        if let Some(value) = value(slice) {
            groups.entry(value).or_default().push((i, slice));
        }
    }
    groups
}

/// Whether two groups share a range of heights.
fn overlap(groups: &Groups, heights: &[f64]) -> bool {
    let mut ranges: Vec<[f64; 2]> = groups
        .values()
        .map(|members| {
            let of = members.iter().map(|(i, _)| heights[*i]);
            of.fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], mm| {
                [low.min(mm), high.max(mm)]
            })
        })
        .collect();
    ranges.sort_by(|a, b| a[0].total_cmp(&b[0]));
    ranges.windows(2).any(|pair| pair[1][0] < pair[0][1])
}

fn several(path: &Path, attribute: &Attribute, groups: &Groups, what: [&str; 2]) -> Error {
    let shown: Vec<String> = groups
        .iter()
        .take(MOST_SHOWN)
        .map(|(value, members)| {
            let (_, slice) = members[0];
            let of = if attribute.shown && !value.is_empty() {
                format!("{} {value}", attribute.name)
            } else {
                slice.modality.clone()
            };
            let (description, n, name) = (&slice.description, members.len(), slice.name());
            format!("`{description}` ({of}, {n} files, e.g. {name})")
        })
        .collect();
    let [wanted, many] = what;
    Error::refused(
        path,
        wanted,
        format!("{} {many}: {}; their {} differs", groups.len(), shown.join(", "), attribute.name),
        "put each into a folder of its own",
    )
}
