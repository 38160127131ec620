//! What the DICOM objects that we write have in common.
//!
//! ```text
//! anonymous  a pseudonym instead of patient and study
//! source   the series that they are about: grid, UIDs of the slices, patient and study
//! codes    which coded term a label is written with
//! item     a data set under construction
//! uid      identifiers made of the content
//! write    one object, as a file
//! ```

mod anonymous;
mod codes;
mod item;
mod source;
mod uid;
mod write;

pub(super) type Element = dicom_object::mem::InMemElement;

pub(super) use codes::{Meaning, is_generic, term};
pub(super) use item::Item;
pub use source::SourceSeries;
pub(super) use source::{Kind, SourceSlice};
pub(super) use uid::Content;
pub(super) use write::write;

/// Longest text of VR LO, in characters.
const LONGEST_TEXT: usize = 64;

/// A text as VR LO takes it.
pub(super) fn long_text(text: &str) -> String {
    text.chars()
        .map(|c| if c == '\\' { '/' } else { c })
        .filter(|c| !c.is_control())
        .take(LONGEST_TEXT)
        .collect::<String>()
        .trim()
        .to_owned()
}

/// A number in the 16 characters of VR DS.
pub(super) fn decimal(value: f64) -> String {
    let exact = value.to_string();
    if exact.len() <= 16 { exact } else { format!("{value:.10}").chars().take(16).collect() }
}

#[cfg(test)]
mod tests {
    use super::decimal;

    #[test]
    fn a_length_fits_into_sixteen_characters() {
        for mm in [5.0, 0.625, 1.0 / 3.0, 123.456_789_012_345_67, 2.499_999_999_999_9] {
            let text = decimal(mm);
            assert!(text.len() <= 16 && (text.parse::<f64>().unwrap() - mm).abs() < 1e-8, "{text}");
        }
    }
}
