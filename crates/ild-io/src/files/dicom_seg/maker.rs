//! Who or what made a mask.

use std::path::Path;

use serde_json::Value;

use crate::cohort::bare_case;

/// How a mask came about (SegmentAlgorithmType).
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SegAlgorithm {
    /// By a program alone.
    Automatic,
    /// By a program that somebody prompted.
    SemiAutomatic,
    /// By a person.
    Manual,
}

/// What is known of the maker of a mask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegMaker {
    /// How.
    pub algorithm: SegAlgorithm,
    /// The program.
    pub name: String,
    /// Its version and weights.
    pub version: String,
    /// Where its prompt came from, in words.
    pub stamp: String,
}

/// Digits of the weights' SHA-256 that are shown.
const SHORT_HASH: usize = 12;

impl SegMaker {
    /// The maker of a mask that nobody vouches for.
    #[must_use]
    pub fn unknown(algorithm: SegAlgorithm) -> Self {
        let text = "not stated".to_owned();
        Self { algorithm, name: text.clone(), version: text.clone(), stamp: String::new() }
    }

    /// A program of ours, from what it writes beside its results: `program` (`ild-infer 0.1.0`), the
    /// kind and stamp of its prompt, the SHA-256 of its weights.
    #[must_use]
    pub fn program(program: &str, kind: &str, stamp: &str, weights: Option<&str>) -> Self {
        let by_itself = ["automatic", "heuristic"].contains(&kind);
        let (name, version) = program.split_once(' ').unwrap_or((program, "0"));
        let weights = weights.map_or(String::new(), |hash| {
            format!(", weights {}", hash.get(..SHORT_HASH).unwrap_or(hash))
        });
        Self {
            algorithm: if by_itself {
                SegAlgorithm::Automatic
            } else {
                SegAlgorithm::SemiAutomatic
            },
            name: name.to_owned(),
            version: version.to_owned() + &weights,
            stamp: stamp.to_owned(),
        }
    }

    /// What the sidecar `<case>.json` beside `mask` says; `None` when there is none of `ild-infer`.
    #[must_use]
    pub fn beside(mask: &Path) -> Option<Self> {
        let name = mask.file_name()?.to_string_lossy();
        let sidecar = mask.with_file_name(format!("{}.json", bare_case(&name, &[])));
        ild_cli::inputs::note(&sidecar);
        let value: Value = serde_json::from_slice(&std::fs::read(sidecar).ok()?).ok()?;
        Some(Self::program(
            value["program"].as_str()?,
            value["prompt"]["kind"].as_str()?,
            value["prompt"]["stamp"].as_str().unwrap_or_default(),
            value["model"]["sha256"].as_str(),
        ))
    }
}

impl SegAlgorithm {
    /// SegmentAlgorithmType (PS3.3 C.8.20.2).
    pub(super) fn defined_term(self) -> &'static str {
        match self {
            Self::Automatic => "AUTOMATIC",
            Self::SemiAutomatic => "SEMIAUTOMATIC",
            Self::Manual => "MANUAL",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prompt_says_whether_a_person_had_a_part_in_it() {
        let of = |kind| SegMaker::program("ild-infer 0.1.0", kind, "x", Some("0123456789abcdef"));
        assert_eq!(of("automatic").algorithm, SegAlgorithm::Automatic);
        assert_eq!(of("heuristic").algorithm, SegAlgorithm::Automatic);
        for kind in ["drawn", "mask", "ground-truth"] {
            assert_eq!(of(kind).algorithm, SegAlgorithm::SemiAutomatic, "{kind}");
        }
        assert_eq!(
            (of("mask").name.as_str(), of("mask").version.as_str()),
            ("ild-infer", "0.1.0, weights 0123456789ab")
        );
    }

    #[test]
    fn a_sidecar_says_who_made_the_mask() {
        let folder = tempfile::tempdir().unwrap();
        let mask = folder.path().join("a.nii.gz");
        assert_eq!(SegMaker::beside(&mask), None);
        let sidecar =
            r#"{"program": "ild-infer 0.1.0", "prompt": {"kind": "automatic", "stamp": "s"}}"#;
        std::fs::write(folder.path().join("a.json"), sidecar).unwrap();
        let maker = SegMaker::beside(&mask).unwrap();
        assert_eq!((maker.version.as_str(), maker.stamp.as_str()), ("0.1.0", "s"));
    }
}
