//! JPEG-LS, lossless and near-lossless (PS3.5 8.2.3), which dicom-rs reads only with a C++ library.

use dicom_dictionary_std::uids;
use dicom_encoding::adapters::PixelDataObject;
use dicom_object::DefaultDicomObject;

use super::SliceHeader;

/// Whether the slice is in JPEG-LS.
pub(super) fn is(slice: &SliceHeader) -> bool {
    [uids::JPEGLS_LOSSLESS, uids::JPEGLS_NEAR_LOSSLESS].contains(&slice.transfer_syntax.as_str())
}

/// The pixels of a slice, row by row, in as many bytes as its header allocates, little-endian.
pub(super) fn decode(slice: &SliceHeader, object: &DefaultDicomObject) -> Result<Vec<u8>, String> {
    let frame = slice.frame.unwrap_or(0);
    let stream = object.frame_pixel_data(frame).ok_or("no pixels of this slice")?;
    let (columns, rows) = (slice.columns as u32, slice.rows as u32);
    let (pixels, ..) =
        jpegls::decode(&stream, columns, rows).map_err(|error| format!("JPEG-LS: {error}"))?;
    if slice.bits_allocated == 16 {
        return Ok(pixels.into_iter().flat_map(u16::to_le_bytes).collect());
    }
    let bytes: Result<Vec<u8>, _> = pixels.into_iter().map(u8::try_from).collect();
    bytes.map_err(|_| "JPEG-LS with more than the 8 bits that are allocated".to_owned())
}
