//! Enhanced multi-frame objects as the single images that the rest of this folder knows.
//!
//! What one image says on its own stands in functional groups there: those that all frames share and
//! those of each frame (PS3.3 C.7.6.16). An object is laid flat by putting the attributes of both
//! beside those of the object; the attributes of a group keep their names. A converted series ("Legacy
//! Converted Enhanced CT") is laid flat in the same way.

use std::path::Path;

use dicom_core::{DataElement, PrimitiveValue, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{InMemDicomObject, Tag};

use super::values::{number, text};
use crate::{Error, Result};

/// Storage classes of slices whose frames lie in one file.
const ENHANCED: [&str; 4] = [
    uids::ENHANCED_CT_IMAGE_STORAGE,
    uids::LEGACY_CONVERTED_ENHANCED_CT_IMAGE_STORAGE,
    uids::ENHANCED_MR_IMAGE_STORAGE,
    uids::LEGACY_CONVERTED_ENHANCED_MR_IMAGE_STORAGE,
];
/// What an object is, whatever its groups say.
const OF_THE_OBJECT: [Tag; 4] = [
    tags::SOP_CLASS_UID,
    tags::SOP_INSTANCE_UID,
    tags::SERIES_INSTANCE_UID,
    tags::STUDY_INSTANCE_UID,
];
/// Attributes of a frame, and what a single image calls them.
const RENAMED: [(Tag, Tag, VR); 4] = [
    (tags::FRAME_TYPE, tags::IMAGE_TYPE, VR::CS),
    (tags::FRAME_ACQUISITION_NUMBER, tags::ACQUISITION_NUMBER, VR::IS),
    (tags::FRAME_ACQUISITION_DATE_TIME, tags::ACQUISITION_DATE_TIME, VR::DT),
    (tags::TEMPORAL_POSITION_INDEX, tags::TEMPORAL_POSITION_IDENTIFIER, VR::IS),
];

/// Whether the object holds a stack of slices.
pub(in crate::files) fn is_enhanced(object: &InMemDicomObject) -> bool {
    text(object, tags::SOP_CLASS_UID).is_some_and(|class| ENHANCED.contains(&class.as_str()))
}

/// How many images the object holds.
pub(in crate::files) fn count(object: &InMemDicomObject) -> usize {
    if is_enhanced(object) { groups(object, PER_FRAME).len() } else { 1 }
}

const PER_FRAME: Tag = tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE;

/// The images of an object: itself, or each frame as if it were an object of its own.
///
/// # Errors
/// When the number of frames and of their descriptions differ.
pub(in crate::files) fn images(
    path: &Path,
    object: InMemDicomObject,
) -> Result<Vec<InMemDicomObject>> {
    if !is_enhanced(&object) {
        return Ok(vec![object]);
    }
    let frames = groups(&object, PER_FRAME);
    let promised = number(&object, tags::NUMBER_OF_FRAMES).unwrap_or(0.0);
    if frames.is_empty() || frames.len() as f64 != promised {
        return Err(Error::refused(
            path,
            format!("{promised} frames, as NumberOfFrames says"),
            format!("{} in PerFrameFunctionalGroupsSequence", frames.len()),
            "the file is damaged: export it again",
        ));
    }
    let mut shared = without_sequences(&object);
    groups(&object, tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE)
        .iter()
        .for_each(|g| lay(&mut shared, g));
    Ok(frames.iter().map(|frame| of_frame(&shared, frame)).collect())
}

/// The first image of an object.
pub(in crate::files) fn first(object: &InMemDicomObject) -> InMemDicomObject {
    let mut image = without_sequences(object);
    if !is_enhanced(object) {
        return image;
    }
    groups(object, tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE).iter().for_each(|g| lay(&mut image, g));
    groups(object, PER_FRAME).first().map_or(image.clone(), |frame| of_frame(&image, frame))
}

fn of_frame(shared: &InMemDicomObject, frame: &InMemDicomObject) -> InMemDicomObject {
    let mut image = shared.clone();
    lay(&mut image, frame);
    for (of_frame, of_image, vr) in RENAMED {
        if let Some(value) = super::values::all_text(&image, of_frame) {
            image.put(DataElement::new(of_image, vr, PrimitiveValue::Str(value)));
        }
    }
    image.put(DataElement::new(tags::NUMBER_OF_FRAMES, VR::IS, PrimitiveValue::from("1")));
    image
}

fn groups(object: &InMemDicomObject, tag: Tag) -> &[InMemDicomObject] {
    object.get(tag).and_then(|element| element.items()).unwrap_or_default()
}

fn without_sequences(object: &InMemDicomObject) -> InMemDicomObject {
    let plain = object.iter().filter(|element| element.items().is_none());
    InMemDicomObject::from_element_iter(plain.cloned())
}

/// Puts the attributes of all functional groups of an item beside those of the image.
fn lay(image: &mut InMemDicomObject, item: &InMemDicomObject) {
    let groups = item.iter().filter_map(|group| group.items()?.first());
    for element in groups.flat_map(|group| group.iter()) {
        let tag = element.header().tag;
        if element.items().is_none() && !OF_THE_OBJECT.contains(&tag) {
            image.put(element.clone());
        }
    }
}
