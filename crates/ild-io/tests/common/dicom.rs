//! CT slices made in memory.

use std::path::Path;

use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};

pub const CT_IMAGE: &str = "1.2.840.10008.5.1.4.1.1.2";
pub const EXPLICIT_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2.1";
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

/// A series with everything that a segmentation of it needs, whose pixels are 0 HU.
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
        }
    }
}

impl Series {
    /// SOPInstanceUID of the slice at this place along the normal.
    pub fn uid(place: usize) -> String {
        format!("1.2.3.4.{}", place + 1)
    }

    /// Writes it; names are in the opposite order of the slices.
    pub fn save(&self, folder: &Path) {
        let o = self.orientation;
        let normal =
            [o[1] * o[5] - o[2] * o[4], o[2] * o[3] - o[0] * o[5], o[0] * o[4] - o[1] * o[3]];
        let pixels = vec![1024; usize::from(self.rows) * usize::from(self.columns)];
        let slices = (0..self.slices).map(|z| {
            let mut slice = Slice::at(0.0);
            for (tag, vr, text) in [
                (Tag(0x0008, 0x0018), VR::UI, Self::uid(z).as_str()),
                (Tag(0x0008, 0x0020), VR::DA, "20200102"),
                (Tag(0x0010, 0x0010), VR::PN, "Müller^Jörg"),
                (Tag(0x0010, 0x0020), VR::LO, "ID-77"),
                (Tag(0x0010, 0x0040), VR::CS, "M"),
                (Tag(0x0008, 0x0005), VR::CS, "ISO_IR 100"),
                (Tag(0x0018, 0x0050), VR::DS, "3"),
                (Tag(0x0020, 0x000d), VR::UI, "1.2.840.1"),
                (Tag(0x0020, 0x000e), VR::UI, "1.2.840.1.7"),
                (Tag(0x0020, 0x0011), VR::IS, "7"),
                (Tag(0x0020, 0x0052), VR::UI, "1.2.840.2"),
            ] {
                slice.0.put(DataElement::new(tag, vr, PrimitiveValue::from(text)));
            }
            let along = z as f64 * self.step_mm;
            let position: Vec<f64> = (0..3).map(|i| self.position[i] + along * normal[i]).collect();
            slice.numbers(Tag(0x0020, 0x0032), &position);
            slice.numbers(Tag(0x0020, 0x0037), &o);
            slice.words(Tag(0x0028, 0x0010), self.rows);
            slice.words(Tag(0x0028, 0x0011), self.columns);
            slice.pixels(&pixels);
            slice
        });
        save_all(folder, slices.collect());
    }
}
