//! The Segmentation object itself (PS3.3 A.51), put together and written.

use std::path::Path;

use dicom_core::{VR, chrono::Local};
use dicom_dictionary_std::{tags, uids};
use ndarray::ArrayView3;

use super::bits::{Frame, pack};
use super::frames::{self, Held};
use super::maker::SegMaker;
use super::segments::{self, Segment};
use super::{SegFrames, SegType};
use crate::files::dicom_out::{Content, Item, Kind, long_text, write};
use crate::{Error, Label, LabelMap, LabelTable, Result, SourceSeries};

/// What an element of pixels can say it holds (PS3.5 7.1.1).
const LARGEST_PIXEL_BYTES: usize = 0xffff_fffe;

/// How a label map becomes a Segmentation.
#[derive(Clone, Copy, Debug)]
pub struct SegSettings<'a> {
    /// How pixels say what they are of.
    pub kind: SegType,
    /// Which slices become frames.
    pub frames: SegFrames,
    /// Names, colours and codes of the labels.
    pub table: &'a LabelTable,
    /// Who made the mask.
    pub maker: &'a SegMaker,
    /// The program that writes the file, and its version.
    pub writer: [&'a str; 2],
}

/// Writes `map`, whose voxels are those of `series` in whatever order, beside `path` and renames it;
/// returns what is worth knowing. `mask` is what messages call the map.
///
/// UIDs are made of the content: the same mask of the same series has the same.
///
/// # Errors
/// Refuses a map on another grid and one without any voxel (DICOM has no empty segmentation); fails
/// when the file cannot be written.
pub fn write_dicom_seg(
    path: &Path,
    map: LabelMap,
    mask: &Path,
    series: &SourceSeries,
    settings: SegSettings,
) -> Result<Vec<String>> {
    let map = map.on_grid_of(mask, "mask", "series", &series.geometry)?;
    let leaning = series.tilt.as_ref().map(|tilt| tilt.leaning(map.labels.view()));
    let labels = leaning.unwrap_or(map.labels);
    let labels = labels.as_standard_layout();
    let held = Held::of(labels.view());
    let classes = |id: &u8| settings.table.is_class(*id);
    let ids: Vec<u8> = held.ids().into_iter().filter(classes).collect();
    if ids.is_empty() {
        return Err(Error::refused(
            mask,
            "a mask with a label",
            "only zeros",
            "nothing was found: there is nothing to send, because DICOM has no empty segmentation",
        ));
    }
    let label = |id: u8| {
        let unnamed =
            || Label { name: settings.table.name(id), color: settings.table.color(id), code: None };
        settings.table.classes.get(&id).cloned().unwrap_or_else(unnamed)
    };
    let (segments, notes) = segments::of_labels(&ids, label, mask)?;
    let object = Object { series, settings, segments, held, labels: labels.view() };
    object.write(path)?;
    Ok(notes)
}

struct Object<'a> {
    series: &'a SourceSeries,
    settings: SegSettings<'a>,
    segments: Vec<Segment>,
    held: Held,
    labels: ArrayView3<'a, u8>,
}

/// Pixels and what each frame of them says of itself.
struct Pixels {
    bytes: Vec<u8>,
    frames: Vec<Item>,
}

impl Object<'_> {
    fn write(&self, path: &Path) -> Result<()> {
        let pixels = match self.settings.kind {
            SegType::Binary => self.binary(),
            SegType::Labelmap => self.labelmap(),
        };
        if pixels.bytes.len() > LARGEST_PIXEL_BYTES {
            return Err(Error::refused(
                path,
                "at most 4 GiB of frames",
                format!("{} frames", pixels.frames.len()),
                "write fewer labels into one file",
            ));
        }
        let content = self.content(&pixels.bytes);
        let class = match self.settings.kind {
            SegType::Binary => uids::SEGMENTATION_STORAGE,
            SegType::Labelmap => uids::LABEL_MAP_SEGMENTATION_STORAGE,
        };
        let item = self.patient_study_series(&content, class);
        let item = self.image(item, pixels.frames.len());
        let item = self.organisation(item, &content);
        let item = item
            .sequence(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, pixels.frames)
            .bytes(tags::PIXEL_DATA, pixels.bytes);
        write(path, item)
    }

    /// Bits of each segment on its slices, segment by segment.
    fn binary(&self) -> Pixels {
        let gaps = self.settings.frames == SegFrames::Spanned;
        let slices: Vec<(&Segment, Vec<usize>)> =
            self.segments.iter().map(|s| (s, self.held.slices(s.id, gaps))).collect();
        let mut places: Vec<usize> = slices.iter().flat_map(|(_, slices)| slices.clone()).collect();
        places.sort_unstable();
        places.dedup();
        let rank = |z: usize| places.partition_point(|place| *place < z) as u32 + 1;
        let mut frames = Vec::new();
        let mut packed: Vec<Frame> = Vec::new();
        for (segment, slices) in slices {
            for z in slices {
                let index = [u32::from(segment.number), rank(z)];
                frames.push(frames::frame(&self.series.slices[z], &index, Some(segment)));
                packed.push((z, segment.id));
            }
        }
        Pixels { bytes: pack(self.labels, &packed), frames }
    }

    /// Segment numbers, a byte each, on every slice between the first and the last that holds
    /// something.
    fn labelmap(&self) -> Pixels {
        let mut number = [0u8; 256];
        for segment in &self.segments {
            number[usize::from(segment.id)] = segment.number as u8;
        }
        let slices = self.held.spanned();
        let pixels = slices.iter().flat_map(|&z| self.labels.index_axis(ndarray::Axis(0), z));
        let bytes = pixels.map(|&id| number[usize::from(id)]).collect();
        let frame = |(i, &z): (u32, &usize)| frames::frame(&self.series.slices[z], &[i], None);
        Pixels { bytes, frames: (1..).zip(&slices).map(frame).collect() }
    }

    /// Everything that makes this object another one than any other.
    fn content(&self, pixels: &[u8]) -> Content {
        let maker = self.settings.maker;
        let [_, version] = self.settings.writer;
        let mut content = Content::default();
        for part in [&self.series.uid, &maker.name, &maker.version, &maker.stamp] {
            content = content.with(part);
        }
        content = content.with(version).with(self.settings.kind.defined_term());
        for segment in &self.segments {
            let Label { name, color, code } = &segment.label;
            let code = code.as_ref().map_or("", |code| code.value.as_str());
            content = content.with(name).with(color).with(code);
            for z in self.held.slices(segment.id, false) {
                content = content.with((z as u64).to_le_bytes());
            }
        }
        content.with(pixels)
    }

    /// Patient, study, series, equipment, SOP common, frame of reference.
    fn patient_study_series(&self, content: &Content, class: &str) -> Item {
        let kind = Kind {
            class,
            modality: "SEG",
            description: "ild segmentation, research use",
            number: 0,
            writer: self.settings.writer,
        };
        self.series
            .head(content, kind)
            .text(tags::FRAME_OF_REFERENCE_UID, VR::UI, &self.series.frame_of_reference)
            .text(tags::POSITION_REFERENCE_INDICATOR, VR::LO, &self.series.position_reference)
    }

    /// General image, image pixel, multi-frame and segmentation image.
    fn image(&self, item: Item, frames: usize) -> Item {
        let (_, rows, columns) = self.labels.dim();
        let now = Local::now();
        let maker = self.settings.maker;
        let bits: u16 = if self.settings.kind == SegType::Binary { 1 } else { 8 };
        let description = match maker.stamp.as_str() {
            "" => "research use".to_owned(),
            stamp => long_text(&format!("research use; {stamp}")),
        };
        let item = item
            .text(tags::IMAGE_TYPE, VR::CS, "DERIVED\\PRIMARY")
            .text(tags::CONTENT_DATE, VR::DA, now.format("%Y%m%d").to_string())
            .text(tags::CONTENT_TIME, VR::TM, now.format("%H%M%S").to_string())
            .text(tags::CONTENT_LABEL, VR::CS, "ILD")
            .text(tags::CONTENT_DESCRIPTION, VR::LO, description)
            .text(tags::CONTENT_CREATOR_NAME, VR::PN, long_text(&maker.name))
            .text(tags::NUMBER_OF_FRAMES, VR::IS, frames.to_string())
            .words(tags::SAMPLES_PER_PIXEL, &[1])
            .text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2")
            .words(tags::ROWS, &[rows as u16])
            .words(tags::COLUMNS, &[columns as u16])
            .words(tags::BITS_ALLOCATED, &[bits])
            .words(tags::BITS_STORED, &[bits])
            .words(tags::HIGH_BIT, &[bits - 1])
            .words(tags::PIXEL_REPRESENTATION, &[0])
            .text(tags::SEGMENTATION_TYPE, VR::CS, self.settings.kind.defined_term());
        let item = match &self.series.lossy {
            None => item.text(tags::LOSSY_IMAGE_COMPRESSION, VR::CS, "00"),
            Some(how) => {
                item.text(tags::LOSSY_IMAGE_COMPRESSION, VR::CS, "01").with(how.iter().cloned())
            }
        };
        match self.settings.kind {
            SegType::Binary => item.text(tags::SEGMENTS_OVERLAP, VR::CS, "NO"),
            SegType::Labelmap => item.words(tags::PIXEL_PADDING_VALUE, &[0]),
        }
    }

    /// Segments, references to the series, dimensions, what all frames share.
    fn organisation(&self, item: Item, content: &Content) -> Item {
        let maker = self.settings.maker;
        let binary = self.settings.kind == SegType::Binary;
        let mut described = if binary { vec![] } else { vec![segments::background(maker)] };
        described.extend(self.segments.iter().map(|segment| segment.item(maker, content)));
        let referenced = Item::new()
            .text(tags::SERIES_INSTANCE_UID, VR::UI, &self.series.uid)
            .sequence(tags::REFERENCED_INSTANCE_SEQUENCE, self.series.instances());
        let organization = content.uid("dimensions");
        let by = Item::new().text(tags::DIMENSION_ORGANIZATION_UID, VR::UI, &organization);
        let item = item
            .sequence(tags::SEGMENT_SEQUENCE, described)
            .sequence(tags::REFERENCED_SERIES_SEQUENCE, vec![referenced])
            .sequence(tags::DIMENSION_ORGANIZATION_SEQUENCE, vec![by])
            .sequence(tags::DIMENSION_INDEX_SEQUENCE, frames::dimensions(&organization, binary))
            .sequence(tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE, vec![frames::shared(self.series)]);
        if binary { item } else { item.text(tags::DIMENSION_ORGANIZATION_TYPE, VR::CS, "3D") }
    }
}
