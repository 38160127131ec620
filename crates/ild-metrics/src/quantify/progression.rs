//! Two dates of one patient: what changed, and whether that is more than the model's own error.
//!
//! Nothing is registered: volumes and shares of lung regions are compared, not voxels. The lung is
//! larger in a deeper breath, so both lung volumes stand beside every share.

use serde::Serialize;

use super::{
    ClassVolume, INTENDED_USE, Quantification, QuantifyInput, RegionVolumes, VolumeErrors,
};

/// Lungs that differ by more than this, percent of the earlier one, were not filled alike.
const OTHER_BREATH_PERCENT: f64 = 10.0;

/// What changed between two dates.
#[derive(Clone, Debug, Serialize)]
pub struct Progression {
    /// What this is for, and what not.
    pub intended_use: &'static str,
    /// The lungs of both dates.
    pub lung: Option<LungChange>,
    /// Each class.
    pub classes: Vec<ClassChange>,
    /// All classes together.
    pub total: ClassChange,
    /// What uncertainties were taken from.
    pub errors: Option<VolumeErrors>,
    /// What must not be overlooked, one sentence each.
    pub notices: Vec<String>,
    /// The earlier date.
    pub baseline: Quantification,
    /// The later date.
    pub followup: Quantification,
}

/// Both lungs at both dates.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LungChange {
    /// Earlier, mL.
    pub baseline_ml: f64,
    /// Later, mL.
    pub followup_ml: f64,
    /// Of the earlier, percent.
    pub change_percent: f64,
}

/// One class at both dates.
#[derive(Clone, Debug, Serialize)]
pub struct ClassChange {
    /// Label id; 0 for all classes together.
    pub label: u8,
    /// Name.
    pub name: String,
    /// Earlier, mL.
    pub baseline_ml: f64,
    /// Later, mL.
    pub followup_ml: f64,
    /// Later − earlier, mL.
    pub change_ml: f64,
    /// Half the width of the 95 % interval of the model's error of that, mL.
    pub uncertainty_ml: Option<f64>,
    /// Whether the change is larger than that.
    pub beyond_error: Option<bool>,
    /// Share of the lung, percent, earlier.
    pub baseline_percent: Option<f64>,
    /// And later.
    pub followup_percent: Option<f64>,
    /// Later − earlier, percentage points.
    pub change_points: Option<f64>,
    /// The uncertainty as percentage points of the mean lung.
    pub uncertainty_points: Option<f64>,
    /// Later − earlier inside the lung, mL, by region.
    pub regions_ml: Option<RegionVolumes>,
    /// Later − earlier, percentage points of the lung in each region.
    pub regions_points: Option<RegionVolumes>,
}

impl Progression {
    /// Compares the earlier with the later date.
    #[must_use]
    pub fn new(inputs: &[QuantifyInput; 2], errors: Option<VolumeErrors>) -> Self {
        let [baseline, followup] = inputs.each_ref().map(|input| {
            Quantification::new(&input.case, &input.map, &input.table, input.lung.as_ref())
        });
        let lungs = baseline.lung.as_ref().zip(followup.lung.as_ref());
        let lung =
            lungs.map(|(before, after)| LungChange::new(before.regions.whole, after.regions.whole));
        let change = |before: &ClassVolume, after: &ClassVolume| {
            ClassChange::new(before, after, lung, errors.as_ref())
        };
        let pairs = baseline.classes.iter().filter_map(|before| {
            let after = followup.classes.iter().find(|after| after.label == before.label)?;
            Some((before, after))
        });
        let mut classes: Vec<ClassChange> = pairs.map(|(a, b)| change(a, b)).collect();
        let only_later = followup
            .classes
            .iter()
            .filter(|after| baseline.classes.iter().all(|before| before.label != after.label));
        let none = |after: &ClassVolume| ClassVolume {
            volume_ml: 0.0,
            outside_lung_ml: after.outside_lung_ml.map(|_| 0.0),
            regions: after.regions.map(|_| RegionVolumes::default()),
            percent_of_lung: after.percent_of_lung.map(|_| RegionVolumes::default()),
            ..after.clone()
        };
        let new: Vec<ClassChange> = only_later.map(|after| change(&none(after), after)).collect();
        classes.extend(new);
        let only_earlier = baseline
            .classes
            .iter()
            .filter(|before| followup.classes.iter().all(|after| after.label != before.label));
        let gone: Vec<ClassChange> =
            only_earlier.map(|before| change(before, &none(before))).collect();
        classes.extend(gone);
        classes.sort_by_key(|class| class.label);
        let total = change(&baseline.total, &followup.total);
        let mut found = Self {
            intended_use: INTENDED_USE,
            notices: Vec::new(),
            lung,
            classes,
            total,
            errors,
            baseline,
            followup,
        };
        found.notices = found.all_notices();
        found
    }

    /// Every class and then all together.
    pub fn rows(&self) -> impl Iterator<Item = &ClassChange> {
        self.classes.iter().chain([&self.total])
    }

    fn all_notices(&self) -> Vec<String> {
        let mut out = Vec::new();
        match self.lung {
            None => out.push(
                "One date has neither lung mask nor CT: shares of the lung and regions cannot be \
                 compared (--ct and --followup-ct, or --lung and --followup-lung)."
                    .to_owned(),
            ),
            Some(lung) if lung.change_percent.abs() > OTHER_BREATH_PERCENT => out.push(format!(
                "The later lung is {:.0} % {} than the earlier one ({:.0} and {:.0} mL): another \
                 depth of breath changes density, volumes and shares without any change of disease.",
                lung.change_percent.abs(),
                if lung.change_percent > 0.0 { "larger" } else { "smaller" },
                lung.baseline_ml,
                lung.followup_ml
            )),
            Some(_) => {}
        }
        for (date, found) in [("earlier", &self.baseline), ("later", &self.followup)] {
            let problems = found.lung.iter().flat_map(|lung| &lung.problems);
            out.extend(
                problems.map(|problem| format!("The {date} lung mask may be wrong: {problem}.")),
            );
            let notes = found.header_notes.iter();
            out.extend(notes.map(|note| format!("The {date} mask's header: {note}.")));
        }
        let [a, b] = [&self.baseline, &self.followup].map(|found| found.voxel_ml);
        if a.max(b) > 2.0 * a.min(b) {
            out.push(format!(
                "Voxels of {a:.5} and {b:.5} mL: thick slices blur small lesions, so the two dates \
                 were not seen alike."
            ));
        }
        if let Some(errors) = &self.errors {
            let unknown: Vec<&str> = self
                .classes
                .iter()
                .filter(|class| class.uncertainty_ml.is_none())
                .filter(|class| class.baseline_ml + class.followup_ml > 0.0)
                .map(|class| class.name.as_str())
                .collect();
            if !unknown.is_empty() {
                out.push(format!(
                    "{} has too few cases of {} to say how far their volumes are off.",
                    errors.from.display(),
                    unknown.join(", ")
                ));
            }
        }
        out
    }
}

impl LungChange {
    fn new(baseline_ml: f64, followup_ml: f64) -> Self {
        let change_percent =
            if baseline_ml > 0.0 { 100.0 * (followup_ml - baseline_ml) / baseline_ml } else { 0.0 };
        Self { baseline_ml, followup_ml, change_percent }
    }
}

impl ClassChange {
    fn new(
        before: &ClassVolume,
        after: &ClassVolume,
        lung: Option<LungChange>,
        errors: Option<&VolumeErrors>,
    ) -> Self {
        let change_ml = after.volume_ml - before.volume_ml;
        let uncertainty_ml =
            errors.and_then(|e| e.of_change(&before.name, before.volume_ml, after.volume_ml));
        let difference = |a: Option<RegionVolumes>, b: Option<RegionVolumes>| {
            Some(RegionVolumes::difference(&b?, &a?)).filter(|_| lung.is_some())
        };
        let regions_points = difference(before.percent_of_lung, after.percent_of_lung);
        let share = |class: &ClassVolume| class.percent_of_lung.map(|p| p.whole);
        Self {
            label: before.label,
            name: before.name.clone(),
            baseline_ml: before.volume_ml,
            followup_ml: after.volume_ml,
            change_ml,
            uncertainty_ml,
            beyond_error: uncertainty_ml.map(|ml| change_ml.abs() > ml),
            baseline_percent: share(before),
            followup_percent: share(after),
            change_points: regions_points.map(|points| points.whole),
            uncertainty_points: uncertainty_ml.zip(lung).map(|(ml, lung)| {
                100.0 * ml / (0.5 * (lung.baseline_ml + lung.followup_ml)).max(f64::MIN_POSITIVE)
            }),
            regions_ml: difference(before.regions, after.regions),
            regions_points,
        }
    }
}
