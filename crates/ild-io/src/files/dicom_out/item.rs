//! A data set under construction.

use dicom_core::value::DataSetSequence;
use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;

use crate::CodedTerm;

/// A data set, or an item of a sequence.
#[derive(Clone, Debug)]
pub(in crate::files) struct Item(pub InMemDicomObject);

impl Item {
    pub fn new() -> Self {
        Self(InMemDicomObject::new_empty())
    }

    pub fn text(mut self, tag: Tag, vr: VR, value: impl Into<String>) -> Self {
        let value: String = value.into();
        let value =
            if value.is_empty() { PrimitiveValue::Empty } else { PrimitiveValue::Str(value) };
        self.0.put(DataElement::new(tag, vr, value));
        self
    }

    /// Unsigned 16-bit numbers.
    pub fn words(mut self, tag: Tag, values: &[u16]) -> Self {
        self.0.put(DataElement::new(tag, VR::US, PrimitiveValue::U16(values.into())));
        self
    }

    /// Unsigned 32-bit numbers.
    pub fn longs(mut self, tag: Tag, values: &[u32]) -> Self {
        self.0.put(DataElement::new(tag, VR::UL, PrimitiveValue::U32(values.into())));
        self
    }

    /// A double.
    pub fn double(mut self, tag: Tag, value: f64) -> Self {
        self.0.put(DataElement::new(tag, VR::FD, PrimitiveValue::from(value)));
        self
    }

    /// The tag of an attribute, as a value.
    pub fn pointer(mut self, tag: Tag, to: Tag) -> Self {
        self.0.put(DataElement::new(tag, VR::AT, PrimitiveValue::Tags(vec![to].into())));
        self
    }

    pub fn bytes(mut self, tag: Tag, values: Vec<u8>) -> Self {
        self.0.put(DataElement::new(tag, VR::OB, PrimitiveValue::U8(values.into())));
        self
    }

    pub fn sequence(mut self, tag: Tag, items: Vec<Item>) -> Self {
        let items: Vec<InMemDicomObject> = items.into_iter().map(|item| item.0).collect();
        self.0.put(DataElement::new(tag, VR::SQ, DataSetSequence::from(items)));
        self
    }

    /// A sequence of one code.
    pub fn code(self, tag: Tag, term: &CodedTerm) -> Self {
        let code = Item::new()
            .text(tags::CODE_VALUE, VR::SH, &term.value)
            .text(tags::CODING_SCHEME_DESIGNATOR, VR::SH, &term.scheme)
            .text(tags::CODE_MEANING, VR::LO, &term.meaning);
        self.sequence(tag, vec![code])
    }

    /// The attributes that are there, as they are.
    pub fn with(mut self, elements: impl IntoIterator<Item = super::Element>) -> Self {
        for element in elements {
            self.0.put(element);
        }
        self
    }
}
