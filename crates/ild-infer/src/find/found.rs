//! What was found: lesions, and what was taken for one and is none.

use ndarray::Array3;
use serde::Serialize;

use crate::pieces::Piece;

/// A lesion.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundLesion {
    /// Its label.
    pub label: u8,
    /// Its voxels, slice by slice.
    pub piece: Piece,
    /// Probability of its label among all classes ([`super::naming::Votes::winner`]).
    pub confidence: f64,
    /// Mean of `S·p` over its voxels.
    pub lesion: f64,
}

/// Something that was found and is no lesion.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rejected {
    /// Why.
    pub why: &'static str,
    /// Pieces.
    pub pieces: usize,
    /// Together, mL.
    pub volume_ml: f64,
}

/// All lesions of a stack.
#[derive(Clone, Debug)]
pub struct Found {
    /// In the order in which the array first meets them.
    pub lesions: Vec<FoundLesion>,
    /// Label ids, `[n, y, x]`.
    pub labels: Array3<u8>,
    /// What was dropped.
    pub rejected: Vec<Rejected>,
}
