//! What a finder said about the whole stack.

use ild_model::SliceSize;
use ndarray::{Array2, Array3, Array4, ArrayView2, Axis, s};

use super::finder::{LesionFinder, SliceLesions};
use super::smooth::smooth_z;
use crate::coordinates::StackIndex;
use crate::{Range, Result};

/// `S·p` and `q` of every slice, on the finder's grids; 0 where it did not look.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// Label ids of the class channels.
    pub classes: Vec<u8>,
    /// `S·p`, `[n, h, w]`.
    pub lesion: Array3<f32>,
    /// `q`, `[k, n, h', w']`.
    pub class: Array4<f32>,
    /// `S` of each slice.
    pub gate: Vec<f32>,
    /// Of each slice, the probability of each class.
    pub present: Vec<Vec<f32>>,
    /// Slices that the finder looked at.
    pub seen: Vec<bool>,
    /// How far apart several views are about `S·p`, before slices are mixed; `None` where one looked.
    pub range: Vec<Option<Range>>,
}

/// Where the slices of a stack lie along z.
#[derive(Clone, Debug)]
pub struct Heights {
    /// Of each slice, mm.
    pub z_mm: Vec<f64>,
    /// Successive slices that are no neighbours.
    pub breaks: Vec<bool>,
}

impl Evidence {
    /// Lets `finder` look at a stack of `n` slices.
    ///
    /// # Errors
    /// What the finder returns.
    ///
    /// # Panics
    /// When the finder's maps change their size from slice to slice.
    pub fn collect(finder: &mut dyn LesionFinder, n: usize) -> Result<Self> {
        let classes = finder.classes().to_vec();
        let mut all = Self {
            lesion: Array3::zeros((n, 0, 0)),
            class: Array4::zeros((classes.len(), n, 0, 0)),
            gate: vec![0.0; n],
            present: vec![vec![0.0; classes.len()]; n],
            seen: vec![false; n],
            range: vec![None; n],
            classes,
        };
        finder.look(&mut |slice, found| {
            all.add(slice, found);
            Ok(())
        })?;
        Ok(all)
    }

    fn add(&mut self, StackIndex(z): StackIndex, found: SliceLesions) {
        let n = self.gate.len();
        if self.lesion.dim().1 == 0 {
            let ((h, w), (k, hc, wc)) = (found.lesion.dim(), found.class.dim());
            self.lesion = Array3::zeros((n, h, w));
            self.class = Array4::zeros((k, n, hc, wc));
        }
        let gate = found.gate;
        self.lesion.index_axis_mut(Axis(0), z).assign(&found.lesion.mapv(|p| gate * p));
        self.class.slice_mut(s![.., z, .., ..]).assign(&found.class);
        self.gate[z] = gate;
        self.seen[z] = true;
        self.present[z] = found.present;
        self.range[z] = found.range;
    }

    /// Mixes neighbouring slices, `sigma_mm` wide; nothing reaches a slice that was not looked at.
    pub fn smooth(&mut self, heights: &Heights, sigma_mm: f64) {
        let Heights { z_mm, breaks } = heights;
        smooth_z(self.lesion.view_mut(), z_mm, breaks, sigma_mm);
        for class in self.class.outer_iter_mut() {
            smooth_z(class, z_mm, breaks, sigma_mm);
        }
        for (mut lesion, _) in
            self.lesion.outer_iter_mut().zip(&self.seen).filter(|(_, seen)| !**seen)
        {
            lesion.fill(0.0);
        }
    }

    /// `S·p` of a slice on its own pixels, `[y, x]`.
    #[must_use]
    pub fn lesion_on(&self, slice: StackIndex, size: SliceSize) -> Array2<f32> {
        enlarged(self.lesion.index_axis(Axis(0), slice.0), size)
    }

    /// `q` of class channel `c` on the pixels of a slice, `[y, x]`.
    #[must_use]
    pub fn class_on(&self, c: usize, slice: StackIndex, size: SliceSize) -> Array2<f32> {
        enlarged(self.class.slice(s![c, slice.0, .., ..]), size)
    }

    /// How far apart the views are on a slice's own pixels.
    #[must_use]
    pub fn range_on(&self, slice: StackIndex, size: SliceSize) -> Option<Range> {
        let range = self.range[slice.0].as_ref()?;
        let on = |map: &Array2<f32>| enlarged(map.view(), size);
        Some(Range { lowest: on(&range.lowest), highest: on(&range.highest) })
    }

    /// For each class the probability that it is anywhere in the stack: the largest of the slices'.
    #[must_use]
    pub fn presence(&self) -> Vec<f32> {
        let most = |c: usize| self.present.iter().map(|row| row[c]).fold(0.0, f32::max);
        (0..self.classes.len()).map(most).collect()
    }
}

fn enlarged(map: ArrayView2<f32>, size: SliceSize) -> Array2<f32> {
    if map.dim() == (size.height, size.width) {
        return map.to_owned();
    }
    if map.is_empty() {
        return Array2::zeros((size.height, size.width));
    }
    ild_model::resize_plain(map, size.height, size.width)
}
