//! A cohort on disk: which files are cases, whose they are, and what their labels are called.
//!
//! Every program asks here, so that no two of them answer differently:
//!
//! | question | answer |
//! |---|---|
//! | which files of a folder are cases? | [`case_files`] |
//! | what is in a folder at all? | [`list`] |
//! | do the names of two lists belong together? | [`Beside`] |
//! | whose case is it? | [`Patients`] |
//! | by which cases were these weights made? | [`KnownCases`] |
//! | what are the labels of a mask called? | [`LabelNames`] |
//! | which ids has a mask under another's names? | [`read_mask`], [`LabelNames::under`] |
//! | what did `ild-infer` say of a prediction? | [`Sidecar`] |

mod cases;
mod known_cases;
mod label_names;
mod listing;
mod names;
mod patients;
mod sidecar;

pub use cases::{Depth, Dicom, Files, Twice, Wanted, bare_case, case_files};
pub use known_cases::{CaseSet, KnownCases};
pub use label_names::{LabelNames, read_mask};
pub use listing::list;
pub use names::{Beside, alike, shown};
pub use patients::{CasePatients, Patients};
pub use sidecar::Sidecar;
