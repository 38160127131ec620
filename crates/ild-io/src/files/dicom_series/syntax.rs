//! Which transfer syntaxes are decoded, and what to do about the others.

use std::path::Path;

use dicom_dictionary_std::uids;
use dicom_transfer_syntax_registry::{TransferSyntaxIndex, TransferSyntaxRegistry};

use super::{SliceHeader, jpeg_ls};
use crate::{Error, Result};

const READ: &str = "pixels uncompressed, deflated or in JPEG of 8 bits, JPEG lossless, JPEG-LS, \
                    JPEG 2000 (also High-Throughput) or RLE";
/// What the decoder of JPEG says of lossy pixels with more than eight bits.
const TWELVE_BITS: &str = "SamplePrecision";

/// Refuses a slice whose pixels no decoder here knows, before it is read.
pub(super) fn check(path: &Path, slice: &SliceHeader) -> Result<()> {
    let uid = slice.transfer_syntax.as_str();
    let known = TransferSyntaxRegistry.get(uid);
    if jpeg_ls::is(slice) || known.is_some_and(|syntax| syntax.can_decode_all()) {
        return Ok(());
    }
    let name = known.map_or("a transfer syntax of another kind", |syntax| syntax.name());
    let way_out = match uid {
        uids::JPEGXL_LOSSLESS | uids::JPEGXLJPEG_RECOMPRESSION | uids::JPEGXL => {
            "dcmtk and GDCM do not read it either: let the archive or the scanner send the series \
             uncompressed (Explicit VR Little Endian) or in JPEG 2000"
        }
        _ => "decompress the series first, e.g. with `gdcmconv --raw IN OUT` or `dcmdjpeg IN OUT`",
    };
    Err(Error::refused(path, READ, format!("{name} ({uid})"), way_out))
}

/// What a decoder's words mean where the file is whole and the decoder cannot.
pub(super) fn beyond_the_decoder(slice: &SliceHeader, said: &str) -> Option<Error> {
    said.contains(TWELVE_BITS).then(|| {
        Error::refused(
            &slice.path,
            READ,
            format!("lossy JPEG of more than 8 bits ({})", slice.transfer_syntax),
            "decompress the series first: `dcmdjpeg IN OUT` or `gdcmconv --raw IN OUT` for each file",
        )
    })
}
