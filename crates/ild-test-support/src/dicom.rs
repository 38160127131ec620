//! CT series made in memory, and written in the ways hospitals hand them out.

#![allow(missing_docs, reason = "the names say it")]

use std::io::Write;
use std::path::Path;

use dicom_core::value::DataSetSequence;
use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};

pub const CT_IMAGE: &str = "1.2.840.10008.5.1.4.1.1.2";
pub const EXPLICIT_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2.1";
pub const ENHANCED_CT_IMAGE: &str = "1.2.840.10008.5.1.4.1.1.2.1";

pub const FRAMES: Tag = Tag(0x0028, 0x0008);
pub const ROWS: Tag = Tag(0x0028, 0x0010);
pub const COLUMNS: Tag = Tag(0x0028, 0x0011);
pub const POSITION: Tag = Tag(0x0020, 0x0032);
pub const ORIENTATION: Tag = Tag(0x0020, 0x0037);
pub const PIXEL_SPACING: Tag = Tag(0x0028, 0x0030);
pub const INTERCEPT: Tag = Tag(0x0028, 0x1052);
pub const SLOPE: Tag = Tag(0x0028, 0x1053);
pub const SHARED: Tag = Tag(0x5200, 0x9229);
pub const PER_FRAME: Tag = Tag(0x5200, 0x9230);
const PIXEL_MEASURES: Tag = Tag(0x0028, 0x9110);
const PLANE_POSITION: Tag = Tag(0x0020, 0x9113);
const PLANE_ORIENTATION: Tag = Tag(0x0020, 0x9116);
const VALUE_TRANSFORMATION: Tag = Tag(0x0028, 0x9145);
const CT_RECONSTRUCTION: Tag = Tag(0x0018, 0x9314);

pub const DEFLATED: &str = "1.2.840.10008.1.2.1.99";

/// A slice of 2 rows × 3 columns.
#[derive(Clone)]
pub struct Slice(pub InMemDicomObject);

impl Slice {
    /// A CT slice at this height, all of whose pixels are 0 HU.
    pub fn at(z_mm: f64) -> Self {
        let mut slice = Self(InMemDicomObject::new_empty());
        for (tag, text) in [
            (Tag(0x0008, 0x0016), CT_IMAGE),
            (Tag(0x0008, 0x0018), "1.2.3.1"),
            (Tag(0x0008, 0x0060), "CT"),
            (Tag(0x0008, 0x103e), "Chest"),
            (Tag(0x0020, 0x000e), "1.2.3"),
            (Tag(0x0028, 0x0004), "MONOCHROME2"),
        ] {
            slice.text(tag, text);
        }
        slice.numbers(Tag(0x0020, 0x0032), &[-100.0, -50.0, z_mm]);
        slice.numbers(Tag(0x0020, 0x0037), &[1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
        slice.numbers(Tag(0x0028, 0x0030), &[0.5, 0.75]);
        slice.numbers(Tag(0x0028, 0x1053), &[1.0]);
        slice.numbers(Tag(0x0028, 0x1052), &[-1024.0]);
        for (tag, value) in [
            (Tag(0x0028, 0x0002), 1),
            (Tag(0x0028, 0x0010), 2),
            (Tag(0x0028, 0x0011), 3),
            (Tag(0x0028, 0x0100), 16),
            (Tag(0x0028, 0x0101), 16),
            (Tag(0x0028, 0x0102), 15),
            (Tag(0x0028, 0x0103), 0),
        ] {
            slice.words(tag, value);
        }
        slice.pixels(&[1024; 6]);
        slice
    }

    pub fn text(&mut self, tag: Tag, value: &str) {
        self.0.put(DataElement::new(tag, VR::LO, PrimitiveValue::from(value)));
    }

    pub fn numbers(&mut self, tag: Tag, values: &[f64]) {
        let text: Vec<String> = values.iter().map(f64::to_string).collect();
        self.0.put(DataElement::new(tag, VR::DS, PrimitiveValue::from(text.join("\\"))));
    }

    pub fn words(&mut self, tag: Tag, value: u16) {
        self.0.put(DataElement::new(tag, VR::US, PrimitiveValue::from(value)));
    }

    pub fn pixels(&mut self, values: &[u16]) {
        let values = PrimitiveValue::U16(values.to_vec().into());
        self.0.put(DataElement::new(Tag(0x7fe0, 0x0010), VR::OW, values));
    }

    pub fn remove(&mut self, tag: Tag) {
        self.0.remove_element(tag);
    }
}

pub fn save_as(path: &Path, slice: Slice, transfer_syntax: &str) {
    let meta = FileMetaTableBuilder::new().transfer_syntax(transfer_syntax);
    slice.0.with_meta(meta).unwrap().write_to_file(path).unwrap();
}

/// Names are in the opposite order of the slices.
pub fn save_all(folder: &Path, slices: Vec<Slice>) {
    let n = slices.len();
    for (i, slice) in slices.into_iter().enumerate() {
        save_as(&folder.join(format!("IM{:03}.dcm", n - i)), slice, EXPLICIT_LITTLE_ENDIAN);
    }
}

/// A series with everything that a segmentation of it needs.
#[derive(Clone)]
pub struct Series {
    pub slices: usize,
    pub rows: u16,
    pub columns: u16,
    /// Directions of a row and of a column, LPS.
    pub orientation: [f64; 6],
    /// Of the first slice.
    pub position: [f64; 3],
    pub step_mm: f64,
    /// Between rows, then between columns.
    pub pixel_mm: [f64; 2],
    /// How far each slice lies beside the one below, LPS mm: a tilted gantry.
    pub lean_mm: [f64; 3],
    /// Hounsfield units at a place in the patient, LPS mm.
    pub hu: fn([f64; 3]) -> f64,
    /// What is the series' own.
    pub number: u16,
    pub kernel: &'static str,
    pub thickness_mm: f64,
    /// Name and number of the patient, study.
    pub patient: [&'static str; 3],
}

impl Default for Series {
    fn default() -> Self {
        Self {
            slices: 5,
            rows: 6,
            columns: 7,
            orientation: [1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
            position: [-100.0, -50.0, 20.0],
            step_mm: 2.5,
            pixel_mm: [0.5, 0.75],
            lean_mm: [0.0; 3],
            hu: |_| 0.0,
            number: 7,
            kernel: "",
            thickness_mm: 3.0,
            patient: ["Müller^Jörg", "ID-77", "1.2.840.1"],
        }
    }
}

impl Series {
    /// SOPInstanceUID of the slice at this place along the normal, in the series of number 7.
    pub fn uid(place: usize) -> String {
        format!("1.2.3.4.{}", place + 1)
    }

    /// Centre of a pixel, LPS mm.
    pub fn place(&self, slice: usize, row: usize, column: usize) -> [f64; 3] {
        let o = self.orientation;
        let normal =
            [o[1] * o[5] - o[2] * o[4], o[2] * o[3] - o[0] * o[5], o[0] * o[4] - o[1] * o[3]];
        let [z, y, x] = [slice, row, column].map(|i| i as f64);
        std::array::from_fn(|i| {
            self.position[i]
                + z * (self.step_mm * normal[i] + self.lean_mm[i])
                + x * self.pixel_mm[1] * o[i]
                + y * self.pixel_mm[0] * o[i + 3]
        })
    }

    /// Stored words of a slice: Hounsfield units + 1024.
    pub fn words(&self, slice: usize) -> Vec<u16> {
        let at = |i: usize| (slice, i / usize::from(self.columns), i % usize::from(self.columns));
        let count = usize::from(self.rows) * usize::from(self.columns);
        let hu = (0..count).map(at).map(|(z, y, x)| (self.hu)(self.place(z, y, x)));
        hu.map(|hu| (hu.round() + 1024.0) as u16).collect()
    }

    pub fn slices(&self) -> Vec<Slice> {
        (0..self.slices).map(|z| self.slice(z)).collect()
    }

    fn slice(&self, z: usize) -> Slice {
        let [name, id, study] = self.patient;
        let uid = match self.number {
            7 => Self::uid(z),
            number => format!("1.2.3.4.{number}.{}", z + 1),
        };
        let mut slice = Slice::at(0.0);
        for (tag, vr, text) in [
            (Tag(0x0008, 0x0018), VR::UI, uid.as_str()),
            (Tag(0x0008, 0x0020), VR::DA, "20200102"),
            (Tag(0x0010, 0x0010), VR::PN, name),
            (Tag(0x0010, 0x0020), VR::LO, id),
            (Tag(0x0010, 0x0040), VR::CS, "M"),
            (Tag(0x0008, 0x0005), VR::CS, "ISO_IR 100"),
            (Tag(0x0008, 0x0008), VR::CS, "ORIGINAL\\PRIMARY\\AXIAL"),
            (Tag(0x0018, 0x0050), VR::DS, &self.thickness_mm.to_string()),
            (Tag(0x0018, 0x1210), VR::SH, self.kernel),
            (Tag(0x0020, 0x000d), VR::UI, study),
            (Tag(0x0020, 0x000e), VR::UI, &format!("{study}.{}", self.number)),
            (Tag(0x0020, 0x0011), VR::IS, &self.number.to_string()),
            (Tag(0x0020, 0x0052), VR::UI, "1.2.840.2"),
        ] {
            slice.0.put(DataElement::new(tag, vr, PrimitiveValue::from(text)));
        }
        slice.numbers(POSITION, &self.place(z, 0, 0));
        slice.numbers(ORIENTATION, &self.orientation);
        slice.numbers(PIXEL_SPACING, &self.pixel_mm);
        slice.words(ROWS, self.rows);
        slice.words(COLUMNS, self.columns);
        slice.pixels(&self.words(z));
        slice
    }

    /// Writes it; names are in the opposite order of the slices.
    pub fn save(&self, folder: &Path) {
        std::fs::create_dir_all(folder).unwrap();
        save_all(folder, self.slices());
    }

    /// Writes it as one enhanced multi-frame object, whose frames are in the opposite order of the
    /// slices.
    pub fn save_enhanced(&self, path: &Path, transfer_syntax: &str) {
        let meta = FileMetaTableBuilder::new().transfer_syntax(transfer_syntax);
        self.enhanced().with_meta(meta).unwrap().write_to_file(path).unwrap();
    }

    /// The enhanced multi-frame object.
    pub fn enhanced(&self) -> InMemDicomObject {
        let group = |tag: Tag, item: InMemDicomObject| {
            InMemDicomObject::from_element_iter([DataElement::new(
                tag,
                VR::SQ,
                DataSetSequence::from(vec![item]),
            )])
        };
        let of = |slice: &Slice, tags: &[Tag]| {
            let elements = tags.iter().map(|tag| slice.0.element(*tag).unwrap().clone());
            InMemDicomObject::from_element_iter(elements)
        };
        let merged = |items: Vec<InMemDicomObject>| {
            InMemDicomObject::from_element_iter(items.into_iter().flatten())
        };
        let slices: Vec<Slice> = self.slices().into_iter().rev().collect();
        let first = &slices[0];
        let shared = merged(vec![
            group(PIXEL_MEASURES, of(first, &[PIXEL_SPACING, Tag(0x0018, 0x0050)])),
            group(PLANE_ORIENTATION, of(first, &[ORIENTATION])),
            group(VALUE_TRANSFORMATION, of(first, &[INTERCEPT, SLOPE])),
            group(CT_RECONSTRUCTION, of(first, &[Tag(0x0018, 0x1210)])),
        ]);
        let frames = slices.iter().map(|slice| group(PLANE_POSITION, of(slice, &[POSITION])));
        let frames: Vec<InMemDicomObject> = frames.collect();
        let mut object = first.clone();
        for tag in [POSITION, ORIENTATION, PIXEL_SPACING, SLOPE, INTERCEPT] {
            object.remove(tag);
        }
        object.text(Tag(0x0008, 0x0016), ENHANCED_CT_IMAGE);
        object.text(Tag(0x0008, 0x0018), "1.2.3.9");
        let number = PrimitiveValue::from(self.slices.to_string());
        object.0.put(DataElement::new(FRAMES, VR::IS, number));
        for (tag, items) in [(SHARED, vec![shared]), (PER_FRAME, frames)] {
            object.0.put(DataElement::new(tag, VR::SQ, DataSetSequence::from(items)));
        }
        object.pixels(&(0..self.slices).rev().flat_map(|z| self.words(z)).collect::<Vec<_>>());
        object.0
    }
}

/// All files in and below `folder` in one archive, deflated or stored.
pub fn zip(folder: &Path, archive: &Path, deflated: bool) {
    use zip::write::{SimpleFileOptions, ZipWriter};
    let method =
        if deflated { zip::CompressionMethod::Deflated } else { zip::CompressionMethod::Stored };
    let options = SimpleFileOptions::default().compression_method(method);
    let mut writer = ZipWriter::new(std::fs::File::create(archive).unwrap());
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(folder).unwrap().to_str().unwrap();
            writer.start_file(name, options).unwrap();
            writer.write_all(&std::fs::read(&path).unwrap()).unwrap();
        }
    }
    writer.finish().unwrap();
}
