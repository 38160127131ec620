//! Which slices the radiologist outlined: a tenth to a quarter of them, in short runs with gaps between.

use super::draws::Draws;

/// Share of all slices that get outlined.
const SHARE: [f32; 2] = [0.10, 0.25];
/// Lengths of a run of outlined slices, drawn with equal chance.
const RUNS: [usize; 5] = [1, 2, 2, 2, 3];

/// `true` for outlined slices. `diseased` says which slices show any disease; only those can be outlined.
///
/// The gap follows from the share: about five slices at the median, as in the cohort that this imitates.
pub(crate) fn outlined(diseased: &[bool], draws: &mut Draws) -> Vec<bool> {
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
            let chosen = outlined(&diseased, &mut Draws::new(9, stream));
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
}
