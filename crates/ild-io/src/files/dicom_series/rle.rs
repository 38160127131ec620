//! RLE fragments whose headers or segments do not hold what they promise, seen before the decoder,
//! which panics on them.

use dicom_object::DefaultDicomObject;

use super::SliceHeader;
use super::values::PIXEL_DATA;
use crate::{Error, Result};

/// Transfer syntax RLE Lossless.
const RLE: &str = "1.2.840.10008.1.2.5";
/// The number of segments and fifteen offsets, four bytes each (PS3.5 G.5).
const HEADER_BYTES: usize = 64;

/// Refuses what the decoder cannot decode; other transfer syntaxes pass.
pub(super) fn check(slice: &SliceHeader, object: &DefaultDicomObject) -> Result<()> {
    if slice.transfer_syntax != RLE {
        return Ok(());
    }
    let (pixels, planes) = (slice.rows * slice.columns, slice.bits_allocated as usize / 8);
    let fragments = object.element_opt(PIXEL_DATA).ok().flatten().and_then(|e| e.fragments());
    let whole = |fragment: &Vec<u8>| holds(fragment, planes, pixels);
    if fragments.is_some_and(|fragments| !fragments.is_empty() && fragments.iter().all(whole)) {
        return Ok(());
    }
    Err(Error::refused(
        &slice.path,
        format!("RLE segments of {} × {} pixels", slice.rows, slice.columns),
        "segments that hold less",
        "the file is damaged or cut short: copy it again",
    ))
}

/// Whether the fragment has a segment of `pixels` bytes for each of the `planes`.
fn holds(fragment: &[u8], planes: usize, pixels: usize) -> bool {
    let word = |at: usize| {
        let bytes = fragment.get(at..at + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?) as usize)
    };
    if fragment.len() < HEADER_BYTES || word(0) != Some(planes) {
        return false;
    }
    (0..planes).all(|plane| {
        let start = word(4 + 4 * plane);
        let end = if plane + 1 == planes { Some(fragment.len()) } else { word(8 + 4 * plane) };
        start
            .zip(end)
            .and_then(|(start, end)| fragment.get(start..end))
            .is_some_and(|segment| unpacked(segment) >= pixels)
    })
}

/// How many bytes a segment unpacks to (PS3.5 G.3.2).
fn unpacked(segment: &[u8]) -> usize {
    let (mut at, mut bytes) = (0, 0);
    while let Some(&control) = segment.get(at) {
        match control {
            0..=127 => {
                let run = usize::from(control) + 1;
                bytes += run.min(segment.len() - at - 1);
                at += 1 + run;
            }
            128 => at += 1,
            129..=255 => {
                if at + 1 < segment.len() {
                    bytes += 257 - usize::from(control);
                }
                at += 2;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fragment(planes: u32, segments: &[&[u8]]) -> Vec<u8> {
        let mut out = vec![0; HEADER_BYTES];
        out[..4].copy_from_slice(&planes.to_le_bytes());
        for (i, segment) in segments.iter().enumerate() {
            let start = (out.len() as u32).to_le_bytes();
            out[4 + 4 * i..8 + 4 * i].copy_from_slice(&start);
            out.extend(*segment);
        }
        out
    }

    #[test]
    fn whole_segments_pass_and_short_ones_do_not() {
        let run: &[u8] = &[253, 9]; // four times 9
        let literal: &[u8] = &[3, 1, 2, 3, 4, 128];
        assert!(holds(&fragment(2, &[run, literal]), 2, 4));
        assert!(!holds(&fragment(2, &[run, literal]), 2, 5));
        assert!(!holds(&fragment(2, &[run, &literal[..3]]), 2, 4));
        assert!(!holds(&fragment(2, &[run, &[253]]), 2, 4));
        assert!(!holds(&fragment(1, &[run]), 2, 4));
        assert!(!holds(&fragment(200, &[run, literal]), 2, 4));
        assert!(!holds(&fragment(1, &[run])[..40], 1, 4));
        let mut backwards = fragment(2, &[run, literal]);
        backwards[8..12].copy_from_slice(&3u32.to_le_bytes());
        assert!(!holds(&backwards, 2, 4));
    }
}
