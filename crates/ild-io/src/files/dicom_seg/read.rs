//! A Segmentation as one label map on the slices that it spans.

use std::collections::BTreeMap;
use std::path::Path;

use dicom_dictionary_std::tags;
use dicom_object::{InMemDicomObject, Tag};
use ndarray::{Array3, Axis};

use super::bits::packed_bytes;
use super::colour::to_rgb;
use super::planes::{Places, Planes};
use crate::files::dicom_file::DicomFile;
use crate::files::dicom_out::is_generic;
use crate::files::dicom_series::values::{all_text, number, numbers, text, whole};
use crate::files::input::check_promise;
use crate::files::label_file::Names;
use crate::{CodedTerm, Error, LabelMap, LabelTable, Result};

/// Longest row or column.
const LARGEST_SIDE: u32 = 16384;
/// Pixels of these transfer syntaxes are stored as they are.
const NATIVE: [&str; 3] = ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"];
/// How far two directions of frames may differ.
const SAME_DIRECTION: f64 = 1e-3;

/// What the labels of the Segmentation at `path` are called; pixels are not looked at.
pub(crate) fn label_names(path: &Path) -> Result<LabelTable> {
    let object = DicomFile::checked(path)?.until(tags::PIXEL_DATA)?;
    label_names_of(path, &object)
}

/// Reads the frames into one map of segment numbers, on the slices from the first to the last frame.
///
/// # Errors
/// Refuses segments that overlap, fractions, pixels in a compression, frames that lie on no grid, and
/// files that promise more than they hold.
pub(crate) fn read_segmentation(path: &Path) -> Result<LabelMap> {
    let object = DicomFile::checked(path)?.whole()?;
    let syntax = object.meta().transfer_syntax().trim_end_matches('\0').to_owned();
    if !NATIVE.contains(&syntax.as_str()) {
        return Err(Error::refused(
            path,
            "pixels as they are",
            format!("compressed ones (transfer syntax {syntax})"),
            "decompress the file first, e.g. with `gdcmconv --raw` or `dcmdrle`",
        ));
    }
    label_names_of(path, &object)?;
    let frames = Frames::of(path, &object)?;
    let Planes { geometry, slice_of } = frames.places.planes(path)?;
    let [z, y, x] = geometry.shape_zyx;
    check_promise(path, z as u64 * y as u64 * x as u64, u64::MAX, "voxels")?;
    let pixels = object
        .get(tags::PIXEL_DATA)
        .and_then(|element| element.to_bytes().ok())
        .ok_or_else(|| missing(path, "PixelData"))?;
    let mut labels = Array3::zeros((z, y, x));
    frames.put_into(path, &mut labels, &pixels, &slice_of)?;
    Ok(LabelMap { labels, geometry })
}

fn missing(path: &Path, what: &str) -> Error {
    Error::refused(path, format!("{what} of a segmentation"), "none", "write the file again")
}

fn items(object: &InMemDicomObject, tag: Tag) -> &[InMemDicomObject] {
    object.get(tag).and_then(|element| element.items()).unwrap_or_default()
}

fn item(object: &InMemDicomObject, tag: Tag) -> Option<&InMemDicomObject> {
    items(object, tag).first()
}

/// Names, colours and codes of the segments, under their numbers.
pub(super) fn label_names_of(path: &Path, object: &InMemDicomObject) -> Result<LabelTable> {
    let mut names = Names::new(path, "segments with names of their own");
    for segment in items(object, tags::SEGMENT_SEQUENCE) {
        let Some(number) = whole(segment, tags::SEGMENT_NUMBER) else {
            return Err(missing(path, "a number for each segment"));
        };
        if number == 0 {
            continue;
        }
        let id = u8::try_from(number).map_err(|_| {
            let found = format!("segment number {number}");
            Error::refused(path, "at most 255 segments", found, "split the file")
        })?;
        let name = text(segment, tags::SEGMENT_LABEL).unwrap_or_default();
        let color = segment
            .get(tags::RECOMMENDED_DISPLAY_CIE_LAB_VALUE)
            .and_then(|element| element.to_multi_int::<u16>().ok())
            .and_then(|lab| <[u16; 3]>::try_from(lab).ok())
            .map(to_rgb);
        names.add(id, &name, color, code(segment))?;
    }
    Ok(names.table())
}

/// The term of a segment, unless it says no more than that there is something.
fn code(segment: &InMemDicomObject) -> Option<CodedTerm> {
    let code = item(segment, tags::SEGMENTED_PROPERTY_TYPE_CODE_SEQUENCE)?;
    let part = |tag| text(code, tag).unwrap_or_default();
    let parts = [tags::CODE_VALUE, tags::CODING_SCHEME_DESIGNATOR, tags::CODE_MEANING].map(part);
    CodedTerm::try_from(parts).ok().filter(|code| !is_generic(code))
}

/// How pixels are stored.
enum Depth {
    /// A bit for each, of the segment that the frame names.
    Bits(Vec<u8>),
    /// Segment numbers of this many bytes.
    Numbers(usize),
}

struct Frames {
    places: Places,
    depth: Depth,
}

impl Frames {
    fn of(path: &Path, object: &InMemDicomObject) -> Result<Self> {
        let size = [tags::ROWS, tags::COLUMNS].map(|tag| whole(object, tag).unwrap_or(0));
        if !size.iter().all(|n| (1..=LARGEST_SIDE).contains(n)) {
            let found = format!("{} × {}", size[0], size[1]);
            let next = "the header is damaged";
            return Err(Error::refused(path, "Rows and Columns of 1 to 16384", found, next));
        }
        let frames = items(object, tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE);
        let promised = number(object, tags::NUMBER_OF_FRAMES).unwrap_or(0.0);
        if frames.is_empty() || frames.len() as f64 != promised {
            return Err(Error::refused(
                path,
                format!("{promised} frames, as NumberOfFrames says"),
                format!("{} in PerFrameFunctionalGroupsSequence", frames.len()),
                "write the segmentation again",
            ));
        }
        let shared = item(object, tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE);
        let group = |frame, tag| item(frame, tag).or_else(|| item(shared?, tag));
        let positions = frames.iter().map(|frame| {
            let plane = group(frame, tags::PLANE_POSITION_SEQUENCE);
            plane
                .and_then(|plane| numbers(plane, tags::IMAGE_POSITION_PATIENT))
                .ok_or_else(|| missing(path, "ImagePositionPatient of each frame"))
        });
        let measures = group(&frames[0], tags::PIXEL_MEASURES_SEQUENCE);
        let measure = |tag| number(measures?, tag).map(f64::abs).filter(|mm| *mm > 0.0);
        let places = Places {
            positions: positions.collect::<Result<_>>()?,
            orientation: orientation(path, frames, group)?,
            pixel_spacing_mm: measures
                .and_then(|measures| numbers::<2>(measures, tags::PIXEL_SPACING))
                .filter(|mm| mm.iter().all(|v| *v > 0.0))
                .ok_or_else(|| missing(path, "PixelSpacing"))?,
            between_mm: measure(tags::SPACING_BETWEEN_SLICES)
                .or_else(|| measure(tags::SLICE_THICKNESS)),
            rows: size[0] as usize,
            columns: size[1] as usize,
        };
        let depth = depth(path, object, frames, group)?;
        Ok(Self { places, depth })
    }

    fn put_into(
        &self,
        path: &Path,
        labels: &mut Array3<u8>,
        pixels: &[u8],
        slice_of: &[usize],
    ) -> Result<()> {
        let (frames, per_frame) = (slice_of.len(), self.places.rows * self.places.columns);
        let needed = match &self.depth {
            Depth::Bits(_) => packed_bytes(frames, per_frame),
            Depth::Numbers(bytes) => frames * per_frame * bytes,
        };
        if pixels.len() < needed {
            return Err(Error::refused(
                path,
                format!("{needed} bytes of pixels for {frames} frames"),
                format!("{}", pixels.len()),
                "the file is damaged or cut short: copy it again",
            ));
        }
        let mut shared = BTreeMap::<(u8, u8), u64>::new();
        for (frame, &z) in slice_of.iter().enumerate() {
            let mut slice = labels.index_axis_mut(Axis(0), z);
            let Some(slice) = slice.as_slice_mut() else { continue };
            let mut put = |at: usize, id: u8| match &mut slice[at] {
                place if *place == 0 => *place = id,
                place if *place == id => {}
                place => *shared.entry((*place, id)).or_default() += 1,
            };
            match &self.depth {
                Depth::Bits(ids) => {
                    let first = frame * per_frame;
                    for_each_bit(pixels, first..first + per_frame, |bit| {
                        put(bit - first, ids[frame])
                    });
                }
                Depth::Numbers(bytes) => {
                    let of_frame = &pixels[frame * per_frame * bytes..][..per_frame * bytes];
                    for (at, value) in of_frame.chunks_exact(*bytes).enumerate() {
                        let high = value.get(1).copied().unwrap_or(0);
                        if high > 0 {
                            let found = format!("segment number {}", u16::from(high) << 8);
                            let next = "split the file";
                            return Err(Error::refused(path, "at most 255 segments", found, next));
                        }
                        if value[0] > 0 {
                            put(at, value[0]);
                        }
                    }
                }
            }
        }
        match shared.iter().max_by_key(|(_, voxels)| **voxels) {
            None => Ok(()),
            Some(((a, b), voxels)) => Err(Error::refused(
                path,
                "segments that do not overlap: a voxel has one label",
                format!("{voxels} voxels in segment {a} and in segment {b}"),
                "take the one from the other in the viewer, or save them as two files",
            )),
        }
    }
}

/// The set bits of a range.
fn for_each_bit(bytes: &[u8], range: std::ops::Range<usize>, mut take: impl FnMut(usize)) {
    let mut at = range.start;
    while at < range.end {
        let byte = bytes[at / 8];
        if at.is_multiple_of(8) && byte == 0 {
            at += 8;
            continue;
        }
        if byte >> (at % 8) & 1 == 1 {
            take(at);
        }
        at += 1;
    }
}

/// One orientation for all frames.
fn orientation<'a>(
    path: &Path,
    frames: &'a [InMemDicomObject],
    group: impl Fn(&'a InMemDicomObject, Tag) -> Option<&'a InMemDicomObject>,
) -> Result<[f64; 6]> {
    let mut first: Option<[f64; 6]> = None;
    for frame in frames {
        let plane = group(frame, tags::PLANE_ORIENTATION_SEQUENCE);
        let found = plane
            .and_then(|plane| numbers(plane, tags::IMAGE_ORIENTATION_PATIENT))
            .ok_or_else(|| missing(path, "ImageOrientationPatient"))?;
        let first = first.get_or_insert(found);
        if first.iter().zip(found).any(|(a, b)| (*a - b).abs() > SAME_DIRECTION) {
            let found = format!("{first:?} and {found:?}");
            let next = "save the segmentation on the slices of one series";
            return Err(Error::refused(path, "frames of one orientation", found, next));
        }
    }
    first.ok_or_else(|| missing(path, "ImageOrientationPatient"))
}

fn depth<'a>(
    path: &Path,
    object: &InMemDicomObject,
    frames: &'a [InMemDicomObject],
    group: impl Fn(&'a InMemDicomObject, Tag) -> Option<&'a InMemDicomObject>,
) -> Result<Depth> {
    let kind = all_text(object, tags::SEGMENTATION_TYPE).unwrap_or_default();
    let bits = whole(object, tags::BITS_ALLOCATED).unwrap_or(0);
    match (kind.as_str(), bits) {
        ("BINARY", 1) => {
            let of_frame = |frame| {
                let number = group(frame, tags::SEGMENT_IDENTIFICATION_SEQUENCE)
                    .and_then(|item| whole(item, tags::REFERENCED_SEGMENT_NUMBER))
                    .and_then(|number| u8::try_from(number).ok())
                    .filter(|number| *number > 0);
                number.ok_or_else(|| {
                    missing(path, "ReferencedSegmentNumber (1 to 255) of each frame")
                })
            };
            Ok(Depth::Bits(frames.iter().map(of_frame).collect::<Result<_>>()?))
        }
        ("LABELMAP", 8) => Ok(Depth::Numbers(1)),
        ("LABELMAP", 16) => Ok(Depth::Numbers(2)),
        _ => Err(Error::refused(
            path,
            "SegmentationType BINARY or LABELMAP",
            format!("{kind} of {bits} bits"),
            "save it as a binary segmentation",
        )),
    }
}
