//! Single attributes of a DICOM object, by the standard's names.

use dicom_object::{InMemDicomObject, Tag};

pub(in crate::files) const IMAGE_TYPE: Tag = Tag(0x0008, 0x0008);
pub(in crate::files) const SOP_CLASS_UID: Tag = Tag(0x0008, 0x0016);
pub(in crate::files) const MODALITY: Tag = Tag(0x0008, 0x0060);
pub(in crate::files) const SERIES_DESCRIPTION: Tag = Tag(0x0008, 0x103e);
pub(in crate::files) const SLICE_THICKNESS: Tag = Tag(0x0018, 0x0050);
pub(in crate::files) const SPACING_BETWEEN_SLICES: Tag = Tag(0x0018, 0x0088);
pub(in crate::files) const CONVOLUTION_KERNEL: Tag = Tag(0x0018, 0x1210);
pub(in crate::files) const IMAGE_POSITION: Tag = Tag(0x0020, 0x0032);
pub(in crate::files) const IMAGE_ORIENTATION: Tag = Tag(0x0020, 0x0037);
pub(in crate::files) const SAMPLES_PER_PIXEL: Tag = Tag(0x0028, 0x0002);
pub(in crate::files) const PHOTOMETRIC: Tag = Tag(0x0028, 0x0004);
pub(in crate::files) const NUMBER_OF_FRAMES: Tag = Tag(0x0028, 0x0008);
pub(in crate::files) const ROWS: Tag = Tag(0x0028, 0x0010);
pub(in crate::files) const COLUMNS: Tag = Tag(0x0028, 0x0011);
pub(in crate::files) const PIXEL_SPACING: Tag = Tag(0x0028, 0x0030);
pub(in crate::files) const BITS_ALLOCATED: Tag = Tag(0x0028, 0x0100);
pub(in crate::files) const BITS_STORED: Tag = Tag(0x0028, 0x0101);
pub(in crate::files) const HIGH_BIT: Tag = Tag(0x0028, 0x0102);
pub(in crate::files) const PIXEL_REPRESENTATION: Tag = Tag(0x0028, 0x0103);
pub(in crate::files) const RESCALE_INTERCEPT: Tag = Tag(0x0028, 0x1052);
pub(in crate::files) const RESCALE_SLOPE: Tag = Tag(0x0028, 0x1053);
pub(in crate::files) const RESCALE_TYPE: Tag = Tag(0x0028, 0x1054);
pub(in crate::files) const PIXEL_PADDING_VALUE: Tag = Tag(0x0028, 0x0120);
pub(in crate::files) const PIXEL_PADDING_RANGE_LIMIT: Tag = Tag(0x0028, 0x0121);
pub(in crate::files) const PIXEL_DATA: Tag = Tag(0x7fe0, 0x0010);

/// A text without the padding that makes its length even.
pub(in crate::files) fn text(object: &InMemDicomObject, tag: Tag) -> Option<String> {
    let value = object.element_opt(tag).ok()??.to_str().ok()?;
    let trimmed = value.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    (!trimmed.is_empty()).then(|| trimmed.to_owned())
}

/// Exactly `N` finite numbers.
pub(in crate::files) fn numbers<const N: usize>(
    object: &InMemDicomObject,
    tag: Tag,
) -> Option<[f64; N]> {
    let values = object.element_opt(tag).ok()??.to_multi_float64().ok()?;
    <[f64; N]>::try_from(values).ok().filter(|values| values.iter().all(|v| v.is_finite()))
}

/// One finite number.
pub(in crate::files) fn number(object: &InMemDicomObject, tag: Tag) -> Option<f64> {
    numbers::<1>(object, tag).map(|[value]| value)
}

/// One whole number of a 16-bit attribute.
pub(in crate::files) fn whole(object: &InMemDicomObject, tag: Tag) -> Option<u32> {
    object.element_opt(tag).ok()??.to_int().ok()
}

/// The low 16 bits of a whole number that is signed or not, as pixels are stored.
pub(in crate::files) fn word(object: &InMemDicomObject, tag: Tag) -> Option<u16> {
    let value: i64 = object.element_opt(tag).ok()??.to_int().ok()?;
    (-0x8000..=0xffff).contains(&value).then_some(value as u16)
}

/// All values of an attribute as one text, each without its padding.
pub(in crate::files) fn all_text(object: &InMemDicomObject, tag: Tag) -> Option<String> {
    let value = object.element_opt(tag).ok()??.to_multi_str().ok()?;
    let parts: Vec<&str> = value
        .iter()
        .map(|part| part.trim_matches(|c: char| c.is_whitespace() || c == '\0'))
        .collect();
    let joined = parts.join("\\");
    (!joined.is_empty()).then_some(joined)
}
