//! Single attributes of a DICOM object, by the standard's names.

use dicom_object::{DefaultDicomObject, Tag};

pub(super) const IMAGE_TYPE: Tag = Tag(0x0008, 0x0008);
pub(super) const SOP_CLASS_UID: Tag = Tag(0x0008, 0x0016);
pub(super) const MODALITY: Tag = Tag(0x0008, 0x0060);
pub(super) const SERIES_DESCRIPTION: Tag = Tag(0x0008, 0x103e);
pub(super) const SLICE_THICKNESS: Tag = Tag(0x0018, 0x0050);
pub(super) const SPACING_BETWEEN_SLICES: Tag = Tag(0x0018, 0x0088);
pub(super) const CONVOLUTION_KERNEL: Tag = Tag(0x0018, 0x1210);
pub(super) const IMAGE_POSITION: Tag = Tag(0x0020, 0x0032);
pub(super) const IMAGE_ORIENTATION: Tag = Tag(0x0020, 0x0037);
pub(super) const SAMPLES_PER_PIXEL: Tag = Tag(0x0028, 0x0002);
pub(super) const PHOTOMETRIC: Tag = Tag(0x0028, 0x0004);
pub(super) const NUMBER_OF_FRAMES: Tag = Tag(0x0028, 0x0008);
pub(super) const ROWS: Tag = Tag(0x0028, 0x0010);
pub(super) const COLUMNS: Tag = Tag(0x0028, 0x0011);
pub(super) const PIXEL_SPACING: Tag = Tag(0x0028, 0x0030);
pub(super) const BITS_ALLOCATED: Tag = Tag(0x0028, 0x0100);
pub(super) const BITS_STORED: Tag = Tag(0x0028, 0x0101);
pub(super) const HIGH_BIT: Tag = Tag(0x0028, 0x0102);
pub(super) const PIXEL_REPRESENTATION: Tag = Tag(0x0028, 0x0103);
pub(super) const RESCALE_INTERCEPT: Tag = Tag(0x0028, 0x1052);
pub(super) const RESCALE_SLOPE: Tag = Tag(0x0028, 0x1053);
pub(super) const RESCALE_TYPE: Tag = Tag(0x0028, 0x1054);
pub(super) const PIXEL_PADDING_VALUE: Tag = Tag(0x0028, 0x0120);
pub(super) const PIXEL_PADDING_RANGE_LIMIT: Tag = Tag(0x0028, 0x0121);
pub(super) const PIXEL_DATA: Tag = Tag(0x7fe0, 0x0010);

/// A text without the padding that makes its length even.
pub(super) fn text(object: &DefaultDicomObject, tag: Tag) -> Option<String> {
    let value = object.element_opt(tag).ok()??.to_str().ok()?;
    let trimmed = value.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    (!trimmed.is_empty()).then(|| trimmed.to_owned())
}

/// Exactly `N` finite numbers.
pub(super) fn numbers<const N: usize>(object: &DefaultDicomObject, tag: Tag) -> Option<[f64; N]> {
    let values = object.element_opt(tag).ok()??.to_multi_float64().ok()?;
    <[f64; N]>::try_from(values).ok().filter(|values| values.iter().all(|v| v.is_finite()))
}

/// One finite number.
pub(super) fn number(object: &DefaultDicomObject, tag: Tag) -> Option<f64> {
    numbers::<1>(object, tag).map(|[value]| value)
}

/// One whole number of a 16-bit attribute.
pub(super) fn whole(object: &DefaultDicomObject, tag: Tag) -> Option<u32> {
    object.element_opt(tag).ok()??.to_int().ok()
}

/// The low 16 bits of a whole number that is signed or not, as pixels are stored.
pub(super) fn word(object: &DefaultDicomObject, tag: Tag) -> Option<u16> {
    let value: i64 = object.element_opt(tag).ok()??.to_int().ok()?;
    (-0x8000..=0xffff).contains(&value).then_some(value as u16)
}

/// All values of an attribute as one text, each without its padding.
pub(super) fn all_text(object: &DefaultDicomObject, tag: Tag) -> Option<String> {
    let value = object.element_opt(tag).ok()??.to_multi_str().ok()?;
    let parts: Vec<&str> = value
        .iter()
        .map(|part| part.trim_matches(|c: char| c.is_whitespace() || c == '\0'))
        .collect();
    let joined = parts.join("\\");
    (!joined.is_empty()).then_some(joined)
}
