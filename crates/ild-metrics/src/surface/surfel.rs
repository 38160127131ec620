//! Surface distances by surface elements: the definition of DeepMind's `surface-distance`.
//!
//! The surface lies between voxels. Every 2×2×2 neighbourhood that is partly inside holds a surface
//! element whose area depends on which of its voxels are inside ([`surfel_areas_mm2`]); it sits at
//! the neighbourhood's centre. Distances are measured between centres, and all averages and
//! percentiles are weighted by area. Voxels outside the volume count as outside the mask.

use crate::surface::distance_transform::DistanceTransform;
use crate::surface::points::collect_marked;
use crate::{Extent, Mask, surfel_areas_mm2};

/// From every element of one surface to the other surface.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Directed {
    /// Distance of each element, mm.
    pub distance_mm: Vec<f64>,
    /// Its area, mm².
    pub area_mm2: Vec<f64>,
}

/// Distances between the surfaces of ground truth and prediction; there are none when either mask
/// is empty.
#[derive(Clone, Debug, PartialEq)]
pub struct SurfelDistances {
    /// From the ground truth's surface to the prediction's.
    pub reference_to_predicted: Directed,
    /// From the prediction's surface to the ground truth's.
    pub predicted_to_reference: Directed,
}

impl SurfelDistances {
    /// Measures the surfaces of two masks on one grid; `None` when either is empty.
    ///
    /// `within` holds both masks (the smallest such box saves time, a larger one changes nothing).
    ///
    /// # Example
    /// A plate and the same plate one slice further, 5 mm away:
    /// ```
    /// use ild_metrics::{Mask, SurfelDistances};
    /// use ndarray::{Array3, s};
    ///
    /// let mut truth = Array3::<u8>::zeros((6, 20, 20));
    /// let mut found = truth.clone();
    /// truth.slice_mut(s![2, 4..16, 4..16]).fill(1);
    /// found.slice_mut(s![3, 4..16, 4..16]).fill(1);
    /// let (truth, found) =
    ///     (Mask { labels: truth.view(), id: 1 }, Mask { labels: found.view(), id: 1 });
    /// let within = truth.extent().zip(found.extent()).map(|(a, b)| a.union(&b)).expect("two masks");
    /// let apart = SurfelDistances::new(truth, found, within, [5.0, 0.7, 0.7]).expect("two surfaces");
    /// assert!((apart.hausdorff_mm(100.0) - 5.0).abs() < 1e-9);
    /// assert_eq!(apart.nsd(5.0), 1.0); // all of both surfaces lies within 5 mm of the other
    /// ```
    #[must_use]
    pub fn new(
        reference: Mask,
        predicted: Mask,
        within: Extent,
        spacing_zyx_mm: [f64; 3],
    ) -> Option<Self> {
        let areas = surfel_areas_mm2(spacing_zyx_mm);
        let reference = Surface::new(reference, within, spacing_zyx_mm);
        let predicted = Surface::new(predicted, within, spacing_zyx_mm);
        if reference.points.is_empty() || predicted.points.is_empty() {
            return None;
        }
        let directed = |from: &Surface, to: &Surface| Directed {
            distance_mm: to.transform.at(&from.points),
            area_mm2: from.codes.iter().map(|&code| areas[usize::from(code)]).collect(),
        };
        Some(Self {
            reference_to_predicted: directed(&reference, &predicted),
            predicted_to_reference: directed(&predicted, &reference),
        })
    }

    /// Normalised surface Dice: share of both surfaces' area that lies within `tolerance_mm` of the
    /// other surface.
    #[must_use]
    pub fn nsd(&self, tolerance_mm: f64) -> f64 {
        let (a, b) = (&self.reference_to_predicted, &self.predicted_to_reference);
        (a.area_within(tolerance_mm) + b.area_within(tolerance_mm))
            / (a.total_area() + b.total_area())
    }

    /// Larger of the two area-weighted percentiles (95 gives HD95, 100 the Hausdorff distance), mm.
    #[must_use]
    pub fn hausdorff_mm(&self, percent: f64) -> f64 {
        self.reference_to_predicted
            .percentile_mm(percent)
            .max(self.predicted_to_reference.percentile_mm(percent))
    }

    /// Area-weighted mean distances `[ground truth → prediction, prediction → ground truth]`, mm.
    #[must_use]
    pub fn average_mm(&self) -> [f64; 2] {
        [self.reference_to_predicted.mean_mm(), self.predicted_to_reference.mean_mm()]
    }
}

impl Directed {
    fn total_area(&self) -> f64 {
        self.area_mm2.iter().sum()
    }

    fn pairs(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        self.distance_mm.iter().copied().zip(self.area_mm2.iter().copied())
    }

    fn area_within(&self, tolerance_mm: f64) -> f64 {
        self.pairs().filter(|(distance, _)| *distance <= tolerance_mm).map(|(_, area)| area).sum()
    }

    fn mean_mm(&self) -> f64 {
        self.pairs().map(|(distance, area)| distance * area).sum::<f64>() / self.total_area()
    }

    /// Distance at which the elements, ordered by distance, first hold `percent` of the area.
    fn percentile_mm(&self, percent: f64) -> f64 {
        if percent >= 100.0 {
            return self.distance_mm.iter().copied().fold(0.0, f64::max);
        }
        // Distances are not negative, so their bits order like their values.
        let mut sorted: Vec<(u64, u64)> =
            self.pairs().map(|(distance, area)| (distance.to_bits(), area.to_bits())).collect();
        sorted.sort_unstable();
        let (total, mut held) = (self.total_area(), 0.0);
        for (distance, area) in &sorted {
            held += f64::from_bits(*area);
            if held / total >= percent / 100.0 {
                return f64::from_bits(*distance);
            }
        }
        sorted.last().map_or(f64::INFINITY, |last| f64::from_bits(last.0))
    }
}

/// The surface elements of one mask, on the dual grid of a box: one larger along each axis.
struct Surface {
    points: Vec<usize>,
    codes: Vec<u8>,
    transform: DistanceTransform,
}

impl Surface {
    fn new(mask: Mask, within: Extent, spacing_zyx_mm: [f64; 3]) -> Self {
        let size = within.size();
        let dual = size.map(|n| n + 1);
        let area = dual[1] * dual[2];
        let (mut above, mut here) = (PairPlane::new(size), PairPlane::new(size));
        let (mut points, mut codes) = (Vec::new(), Vec::new());
        let mut code_plane = vec![0u8; area];
        let transform = DistanceTransform::new(dual, spacing_zyx_mm, |z, plane| {
            std::mem::swap(&mut above, &mut here);
            here.load(mask, within, z);
            for y in 0..dual[1] {
                neighbourhood_codes(
                    above.rows(y),
                    here.rows(y),
                    &mut code_plane[y * dual[2]..][..dual[2]],
                );
            }
            for (member, &code) in plane.iter_mut().zip(&code_plane) {
                *member = u8::from(code.wrapping_add(1) > 1); // neither 0 (outside) nor 255 (inside)
            }
            collect_marked(plane, |at| {
                points.push(z * area + at);
                codes.push(code_plane[at]);
            });
        });
        Self { points, codes, transform }
    }
}

/// One slice of a mask as pairs: bit 1 says whether voxel `x − 1` is inside, bit 0 whether voxel
/// `x` is.
struct PairPlane {
    /// Rows −1 ..= height, of which the first and the last stay 0, each `width + 1` long.
    pairs: Vec<u8>,
    row: Vec<u8>,
    size: [usize; 3],
}

impl PairPlane {
    fn new(size: [usize; 3]) -> Self {
        Self { pairs: vec![0; (size[1] + 2) * (size[2] + 1)], row: vec![0; size[2] + 2], size }
    }

    /// Takes slice `z` of the box; the slice after the last is empty.
    fn load(&mut self, mask: Mask, within: Extent, z: usize) {
        let [depth, height, width] = self.size;
        if z == depth {
            self.pairs.fill(0);
            return;
        }
        for y in 0..height {
            mask.copy_row(
                within.start[0] + z,
                within.start[1] + y,
                within.start[2],
                &mut self.row[1..=width],
            );
            let pairs = &mut self.pairs[(y + 1) * (width + 1)..][..=width];
            for ((pair, left), right) in pairs.iter_mut().zip(&self.row).zip(&self.row[1..]) {
                *pair = left << 1 | right;
            }
        }
    }

    /// Rows `y − 1` and `y` of the mask.
    fn rows(&self, y: usize) -> (&[u8], &[u8]) {
        let length = self.size[2] + 1;
        let (upper, lower) = self.pairs[y * length..][..2 * length].split_at(length);
        (upper, lower)
    }
}

/// One bit for each voxel of the neighbourhood, `(z − 1, y − 1, x − 1)` first and highest, `(z, y,
/// x)` last.
fn neighbourhood_codes(above: (&[u8], &[u8]), here: (&[u8], &[u8]), codes: &mut [u8]) {
    let rows = above.0.iter().zip(above.1).zip(here.0.iter().zip(here.1));
    for (code, ((a, b), (c, d))) in codes.iter_mut().zip(rows) {
        *code = a << 6 | b << 4 | c << 2 | d;
    }
}
