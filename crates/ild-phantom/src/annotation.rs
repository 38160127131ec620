//! Which slices the radiologist outlined: a tenth to a quarter of them, in short runs with gaps
//! between.

use crate::cohort::CLASSES;
use crate::draws::Draws;

/// Pixels of label ids 1 to 5 in a slice.
pub(crate) type Areas = [usize; CLASSES];

/// Share of all slices that get outlined.
const SHARE: [f32; 2] = [0.10, 0.25];
/// Lengths of a run of outlined slices, drawn with equal chance.
const RUNS: [usize; 5] = [1, 2, 2, 2, 3];

/// `true` for outlined slices. `areas` holds the pixels of each label id in each slice; only slices
/// with disease can be outlined, and every class that is there is outlined somewhere.
///
/// The gap follows from the share: about five slices at the median, as in the cohort that this
/// imitates.
pub(crate) fn outlined(areas: &[Areas], draws: &mut Draws) -> Vec<bool> {
    let diseased: Vec<bool> =
        areas.iter().map(|areas| areas.iter().any(|&area| area > 0)).collect();
    let mut chosen = runs(&diseased, draws);
    for class in 0..CLASSES {
        let missed = !areas.iter().zip(&chosen).any(|(areas, &chosen)| chosen && areas[class] > 0);
        let largest = (0..areas.len()).max_by_key(|&z| areas[z][class]);
        if let Some(z) = largest.filter(|&z| missed && areas[z][class] > 0) {
            chosen[z] = true;
        }
    }
    chosen
}

/// Short runs with gaps between.
fn runs(diseased: &[bool], draws: &mut Draws) -> Vec<bool> {
    let mut chosen = vec![false; diseased.len()];
    let available = diseased.iter().filter(|&&is| is).count();
    let wanted = draws.uniform(SHARE[0], SHARE[1]) * diseased.len() as f32;
    if available == 0 {
        return chosen;
    }
    let duty = (wanted / available as f32).clamp(0.05, 0.8);
    let mean_run = RUNS.iter().sum::<usize>() as f32 / RUNS.len() as f32;
    let gap = mean_run * (1.0 - duty) / duty;
    let candidates: Vec<usize> = (0..diseased.len()).filter(|&z| diseased[z]).collect();
    let mut at = draws.uniform(0.0, gap.min(available as f32 / 2.0)) as usize;
    while at < candidates.len() {
        let run = RUNS[draws.below(RUNS.len())];
        for &z in candidates.iter().skip(at).take(run) {
            chosen[z] = true;
        }
        at += run + draws.uniform(0.6 * gap + 0.5, 1.4 * gap + 0.5).max(1.0) as usize;
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_to_a_quarter_of_the_slices_with_a_median_gap_of_five() {
        let diseased: Vec<bool> = (0..200).map(|z| (30..160).contains(&z)).collect();
        let (mut shares, mut gaps) = (Vec::new(), Vec::new());
        for stream in 0..200 {
            let chosen = runs(&diseased, &mut Draws::new(9, stream));
            assert!(chosen.iter().zip(&diseased).all(|(&outlined, &is)| is || !outlined));
            shares.push(chosen.iter().filter(|&&c| c).count() as f64 / 200.0);
            let at: Vec<usize> = (0..200).filter(|&z| chosen[z]).collect();
            gaps.extend(at.windows(2).map(|pair| pair[1] - pair[0] - 1).filter(|&gap| gap > 0));
        }
        let within = shares.iter().filter(|share| (0.09..=0.27).contains(*share)).count();
        assert!(within >= 190, "{within} of 200 patients");
        gaps.sort_unstable();
        assert!((4..=6).contains(&gaps[gaps.len() / 2]), "{}", gaps[gaps.len() / 2]);
    }

    #[test]
    fn a_class_in_few_slices_is_not_forgotten() {
        let areas: Vec<Areas> = (0..60)
            .map(|z| {
                [
                    usize::from(z > 20) * 500,
                    0,
                    0,
                    0,
                    if z == 20 { 300 } else { usize::from(z == 19) },
                ]
            })
            .collect();
        for stream in 0..50 {
            let chosen = outlined(&areas, &mut Draws::new(1, stream));
            assert!(chosen[20] || chosen[19]);
        }
    }
}
