//! A term of a coding scheme, for programs that do not read names.

use serde::{Deserialize, Serialize};

/// Longest value and scheme (VR SH), and longest meaning (VR LO), in characters (PS3.5 6.2).
const LONGEST: [usize; 3] = [16, 16, 64];

/// A coded term as DICOM writes it (PS3.3 8.8); in JSON `["112120", "DCM", "Ground glass opacity"]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "[String; 3]", into = "[String; 3]")]
pub struct CodedTerm {
    /// CodeValue.
    pub value: String,
    /// CodingSchemeDesignator: `DCM`, `SCT`, …
    pub scheme: String,
    /// CodeMeaning: the words.
    pub meaning: String,
}

impl CodedTerm {
    /// A term that is known to fit.
    pub(crate) fn new(value: &str, scheme: &str, meaning: &str) -> Self {
        Self { value: value.to_owned(), scheme: scheme.to_owned(), meaning: meaning.to_owned() }
    }
}

impl TryFrom<[String; 3]> for CodedTerm {
    type Error = String;

    fn try_from(parts: [String; 3]) -> Result<Self, String> {
        let parts = parts.map(|part| part.trim().to_owned());
        let fits = |(part, longest): (&String, usize)| {
            (1..=longest).contains(&part.chars().count())
                && !part.contains(|c: char| c.is_control() || c == '\\')
        };
        if !parts.iter().zip(LONGEST).all(fits) {
            return Err(format!(
                "a code is value, scheme and meaning, of 1 to 16, 16 and 64 characters: {parts:?}"
            ));
        }
        let [value, scheme, meaning] = parts;
        Ok(Self { value, scheme, meaning })
    }
}

impl From<CodedTerm> for [String; 3] {
    fn from(CodedTerm { value, scheme, meaning }: CodedTerm) -> Self {
        [value, scheme, meaning]
    }
}
