//! Measurements as a DICOM Structured Report that an archive keeps beside the CT: how much of each
//! class there is, and where in the lung.
//!
//! Standard: PS3.3 A.35.13 (Comprehensive 3D SR), PS3.16 TID 1500 (Measurement Report) with TID 1411 for
//! what a segment of a Segmentation outlines and TID 1501 for everything else.
//!
//! ```text
//! report   what is measured, in words of this crate
//! tree     content items: container, code, number, text, reference
//! write    the report as a tree, and the object around it
//! ```

mod report;
mod tree;
mod write;

pub use report::{MeasuredGroup, Measurement, Quantity, SrReport, SrSite};
pub use write::write_dicom_sr;
