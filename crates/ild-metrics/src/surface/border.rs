//! Surface distances by border voxels: the definition of MedPy, and of MONAI's border.
//!
//! The border of a mask is its voxels with a face neighbour outside; voxels outside the volume
//! count as outside the mask. Distances are measured between voxel centres, each border voxel
//! counts once whatever its spacing.

use crate::statistics::{mean, percentile};
use crate::surface::distance_transform::DistanceTransform;
use crate::surface::points::collect_marked;
use crate::{Extent, Mask};

/// Distances between the borders of ground truth and prediction, mm; there are none when either
/// mask is empty.
#[derive(Clone, Debug, PartialEq)]
pub struct BorderDistances {
    /// From each border voxel of the ground truth to the prediction's border.
    pub reference_to_predicted: Vec<f64>,
    /// From each border voxel of the prediction to the ground truth's border.
    pub predicted_to_reference: Vec<f64>,
}

impl BorderDistances {
    /// Measures the borders of two masks on one grid; `None` when either is empty.
    ///
    /// `within` holds both masks (the smallest such box saves time, a larger one changes nothing).
    #[must_use]
    pub fn new(
        reference: Mask,
        predicted: Mask,
        within: Extent,
        spacing_zyx_mm: [f64; 3],
    ) -> Option<Self> {
        let (reference, reference_transform) = border(reference, within, spacing_zyx_mm);
        let (predicted, predicted_transform) = border(predicted, within, spacing_zyx_mm);
        if reference.is_empty() || predicted.is_empty() {
            return None;
        }
        Some(Self {
            reference_to_predicted: predicted_transform.at(&reference),
            predicted_to_reference: reference_transform.at(&predicted),
        })
    }

    fn pooled(&self) -> Vec<f64> {
        self.reference_to_predicted.iter().chain(&self.predicted_to_reference).copied().collect()
    }

    /// 95th percentile of both directions' distances together, linear interpolation
    /// (`medpy.metric.hd95`), mm.
    #[must_use]
    pub fn hd95_mm(&self) -> Option<f64> {
        let mut pooled = self.pooled();
        pooled.sort_unstable_by(f64::total_cmp);
        percentile(&pooled, 95.0)
    }

    /// Mean of both directions' distances together (`medpy.metric.assd`), mm.
    #[must_use]
    pub fn assd_mm(&self) -> Option<f64> {
        mean(&self.pooled())
    }
}

/// Flat indices of the border voxels in the box, and the distances to them.
fn border(mask: Mask, within: Extent, spacing_zyx_mm: [f64; 3]) -> (Vec<usize>, DistanceTransform) {
    let size = within.size();
    let [depth, height, width] = size;
    let mut planes = [PaddedPlane::new(size), PaddedPlane::new(size), PaddedPlane::new(size)];
    planes[2].load(mask, within, 0);
    let mut points = Vec::new();
    let transform = DistanceTransform::new(size, spacing_zyx_mm, |z, plane| {
        planes.rotate_left(1);
        if z + 1 < depth {
            planes[2].load(mask, within, z + 1)
        } else {
            planes[2].voxels.fill(0)
        }
        for y in 0..height {
            mark_border_row(&planes, y, &mut plane[y * width..][..width]);
        }
        collect_marked(plane, |at| points.push(z * height * width + at));
    });
    (points, transform)
}

/// One slice of a mask with a frame of zeros.
struct PaddedPlane {
    voxels: Vec<u8>,
    size: [usize; 3],
}

impl PaddedPlane {
    fn new(size: [usize; 3]) -> Self {
        Self { voxels: vec![0; (size[1] + 2) * (size[2] + 2)], size }
    }

    fn load(&mut self, mask: Mask, within: Extent, z: usize) {
        let [_, height, width] = self.size;
        for y in 0..height {
            let row = &mut self.voxels[(y + 1) * (width + 2) + 1..][..width];
            mask.copy_row(within.start[0] + z, within.start[1] + y, within.start[2], row);
        }
    }

    /// Row `y` of the mask (−1 and `height` are the frame's) from column `from` (−1 is the frame's)
    /// on.
    fn row(&self, y: isize, from: isize) -> &[u8] {
        let width = self.size[2];
        let start = (y + 1) as usize * (width + 2) + (from + 1) as usize;
        &self.voxels[start..][..width]
    }
}

/// `inside and not all six neighbours inside`, for one row of the middle slice.
fn mark_border_row([above, here, below]: &[PaddedPlane; 3], y: usize, out: &mut [u8]) {
    let y = y as isize;
    let along_z = above.row(y, 0).iter().zip(below.row(y, 0));
    let along_y = here.row(y - 1, 0).iter().zip(here.row(y + 1, 0));
    let along_x = here.row(y, -1).iter().zip(here.row(y, 1));
    let neighbours = along_z.zip(along_y).zip(along_x);
    for ((out, &inside), (((a, b), (c, d)), (e, f))) in
        out.iter_mut().zip(here.row(y, 0)).zip(neighbours)
    {
        *out = inside & (1 ^ (a & b & c & d & e & f));
    }
}
