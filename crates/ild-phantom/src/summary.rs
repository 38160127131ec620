//! What a cohort holds: counted from the label maps, not from what was intended.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use ild_io::{BoundingBox, LabelMap, LabelTable};

/// One case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaseSummary {
    /// Name without suffixes.
    pub case: String,
    /// Voxels along z, y, x.
    pub shape_zyx: [usize; 3],
    /// Distance between voxels, mm.
    pub spacing_xyz_mm: [f64; 3],
    /// Where the voxel axes point, e.g. `LPS`.
    pub axis_codes: String,
    /// Whether the voxel axes are tilted against the patient's.
    pub oblique: bool,
    /// Slices with an outline, by index.
    pub outlined_slices: Vec<usize>,
    /// Outlined slices that hold more than one class.
    pub mixed_slices: usize,
    /// By label id.
    pub classes: BTreeMap<u8, ClassSummary>,
    /// All disease, outlined or not, mL by label id.
    #[serde(default)]
    pub truth_ml: BTreeMap<u8, f64>,
}

/// One class, in a case or in all of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClassSummary {
    /// Patients who have it.
    pub patients: usize,
    /// Outlined slices that show it.
    pub slices: usize,
    /// Of these, slices that show nothing else.
    pub single_class_slices: usize,
    /// Outlined voxels.
    pub voxels: usize,
    /// Outlined volume, mL.
    pub volume_ml: f64,
    /// Sum over slices of the share of its bounding box that the outline fills; divide by `slices`
    /// for the mean.
    pub box_fill_sum: f64,
}

impl ClassSummary {
    /// Mean share of the slice's bounding box that the outline fills.
    #[must_use]
    pub fn mean_box_fill(&self) -> f64 {
        self.box_fill_sum / self.slices.max(1) as f64
    }

    fn add(&mut self, other: &Self) {
        self.patients += other.patients;
        self.slices += other.slices;
        self.single_class_slices += other.single_class_slices;
        self.voxels += other.voxels;
        self.volume_ml += other.volume_ml;
        self.box_fill_sum += other.box_fill_sum;
    }
}

impl CaseSummary {
    /// Counts what was outlined in `map`, and all disease in `truth`.
    #[must_use]
    pub fn of(case: &str, map: &LabelMap, truth: &LabelMap) -> Self {
        let geometry = &map.geometry;
        let mut classes: BTreeMap<u8, ClassSummary> = BTreeMap::new();
        let (mut outlined_slices, mut mixed_slices) = (Vec::new(), 0);
        for (z, slice) in map.labels.outer_iter().enumerate() {
            let mut counts = [0usize; 256];
            slice.iter().for_each(|&label| counts[usize::from(label)] += 1);
            let present: Vec<u8> = (1..=255).filter(|&id| counts[usize::from(id)] > 0).collect();
            if present.is_empty() {
                continue;
            }
            outlined_slices.push(z);
            mixed_slices += usize::from(present.len() > 1);
            for &id in &present {
                let voxels = counts[usize::from(id)];
                let area = BoundingBox::around(slice, |label| label == id)
                    .map_or(0, |b| (b.x1 - b.x0) * (b.y1 - b.y0));
                let class = classes.entry(id).or_default();
                class.patients = 1;
                class.slices += 1;
                class.single_class_slices += usize::from(present.len() == 1);
                class.voxels += voxels;
                class.volume_ml += voxels as f64 * geometry.voxel_volume_ml();
                class.box_fill_sum += voxels as f64 / area.max(1) as f64;
            }
        }
        let off_axis = |column: usize| {
            (0..3).filter(|&row| geometry.affine.0[row][column].abs() > 1e-6).count() > 1
        };
        Self {
            case: case.to_owned(),
            shape_zyx: geometry.shape_zyx,
            spacing_xyz_mm: geometry.spacing_xyz_mm,
            axis_codes: geometry.affine.axis_codes(),
            oblique: (0..3).any(off_axis),
            outlined_slices,
            mixed_slices,
            classes,
            truth_ml: volumes_ml(truth),
        }
    }

    /// Un-outlined slices between outlined ones, one number per gap.
    pub fn gaps(&self) -> impl Iterator<Item = usize> + '_ {
        self.outlined_slices.windows(2).map(|pair| pair[1] - pair[0] - 1).filter(|&gap| gap > 0)
    }
}

/// mL of each label id but 0.
fn volumes_ml(map: &LabelMap) -> BTreeMap<u8, f64> {
    let mut counts = [0usize; 256];
    map.labels.iter().for_each(|&label| counts[usize::from(label)] += 1);
    let voxel_ml = map.geometry.voxel_volume_ml();
    let present = (1..=255u8).filter(|&id| counts[usize::from(id)] > 0);
    present.map(|id| (id, counts[usize::from(id)] as f64 * voxel_ml)).collect()
}

/// All cases.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cohort {
    /// Patients with disease, in order of name. Every share below is of them.
    pub cases: Vec<CaseSummary>,
    /// Patients without.
    #[serde(default)]
    pub healthy: Vec<CaseSummary>,
}

impl Cohort {
    /// Sums over cases, by label id.
    #[must_use]
    pub fn classes(&self) -> BTreeMap<u8, ClassSummary> {
        let mut sums: BTreeMap<u8, ClassSummary> = BTreeMap::new();
        for (&id, class) in self.cases.iter().flat_map(|case| &case.classes) {
            sums.entry(id).or_default().add(class);
        }
        sums
    }

    /// Share of outlined slices that hold a single class; `None` without outlined slices.
    #[must_use]
    pub fn single_class_share(&self) -> Option<f64> {
        let outlined: usize = self.cases.iter().map(|case| case.outlined_slices.len()).sum();
        let mixed: usize = self.cases.iter().map(|case| case.mixed_slices).sum();
        (outlined > 0).then(|| 1.0 - mixed as f64 / outlined as f64)
    }

    /// Share of all slices that are outlined; `None` without slices.
    #[must_use]
    pub fn outlined_share(&self) -> Option<f64> {
        let slices: usize = self.cases.iter().map(|case| case.shape_zyx[0]).sum();
        let outlined: usize = self.cases.iter().map(|case| case.outlined_slices.len()).sum();
        (slices > 0).then(|| outlined as f64 / slices as f64)
    }

    /// Median number of slices between outlined ones; `None` when there is no gap.
    #[must_use]
    pub fn median_gap(&self) -> Option<usize> {
        let mut gaps: Vec<usize> = self.cases.iter().flat_map(CaseSummary::gaps).collect();
        gaps.sort_unstable();
        gaps.get(gaps.len() / 2).copied()
    }

    /// The table printed at the end of a run.
    #[must_use]
    pub fn table(&self, names: &LabelTable) -> String {
        let mut table = ild_cli::table([
            "class",
            "patients",
            "% of patients",
            "slices",
            "alone in slice",
            "voxels",
            "mL",
            "fills of its box",
        ]);
        let percent = |part: usize, whole: usize| {
            format!("{:.0} %", 100.0 * part as f64 / whole.max(1) as f64)
        };
        for (id, class) in self.classes() {
            table.add_row([
                format!("{id} {}", names.name(id)),
                class.patients.to_string(),
                percent(class.patients, self.cases.len()),
                class.slices.to_string(),
                percent(class.single_class_slices, class.slices),
                class.voxels.to_string(),
                format!("{:.0}", class.volume_ml),
                format!("{:.0} %", 100.0 * class.mean_box_fill()),
            ]);
        }
        let share =
            |value: Option<f64>| value.map_or("none".to_owned(), |v| format!("{:.0} %", 100.0 * v));
        let gap = self.median_gap().map_or("none".to_owned(), |gap| format!("{gap} slices"));
        let healthy = match self.healthy.len() {
            0 => String::new(),
            n => format!("\n{n} healthy patients besides"),
        };
        format!(
            "{table}\n{} cases · {} of slices outlined · {} of these hold one class · median gap {gap}{healthy}",
            self.cases.len(),
            share(self.outlined_share()),
            share(self.single_class_share()),
        )
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, s};

    use super::*;
    use ild_io::{Affine, Geometry};

    #[test]
    fn slices_classes_gaps_and_box_fill_are_counted() {
        let mut labels = Array3::<u8>::zeros((8, 10, 10));
        labels.slice_mut(s![1..3, 2..4, 2..6]).fill(1);
        labels[[2, 9, 9]] = 4;
        labels.slice_mut(s![6, 0..5, 0]).fill(1);
        labels[[6, 0, 4]] = 1;
        let geometry = Geometry::new([8, 10, 10], Affine::from_spacing_xyz_mm([1.0, 1.0, 5.0]));
        let mut truth = LabelMap { labels: labels.clone(), geometry: geometry.clone() };
        truth.labels.slice_mut(s![3, 0..10, 0..10]).fill(1);
        let case = CaseSummary::of("a", &LabelMap { labels, geometry }, &truth);
        assert_eq!(case.outlined_slices, [1, 2, 6]);
        assert_eq!(case.gaps().collect::<Vec<_>>(), [3]);
        assert_eq!(case.mixed_slices, 1);
        assert!((case.truth_ml[&1] - 122.0 * 0.005).abs() < 1e-12);
        let cohort = Cohort { cases: vec![case], healthy: Vec::new() };
        let one = &cohort.classes()[&1];
        assert_eq!((one.patients, one.slices, one.single_class_slices, one.voxels), (1, 3, 2, 22));
        assert!((one.volume_ml - 0.11).abs() < 1e-12);
        assert!((one.box_fill_sum - (1.0 + 1.0 + 6.0 / 25.0)).abs() < 1e-12);
        assert_eq!(cohort.single_class_share(), Some(1.0 - 1.0 / 3.0));
    }
}
