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
