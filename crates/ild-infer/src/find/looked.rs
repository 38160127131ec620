//! A case that was looked at: everything that lesions are decided by, before it is decided.

use ild_io::lung::LungMask;
use ndarray::Array3;

use super::evidence::Heights;
use super::head::HeadFinder;
use super::{Evidence, FindSettings, Found, Place, find};
use crate::coordinates::StackIndex;
use crate::propagate::GapRule;
use crate::{Result, Scan, Session};

/// Lesions are looked for this far around the lung mask, mm: as far as its closing reaches.
const AROUND_LUNG_MM: f64 = 10.0;
/// Neighbouring slices within about this distance are looked at together, mm.
const SMOOTH_MM: f64 = 2.0;

/// The evidence of a case, and where lesions may lie. Each set of rules finds its lesions in it
/// without the model being asked again.
pub struct Looked {
    /// What the weights say of each slice.
    pub evidence: Evidence,
    /// Whether no slice holds lung, so that none was looked at.
    pub nothing_to_see: bool,
    around: Array3<bool>,
    heights: Heights,
    voxel_ml: f64,
}

impl Looked {
    /// Looks at the slices of `session` that hold some of `lung`, each once; `None` when the weights
    /// have no classes. Features of slices with an `S·p` above `worth` are kept for the decoder.
    ///
    /// # Errors
    /// When the model fails, and the interruption by the user.
    pub fn at(
        session: &Session,
        lung: &LungMask,
        gap: GapRule,
        worth: f32,
    ) -> Result<Option<Self>> {
        let around = lung.dilated(AROUND_LUNG_MM);
        let holds_lung = around.outer_iter().enumerate();
        let holds_lung = holds_lung.filter(|(_, slice)| slice.iter().any(|&inside| inside));
        let slices: Vec<StackIndex> = holds_lung.map(|(z, _)| StackIndex(z)).collect();
        session.progress().inc_length(slices.len() as u64);
        let nothing_to_see = slices.is_empty();
        let Some(mut finder) = HeadFinder::new(session, slices, worth) else { return Ok(None) };
        let mut evidence = Evidence::collect(&mut finder, session.scan().z_index().len())?;
        let heights = heights(session.scan(), gap);
        evidence.smooth(&heights, SMOOTH_MM);
        let voxel_ml = session.scan().grid().voxel_volume_ml();
        Ok(Some(Self { evidence, nothing_to_see, around, heights, voxel_ml }))
    }

    /// The lesions by these rules.
    #[must_use]
    pub fn find(&self, rules: &FindSettings) -> Found {
        let place =
            Place { lung: &self.around, breaks: &self.heights.breaks, voxel_ml: self.voxel_ml };
        find(&self.evidence, &place, rules)
    }
}

fn heights(scan: &Scan, gap: GapRule) -> Heights {
    let step_mm = scan.grid().spacing_xyz_mm[2];
    Heights {
        z_mm: scan.z_index().iter().map(|&z| z as f64 * step_mm).collect(),
        breaks: scan.breaks(gap),
    }
}
