//! Which values are tried of each rule.

use std::collections::BTreeMap;

use ild_infer::find::FindSettings;

/// One rule: the flag of `ild-infer` that it is, the values tried, and where among them the default
/// stands.
pub struct Rule {
    pub flag: &'static str,
    pub values: &'static [f64],
    pub default: usize,
}

/// In the order in which they are tried: first what decides about most voxels.
pub const RULES: [Rule; 6] = [
    Rule { flag: "auto-low", values: &[0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6], default: 3 },
    Rule { flag: "auto-high", values: &[0.45, 0.5, 0.55, 0.6, 0.7, 0.8, 0.9], default: 3 },
    Rule { flag: "auto-presence", values: &[0.2, 0.3, 0.4, 0.5, 0.6, 0.7], default: 3 },
    Rule { flag: "auto-class-ml", values: &[0.0, 3.0, 10.0, 20.0, 40.0], default: 2 },
    Rule { flag: "auto-part-ml", values: &[2.0, 4.0, 8.0, 15.0, 25.0], default: 2 },
    Rule { flag: "auto-smallest-ml", values: &[0.1, 0.3, 1.0, 3.0], default: 1 },
];

/// One value of each rule.
pub type Point = [usize; RULES.len()];

/// The defaults.
pub const DEFAULT: Point = {
    let mut point = [0; RULES.len()];
    let mut i = 0;
    while i < RULES.len() {
        point[i] = RULES[i].default;
        i += 1;
    }
    point
};

/// The rules at `point`; `None` where they contradict one another.
pub fn rules(point: Point) -> Option<FindSettings> {
    let value = |i: usize| RULES[i].values[point[i]];
    let [low, high] = [value(0), value(1)];
    (low <= high).then(|| FindSettings {
        low: low as f32,
        high: high as f32,
        presence: value(2) as f32,
        class_ml: value(3),
        part_ml: value(4),
        smallest_ml: value(5),
    })
}

/// All values, by flag.
pub fn grid() -> BTreeMap<String, Vec<f64>> {
    RULES.iter().map(|rule| (rule.flag.to_owned(), rule.values.to_vec())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_point_is_the_programs_default() {
        assert_eq!(rules(DEFAULT), Some(FindSettings::default()));
    }

    #[test]
    fn a_sure_voxel_is_never_less_sure_than_the_others() {
        let mut point = DEFAULT;
        (point[0], point[1]) = (6, 0);
        assert_eq!(rules(point), None);
    }
}
