//! Content items (PS3.3 C.17.3): a tree of names and values.

use dicom_core::VR;
use dicom_dictionary_std::tags;

use crate::CodedTerm;
use crate::files::dicom_out::{Item, decimal, term};

/// How an item stands to the one that holds it.
#[derive(Clone, Copy)]
pub(super) enum Relation {
    Contains,
    /// It says more about the name of its parent.
    Modifies,
    /// Who observed, and what of.
    Context,
}

/// A content item under construction.
pub(super) struct Node {
    item: Item,
    below: Vec<Item>,
}

impl Node {
    fn new(kind: &str, name: &CodedTerm) -> Self {
        let item = Item::new()
            .text(tags::VALUE_TYPE, VR::CS, kind)
            .code(tags::CONCEPT_NAME_CODE_SEQUENCE, name);
        Self { item, below: Vec::new() }
    }

    /// Holds others; `template` is the TID of PS3.16 that it follows.
    pub fn container(name: [&str; 3], template: Option<&str>) -> Self {
        let Self { item, below } = Self::new("CONTAINER", &term(name));
        let item = item.text(tags::CONTINUITY_OF_CONTENT, VR::CS, "SEPARATE");
        let item = match template {
            None => item,
            Some(number) => {
                let template = Item::new().text(tags::MAPPING_RESOURCE, VR::CS, "DCMR").text(
                    tags::TEMPLATE_IDENTIFIER,
                    VR::CS,
                    number,
                );
                item.sequence(tags::CONTENT_TEMPLATE_SEQUENCE, vec![template])
            }
        };
        Self { item, below }
    }

    pub fn code(name: [&str; 3], value: &CodedTerm) -> Self {
        let mut node = Self::new("CODE", &term(name));
        node.item = node.item.code(tags::CONCEPT_CODE_SEQUENCE, value);
        node
    }

    pub fn text(name: [&str; 3], value: &str) -> Self {
        let mut node = Self::new("TEXT", &term(name));
        node.item = node.item.text(tags::TEXT_VALUE, VR::UT, value);
        node
    }

    pub fn uid(name: [&str; 3], value: &str) -> Self {
        let mut node = Self::new("UIDREF", &term(name));
        node.item = node.item.text(tags::UID, VR::UI, value);
        node
    }

    pub fn number(name: [&str; 3], value: f64, unit: [&str; 3]) -> Self {
        let mut node = Self::new("NUM", &term(name));
        let value = Item::new()
            .text(tags::NUMERIC_VALUE, VR::DS, decimal(value))
            .double(tags::FLOATING_POINT_VALUE, value)
            .code(tags::MEASUREMENT_UNITS_CODE_SEQUENCE, &term(unit));
        node.item = node.item.sequence(tags::MEASURED_VALUE_SEQUENCE, vec![value]);
        node
    }

    /// A segment of a Segmentation.
    pub fn segment(name: [&str; 3], class: &str, instance: &str, number: u16) -> Self {
        let mut node = Self::new("IMAGE", &term(name));
        let reference = Item::new()
            .text(tags::REFERENCED_SOP_CLASS_UID, VR::UI, class)
            .text(tags::REFERENCED_SOP_INSTANCE_UID, VR::UI, instance)
            .words(tags::REFERENCED_SEGMENT_NUMBER, &[number]);
        node.item = node.item.sequence(tags::REFERENCED_SOP_SEQUENCE, vec![reference]);
        node
    }

    pub fn with(mut self, relation: Relation, child: Self) -> Self {
        let relation = match relation {
            Relation::Contains => "CONTAINS",
            Relation::Modifies => "HAS CONCEPT MOD",
            Relation::Context => "HAS OBS CONTEXT",
        };
        self.below.push(child.item().text(tags::RELATIONSHIP_TYPE, VR::CS, relation));
        self
    }

    /// The finished item.
    pub fn item(self) -> Item {
        match self.below.is_empty() {
            true => self.item,
            false => self.item.sequence(tags::CONTENT_SEQUENCE, self.below),
        }
    }
}
