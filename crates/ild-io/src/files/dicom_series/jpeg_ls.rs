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
    let stream = without_fill(stream.to_vec());
    let (columns, rows) = (slice.columns as u32, slice.rows as u32);
    let (pixels, ..) =
        jpegls::decode(&stream, columns, rows).map_err(|error| format!("JPEG-LS: {error}"))?;
    if slice.bits_allocated == 16 {
        return Ok(pixels.into_iter().flat_map(u16::to_le_bytes).collect());
    }
    let bytes: Result<Vec<u8>, _> = pixels.into_iter().map(u8::try_from).collect();
    bytes.map_err(|_| "JPEG-LS with more than the 8 bits that are allocated".to_owned())
}

/// The stream without fill bytes (ITU-T T.81 B.1.1.2) before its last marker: DCMTK puts one there
/// for an even length, and the decoder knows none.
fn without_fill(mut stream: Vec<u8>) -> Vec<u8> {
    const END_OF_IMAGE: [u8; 2] = [0xff, 0xd9];
    let last = stream.windows(2).rposition(|marker| marker == END_OF_IMAGE);
    if let Some(end) = last {
        let fill = stream[..end].iter().rev().take_while(|&&byte| byte == 0xff).count();
        stream.drain(end - fill..end);
    }
    stream
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fill_before_the_end_goes_and_everything_else_stays() {
        let of = |bytes: &[u8]| without_fill(bytes.to_vec());
        assert_eq!(of(&[1, 0xff, 0x7f, 0, 0xff, 0xff, 0xd9]), [1, 0xff, 0x7f, 0, 0xff, 0xd9]);
        assert_eq!(of(&[1, 0xff, 0xff, 0xff, 0xd9, 0]), [1, 0xff, 0xd9, 0]);
        assert_eq!(of(&[1, 0xff, 0xd9]), [1, 0xff, 0xd9]);
        assert_eq!(of(&[0xff, 0xff, 2]), [0xff, 0xff, 2]);
    }
}
