//! Segments: what each is called, looks like and means (PS3.3 C.8.20.2, C.8.20.4).

use std::path::Path;

use dicom_core::VR;
use dicom_dictionary_std::tags;

use super::colour::to_lab;
use super::maker::{SegAlgorithm, SegMaker};
use crate::files::dicom_out::{Content, Item, Meaning, long_text, term};
use crate::{Error, Label, Result};

const ARTIFICIAL_INTELLIGENCE: [&str; 3] = ["123110", "DCM", "Artificial Intelligence"];
const BACKGROUND: [&str; 3] = ["125040", "DCM", "Background"];

/// A label that becomes a segment.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub number: u16,
    /// Its id in the label map.
    pub id: u8,
    pub label: Label,
}

/// The segments of the ids that occur, and what is worth knowing about them.
///
/// # Errors
/// When two labels would have one name.
pub(super) fn of_labels(
    ids: &[u8],
    label: impl Fn(u8) -> Label,
    path: &Path,
) -> Result<(Vec<Segment>, Vec<String>)> {
    let mut notes = Vec::new();
    let mut segments: Vec<Segment> = Vec::new();
    for (number, &id) in (1..).zip(ids) {
        let mut label = label(id);
        let name = long_text(&label.name);
        if name != label.name {
            notes.push(format!("`{}` is called `{name}`: DICOM has 64 characters", label.name));
            label.name = name;
        }
        if let Some(other) = segments.iter().find(|other| other.label.name == label.name) {
            return Err(Error::refused(
                path,
                "a name of its own for each label",
                format!("`{}` for {} and for {id}", label.name, other.id),
                "give the labels shorter names",
            ));
        }
        segments.push(Segment { number, id, label });
    }
    let generic: Vec<&str> = segments
        .iter()
        .filter(|segment| Meaning::of(&segment.label).generic)
        .map(|segment| segment.label.name.as_str())
        .collect();
    if !generic.is_empty() {
        notes.push(format!(
            "no coded term is known for {}: written as `Tissue` (85756007 SCT); a label table says \
             one under `code`: [\"112120\", \"DCM\", \"Ground glass opacity\"]",
            generic.join(", ")
        ));
    }
    Ok((segments, notes))
}

impl Segment {
    /// The item of SegmentSequence.
    pub fn item(&self, maker: &SegMaker, content: &Content) -> Item {
        let meaning = Meaning::of(&self.label);
        let item = described(self.number, &self.label.name, maker)
            .code(tags::SEGMENTED_PROPERTY_CATEGORY_CODE_SEQUENCE, &meaning.category)
            .code(tags::SEGMENTED_PROPERTY_TYPE_CODE_SEQUENCE, &meaning.kind)
            .words(tags::RECOMMENDED_DISPLAY_CIE_LAB_VALUE, &to_lab(self.label.color))
            .text(tags::TRACKING_ID, VR::UT, &self.label.name)
            .text(tags::TRACKING_UID, VR::UI, content.uid(&format!("segment {}", self.number)));
        match &meaning.region {
            Some(region) => item.code(tags::ANATOMIC_REGION_SEQUENCE, region),
            None => item,
        }
    }
}

/// What a label map has where no segment is (PS3.3 C.8.20.4).
pub(super) fn background(maker: &SegMaker) -> Item {
    described(0, "Background", maker)
        .code(tags::SEGMENTED_PROPERTY_CATEGORY_CODE_SEQUENCE, &term(BACKGROUND))
        .code(tags::SEGMENTED_PROPERTY_TYPE_CODE_SEQUENCE, &term(BACKGROUND))
}

fn described(number: u16, name: &str, maker: &SegMaker) -> Item {
    let item = Item::new()
        .words(tags::SEGMENT_NUMBER, &[number])
        .text(tags::SEGMENT_LABEL, VR::LO, name)
        .text(tags::SEGMENT_ALGORITHM_TYPE, VR::CS, maker.algorithm.defined_term());
    if maker.algorithm == SegAlgorithm::Manual {
        return item;
    }
    let algorithm = Item::new()
        .code(tags::ALGORITHM_FAMILY_CODE_SEQUENCE, &term(ARTIFICIAL_INTELLIGENCE))
        .text(tags::ALGORITHM_NAME, VR::LO, long_text(&maker.name))
        .text(tags::ALGORITHM_VERSION, VR::LO, long_text(&maker.version));
    item.text(tags::SEGMENT_ALGORITHM_NAME, VR::LO, long_text(&maker.name))
        .sequence(tags::SEGMENTATION_ALGORITHM_IDENTIFICATION_SEQUENCE, vec![algorithm])
}
