//! Frames: which slices they are of, and how each says so (PS3.3 C.7.6.16, C.7.6.17).

use dicom_core::{DataElement, PrimitiveValue, VR};
use dicom_dictionary_std::tags;
use ndarray::{ArrayView3, Axis};
use rayon::prelude::*;

use super::segments::Segment;
use crate::SourceSeries;
use crate::files::dicom_out::{Element, Item, SourceSlice, decimal, term};

const SEGMENTATION: [&str; 3] = ["113076", "DCM", "Segmentation"];
const SOURCE_IMAGE: [&str; 3] = ["121322", "DCM", "Source image for image processing operation"];

/// Which labels each slice holds.
pub(super) struct Held(Vec<[bool; 256]>);

impl Held {
    pub fn of(labels: ArrayView3<u8>) -> Self {
        let of_slice = |z: usize| {
            let mut held = [false; 256];
            labels.index_axis(Axis(0), z).iter().for_each(|&id| held[usize::from(id)] = true);
            held
        };
        Self((0..labels.dim().0).into_par_iter().map(of_slice).collect())
    }

    /// The ids that occur, without 0.
    pub fn ids(&self) -> Vec<u8> {
        let any = |id: &u8| self.0.iter().any(|held| held[usize::from(*id)]);
        (1..=255).filter(any).collect()
    }

    /// The slices of `id`; with `gaps` also those between the first and the last that do not hold it.
    pub fn slices(&self, id: u8, gaps: bool) -> Vec<usize> {
        let held: Vec<usize> = (0..self.0.len()).filter(|&z| self.0[z][usize::from(id)]).collect();
        match (held.first(), held.last()) {
            (Some(&first), Some(&last)) if gaps => (first..=last).collect(),
            _ => held,
        }
    }

    /// The slices between the first and the last that hold anything.
    pub fn spanned(&self) -> Vec<usize> {
        let any = |z: &usize| self.0[*z][1..].iter().any(|held| *held);
        let held: Vec<usize> = (0..self.0.len()).filter(any).collect();
        match (held.first(), held.last()) {
            (Some(&first), Some(&last)) => (first..=last).collect(),
            _ => held,
        }
    }
}

/// SharedFunctionalGroupsSequence: what is one for all frames.
pub(super) fn shared(series: &SourceSeries) -> Item {
    let orientation =
        Item::new().text(tags::IMAGE_ORIENTATION_PATIENT, VR::DS, series.orientation.clone());
    let step = decimal(series.geometry.spacing_xyz_mm[2]);
    let thickness = series.thickness.clone().unwrap_or_else(|| step.clone());
    let measures = Item::new()
        .text(tags::SLICE_THICKNESS, VR::DS, thickness)
        .text(tags::SPACING_BETWEEN_SLICES, VR::DS, step)
        .text(tags::PIXEL_SPACING, VR::DS, series.pixel_spacing.clone());
    Item::new()
        .sequence(tags::PLANE_ORIENTATION_SEQUENCE, vec![orientation])
        .sequence(tags::PIXEL_MEASURES_SEQUENCE, vec![measures])
}

/// The item of a frame in PerFrameFunctionalGroupsSequence; `index` are its DimensionIndexValues,
/// `segment` is left out of a label map, whose pixels say it.
pub(super) fn frame(slice: &SourceSlice, index: &[u32], segment: Option<&Segment>) -> Item {
    let reference = Item::new()
        .text(tags::REFERENCED_SOP_CLASS_UID, VR::UI, &slice.class)
        .text(tags::REFERENCED_SOP_INSTANCE_UID, VR::UI, &slice.instance)
        .text(tags::SPATIAL_LOCATIONS_PRESERVED, VR::CS, "YES")
        .with(slice.frame.map(frame_number))
        .code(tags::PURPOSE_OF_REFERENCE_CODE_SEQUENCE, &term(SOURCE_IMAGE));
    let derivation = Item::new()
        .sequence(tags::SOURCE_IMAGE_SEQUENCE, vec![reference])
        .code(tags::DERIVATION_CODE_SEQUENCE, &term(SEGMENTATION));
    let item = Item::new()
        .sequence(tags::DERIVATION_IMAGE_SEQUENCE, vec![derivation])
        .sequence(
            tags::FRAME_CONTENT_SEQUENCE,
            vec![Item::new().longs(tags::DIMENSION_INDEX_VALUES, index)],
        )
        .sequence(
            tags::PLANE_POSITION_SEQUENCE,
            vec![Item::new().text(tags::IMAGE_POSITION_PATIENT, VR::DS, &slice.position)],
        );
    match segment {
        None => item,
        Some(segment) => item.sequence(
            tags::SEGMENT_IDENTIFICATION_SEQUENCE,
            vec![Item::new().words(tags::REFERENCED_SEGMENT_NUMBER, &[segment.number])],
        ),
    }
}

/// Which frame of its instance a source is.
fn frame_number(frame: u32) -> Element {
    let value = PrimitiveValue::from(frame.to_string());
    DataElement::new(tags::REFERENCED_FRAME_NUMBER, VR::IS, value)
}

/// DimensionIndexSequence: what the index values of a frame count.
pub(super) fn dimensions(organization: &str, by_segment: bool) -> Vec<Item> {
    let segment =
        (tags::REFERENCED_SEGMENT_NUMBER, tags::SEGMENT_IDENTIFICATION_SEQUENCE, "Segment Number");
    let position =
        (tags::IMAGE_POSITION_PATIENT, tags::PLANE_POSITION_SEQUENCE, "Image Position Patient");
    let dimensions = [by_segment.then_some(segment), Some(position)];
    let item = |(pointer, group, words)| {
        Item::new()
            .text(tags::DIMENSION_ORGANIZATION_UID, VR::UI, organization)
            .pointer(tags::DIMENSION_INDEX_POINTER, pointer)
            .pointer(tags::FUNCTIONAL_GROUP_POINTER, group)
            .text(tags::DIMENSION_DESCRIPTION_LABEL, VR::LO, words)
    };
    dimensions.into_iter().flatten().map(item).collect()
}
