//! A pseudonym instead of patient and study.
//!
//! UIDs stay (PS3.15, "Retain UIDs Option"): by them an archive lays a Segmentation over its CT. Whoever
//! has the study finds it by them, nobody else.

use dicom_core::{DataElement, PrimitiveValue, VR};
use dicom_dictionary_std::tags;
use sha2::{Digest, Sha256};

use super::{Element, SourceSeries};

/// Digits of a pseudonym.
const DIGITS: usize = 12;
/// What stands in the files.
const METHOD: &str = "ild --anonymous: names, numbers and dates taken out, UIDs kept";

impl SourceSeries {
    /// What the patient is called where nobody shall know: made of the StudyInstanceUID, so that it is
    /// the same in everything that is made of one study.
    #[must_use]
    pub fn pseudonym(&self) -> String {
        let digest = Sha256::digest(format!("ild pseudonym {}", self.study()));
        let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("anon-{}", &digits[..DIGITS])
    }

    /// The series as one whose patient nobody knows: what is written of it carries the pseudonym, no
    /// name, number, date or description of patient and study, and its UIDs.
    #[must_use]
    pub fn anonymous(mut self) -> Self {
        let pseudonym = self.pseudonym();
        let of = |tag, vr, value: &str| DataElement::new(tag, vr, PrimitiveValue::from(value));
        let empty = |tag, vr| DataElement::new(tag, vr, PrimitiveValue::Empty);
        let elements: Vec<Element> = vec![
            of(tags::PATIENT_NAME, VR::PN, &pseudonym),
            of(tags::PATIENT_ID, VR::LO, &pseudonym),
            empty(tags::PATIENT_BIRTH_DATE, VR::DA),
            empty(tags::PATIENT_SEX, VR::CS),
            of(tags::PATIENT_IDENTITY_REMOVED, VR::CS, "YES"),
            of(tags::DEIDENTIFICATION_METHOD, VR::LO, METHOD),
            of(tags::STUDY_INSTANCE_UID, VR::UI, &self.study()),
            empty(tags::STUDY_DATE, VR::DA),
            empty(tags::STUDY_TIME, VR::TM),
            empty(tags::REFERRING_PHYSICIAN_NAME, VR::PN),
            empty(tags::STUDY_ID, VR::SH),
            empty(tags::ACCESSION_NUMBER, VR::SH),
        ];
        self.patient_and_study = elements;
        self
    }
}
