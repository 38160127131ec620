//! Lesions without a prompt, from a finder that is made up: what it says slice by slice becomes
//! named lesions in 3-D.

use ild_infer::Result;
use ild_infer::coordinates::StackIndex;
use ild_infer::find::evidence::Heights;
use ild_infer::find::{Evidence, FindSettings, Found, LesionFinder, Place, SliceLesions, find};
use ndarray::{Array2, Array3, s};

const SLICES: usize = 12;
const SIZE: usize = 64;
const CLASSES: [u8; 2] = [3, 7];
const RULES: FindSettings = FindSettings {
    high: 0.6,
    low: 0.5,
    smallest_ml: 0.3,
    part_ml: 1.0,
    class_ml: 0.0,
    presence: 0.5,
};

/// A ball of class 7 on slices 3 to 8, and on slice `flicker` a patch that its neighbours know
/// nothing of. Maps are half as fine as the slices.
struct Ball {
    flicker: Option<usize>,
}

impl LesionFinder for Ball {
    fn classes(&self) -> &[u8] {
        &CLASSES
    }

    fn look(&mut self, take: &mut dyn FnMut(StackIndex, SliceLesions) -> Result<()>) -> Result<()> {
        for z in 0..SLICES {
            let radius2 = 80.0 - 12.0 * (z as f32 - 5.5).powi(2);
            let mut lesion = Array2::from_shape_fn((SIZE / 2, SIZE / 2), |(y, x)| {
                let r2 = (y as f32 - 12.0).powi(2) + (x as f32 - 12.0).powi(2);
                if r2 < radius2 { 0.95 } else { 0.02 }
            });
            if self.flicker == Some(z) {
                lesion.slice_mut(s![24..29, 24..29]).fill(0.9);
            }
            let mut class = Array3::from_elem((2, SIZE / 2, SIZE / 2), 0.2);
            class.slice_mut(s![1, .., ..]).fill(0.8);
            take(
                StackIndex(z),
                SliceLesions { lesion, class, gate: 1.0, present: vec![0.1, 0.9], range: None },
            )?;
        }
        Ok(())
    }
}

fn found(finder: &mut dyn LesionFinder, step_mm: f64, lung: &Array3<bool>) -> Found {
    let mut evidence = Evidence::collect(finder, SLICES).unwrap();
    let heights =
        Heights { z_mm: (0..SLICES).map(|z| z as f64 * step_mm).collect(), breaks: vec![] };
    evidence.smooth(&heights, 2.0);
    assert_eq!(evidence.presence(), [0.1, 0.9]);
    find(&evidence, &Place { lung, breaks: &[], voxel_ml: 0.001 * step_mm }, &RULES)
}

fn everywhere() -> Array3<bool> {
    Array3::from_elem((SLICES, SIZE, SIZE), true)
}

#[test]
fn a_ball_on_six_slices_is_one_lesion_with_its_name_and_its_size() {
    let found = found(&mut Ball { flicker: None }, 2.5, &everywhere());
    assert_eq!(found.lesions.len(), 1, "{:?}", found.rejected);
    let lesion = &found.lesions[0];
    assert_eq!(lesion.label, 7);
    assert_eq!(lesion.confidence, 1.0, "the only class that is present");
    let span = lesion.piece.span();
    assert_eq!((span.first, span.last), (StackIndex(3), StackIndex(8)));
    let truth: f32 = (3..9).map(|z| 80.0 - 12.0 * (z as f32 - 5.5).powi(2)).sum();
    let expected = std::f32::consts::PI * truth * 4.0; // maps are half as fine
    let share = lesion.piece.voxels as f32 / expected;
    assert!((0.9..1.1).contains(&share), "{share} of the ball");
}

#[test]
fn what_one_thin_slice_shows_and_its_neighbours_do_not_is_smoothed_away() {
    let thin = found(&mut Ball { flicker: Some(10) }, 1.0, &everywhere());
    assert_eq!(thin.lesions.len(), 1);
    let thick = found(&mut Ball { flicker: Some(10) }, 10.0, &everywhere());
    assert_eq!(thick.lesions.len(), 2, "slices 10 mm apart know nothing of one another");
}

#[test]
fn without_lung_there_is_no_lesion_and_the_reason_is_told() {
    let nowhere = Array3::from_elem((SLICES, SIZE, SIZE), false);
    let found = found(&mut Ball { flicker: None }, 2.5, &nowhere);
    assert!(found.lesions.is_empty() && found.labels.iter().all(|&id| id == 0));
    assert_eq!(found.rejected[0].why, "outside the lung");
}
