//! Which coded term a label is written with.
//!
//! The label table's own first; else, for a name that is one of the field's words, DICOM's own (PS3.16
//! CID 6102 and 6104); else the generic one.

use crate::{CodedTerm, Label};

/// Names without blanks, signs and case, and the term they mean.
const KNOWN: [(&[&str], [&str; 3]); 8] = [
    (
        &["ggo", "groundglass", "groundglassopacity", "groundglassopacities"],
        ["112120", "DCM", "Ground glass opacity"],
    ),
    (
        &["reticulation", "reticulations", "reticular", "reticularpattern"],
        ["112113", "DCM", "Reticular pattern"],
    ),
    (&["honeycombing", "honeycomb", "honeycombpattern"], ["112106", "DCM", "Honeycomb pattern"]),
    (
        &["ild", "ild1", "ild4", "ggoreticulation", "groundglassreticulation"],
        ["112004", "DCM", "Abnormal interstitial pattern"],
    ),
    (&["consolidation", "consolidations"], ["112001", "DCM", "Opacity"]),
    (&["mosaic", "mosaicpattern", "mosaicattenuation"], ["112130", "DCM", "Mosaic pattern"]),
    (&["reticulonodular", "reticulonodularpattern"], ["112065", "DCM", "Reticulonodular pattern"]),
    (&["lung", "lungs"], LUNG),
];
const LUNG: [&str; 3] = ["39607008", "SCT", "Lung"];
/// Codes of organs, not of lesions: lung, right lung, left lung.
const ORGANS: [&str; 3] = ["39607008", "3341006", "44029006"];
const TISSUE: [&str; 3] = ["85756007", "SCT", "Tissue"];
const LESION: [&str; 3] = ["49755003", "SCT", "Morphologically Abnormal Structure"];
const ORGAN: [&str; 3] = ["91723000", "SCT", "Anatomical Structure"];

/// What a segment is said to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::files) struct Meaning {
    /// SegmentedPropertyCategoryCodeSequence.
    pub category: CodedTerm,
    /// SegmentedPropertyTypeCodeSequence.
    pub kind: CodedTerm,
    /// AnatomicRegionSequence.
    pub region: Option<CodedTerm>,
    /// Whether nothing better than the generic term is known.
    pub generic: bool,
}

pub(in crate::files) fn term([value, scheme, meaning]: [&str; 3]) -> CodedTerm {
    CodedTerm::new(value, scheme, meaning)
}

impl Meaning {
    pub fn of(label: &Label) -> Self {
        let folded: String =
            label.name.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect();
        let known = KNOWN.iter().find(|(names, _)| names.contains(&folded.as_str()));
        let kind = label.code.clone().or_else(|| known.map(|(_, code)| term(*code)));
        match kind {
            Some(kind) if kind.scheme == "SCT" && ORGANS.contains(&kind.value.as_str()) => {
                Self { category: term(ORGAN), kind, region: None, generic: false }
            }
            Some(kind) => {
                Self { category: term(LESION), kind, region: Some(term(LUNG)), generic: false }
            }
            None => {
                Self { category: term(TISSUE), kind: term(TISSUE), region: None, generic: true }
            }
        }
    }
}

/// Whether a term read from a file says no more than that there is something.
pub(in crate::files) fn is_generic(code: &CodedTerm) -> bool {
    code.value == TISSUE[0] && code.scheme == TISSUE[1]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(name: &str, code: Option<CodedTerm>) -> (String, bool) {
        let meaning = Meaning::of(&Label { name: name.to_owned(), color: [0; 3], code });
        (meaning.kind.value, meaning.generic)
    }

    #[test]
    fn the_tables_own_code_comes_first_then_dicoms_then_the_generic_one() {
        assert_eq!(kind("Ground-glass opacity", None), ("112120".to_owned(), false));
        assert_eq!(kind("HONEYCOMBING", None), ("112106".to_owned(), false));
        assert_eq!(kind("GGO-reticulation", None), ("112004".to_owned(), false));
        assert_eq!(kind("Cyst", None), ("85756007".to_owned(), true));
        let own = CodedTerm::new("1", "99LAB", "Cyst");
        assert_eq!(kind("GGO", Some(own)), ("1".to_owned(), false));
    }

    #[test]
    fn a_lung_is_no_lesion() {
        let label = Label { name: "Lung".to_owned(), color: [0; 3], code: None };
        assert_eq!(Meaning::of(&label).category.value, "91723000");
    }
}
