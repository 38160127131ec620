//! The sentences of the report.

use std::collections::BTreeMap;

use crate::cohort::{Cohort, Outcome, Role};
use crate::tables::printed::{interval, score};
use crate::{Comparison, Evaluation, METRICS, PATIENTS_FOR_A_CLAIM, Paired, Provenance, metric};

/// Below this a sign test counts as agreeing with an interval of 95 %.
const SIGN_TEST_LEVEL: f64 = 0.05;
/// How many names a notice lists.
const SHOWN: usize = 6;

pub(super) fn subtitle(cohort: &Cohort) -> String {
    let cases = cohort.systems[0].cases.len();
    let slices: usize = cohort.systems[0].cases.iter().map(|case| case.scores.slices.len()).sum();
    format!(
        "{}, {} of ground truth, {}",
        count(cases, "case"),
        count(slices, "annotated slice"),
        count(cohort.classes.len(), "class")
    )
}

fn count(n: usize, thing: &str) -> String {
    match (n, thing) {
        (1, _) => format!("1 {thing}"),
        (_, "class") => format!("{n} classes"),
        _ => format!("{n} {thing}s"),
    }
}

/// The result in plain words.
pub(super) fn lead(
    cohort: &Cohort,
    comparisons: &[Comparison],
    provenance: &Provenance,
) -> Vec<String> {
    let system = &cohort.systems[0];
    let headline = cohort.headline(system, metric("dice").unwrap_or(&METRICS[0]));
    let sure = spread(headline.interval, headline.patients);
    let mut out = vec![format!(
        "Masks drawn by “{}” were compared, voxel by voxel, with masks drawn by people. Their overlap, averaged over the lesion classes, is {}{sure} \
         on a scale from 0, nothing in common, to 1, identical. This number is the Dice score, DSC.",
        system.name,
        score(headline.mean)
    )];
    if let Some(automatic) = cohort.with_role(Role::Automatic) {
        out.push(format!(
            "Without any prompt, the program found, named and outlined lesions by itself: “{}” reaches {} by class, and {} when every lesion that was found \
             counts whatever it was called.",
            automatic.name,
            score(cohort.headline(automatic, metric("dice").unwrap_or(&METRICS[0])).mean),
            score(cohort.any_class_dice(automatic).mean)
        ));
    }
    for comparison in comparisons {
        out.extend(compared(cohort, comparison));
    }
    if provenance.prompted_with_ground_truth(&system.name) {
        out.push(
            "The program was told where to start: lesions got boxes taken from the ground truth. So the score says how well lesions are \
             outlined once somebody has pointed at them, not how well they are found."
                .into(),
        );
    }
    out
}

fn compared(cohort: &Cohort, comparison: &Comparison) -> Option<String> {
    let paired = &comparison.over_classes;
    let difference = paired.difference?;
    let baseline = cohort.systems.iter().find(|system| system.name == comparison.baseline)?;
    let other = score(cohort.headline(baseline, metric("dice").unwrap_or(&METRICS[0])).mean);
    let (ends, verdict) = (spread(paired.interval, paired.patients), verdict(paired));
    let direction = if difference >= 0.0 { "higher" } else { "lower" };
    Some(format!(
        "“{}” reaches {other} on the same cases: “{}” is {:.3} {direction}{ends}, and better in {} of {} cases. {verdict}",
        comparison.baseline,
        comparison.system,
        difference.abs(),
        paired.larger,
        paired.n
    ))
}

/// An interval in brackets, where there are patients enough for it to say something; else their
/// number.
fn spread(ends: Option<[f64; 2]>, patients: usize) -> String {
    match ends {
        Some(_) if patients >= PATIENTS_FOR_A_CLAIM => {
            format!(" (95 % interval {}, {patients} patients)", interval(ends))
        }
        _ => format!(" ({})", count(patients, "patient")),
    }
}

/// What a paired difference carries: its interval and the sign test have to agree before anything
/// is said to differ.
fn verdict(paired: &Paired) -> String {
    if paired.patients < PATIENTS_FOR_A_CLAIM {
        return format!(
            "{} cannot show which of the two is better for other patients.",
            count(paired.patients, "patient")
        );
    }
    let Some([low, high]) = paired.interval else {
        return "Without redraws of the patients nothing is said about chance.".into();
    };
    let p = paired.sign_test_p.unwrap_or(1.0);
    match (low > 0.0 || high < 0.0, p < SIGN_TEST_LEVEL) {
        (true, true) => {
            format!(
                "The interval leaves out zero and a sign test agrees (p {p:.3}): chance in the choice of patients hardly explains it."
            )
        }
        (true, false) => format!(
            "The interval leaves out zero, but a sign test (p {p:.3}) does not confirm it: a hint, not a finding."
        ),
        (false, _) => format!(
            "The interval holds zero (sign test p {p:.3}): these cases do not show which is better."
        ),
    }
}

/// What must not be overlooked.
pub(super) fn notices(evaluation: &Evaluation, provenance: &Provenance) -> Vec<String> {
    let mut out = Vec::new();
    for system in &evaluation.cohort.systems {
        for (outcome, words) in
            [("missing", "no prediction"), ("refused", "a prediction that was refused")]
        {
            let cases: Vec<&str> = system
                .cases
                .iter()
                .filter(|c| c.outcome.word() == outcome)
                .map(|c| c.case.as_str())
                .collect();
            if !cases.is_empty() {
                out.push(format!(
                    "{}: {} with {words}, scored as if nothing had been found: {}.",
                    system.name,
                    count(cases.len(), "case"),
                    listed(&cases)
                ));
            }
        }
        for case in &system.cases {
            if let Outcome::Refused(why) = &case.outcome {
                out.push(format!("Refused: {why}"));
            }
        }
    }
    for (path, why) in &evaluation.refused_references {
        out.push(format!(
            "Ground truth that was refused and is in no number: {} ({why})",
            path.display()
        ));
    }
    out.extend(odd_headers(evaluation));
    for (system, cases) in &evaluation.unmatched {
        let cases: Vec<&str> = cases.iter().map(String::as_str).collect();
        out.push(format!(
            "{system}: {} without ground truth, not scored: {}.",
            count(cases.len(), "prediction"),
            listed(&cases)
        ));
    }
    let automatic = evaluation.cohort.with_role(Role::Automatic);
    if let Some(found) = automatic.filter(|s| provenance.prompted_with_ground_truth(&s.name)) {
        out.push(format!(
                "{}: these predictions were said to be made without any prompt, and their own record says that ground truth prompted them. The second \
                 headline is not what it says.",
                found.folder.display()
            ));
    }
    if let Some(whole) = evaluation.whole.as_ref().filter(|whole| !whole.without_truth.is_empty()) {
        let cases: Vec<&str> = whole.without_truth.iter().map(String::as_str).collect();
        out.push(format!(
            "{} without a full truth, in no number of the whole CT: {}.",
            count(cases.len(), "case"),
            listed(&cases)
        ));
    }
    let first = &evaluation.cohort.systems[0];
    let patients =
        evaluation.cohort.headline(first, metric("dice").unwrap_or(&METRICS[0])).patients;
    if patients < PATIENTS_FOR_A_CLAIM {
        out.push(format!(
            "{} can be described, not generalised from: the next patient may look quite different, and an interval from so few is narrower than it should be.",
            count(patients, "patient")
        ));
    }
    if provenance.prompts.get(&first.name).is_some_and(|prompts| prompts.contains_key("not stated"))
    {
        out.push("Some predictions do not say where their prompt came from; if it was ground truth, the scores are better than they would be without.".into());
    }
    out
}

/// Which files had headers that needed a decision; all are in `summary.json`.
fn odd_headers(evaluation: &Evaluation) -> Vec<String> {
    let mut files: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for odd in &evaluation.header_notes {
        let name = odd.file.to_str().unwrap_or("a file");
        for note in &odd.notes {
            files.entry(note.to_string()).or_default().push(name);
        }
    }
    let sentence = |(note, names): (String, Vec<&str>)| {
        format!("Read with a decision: {note} ({}).", listed(&names))
    };
    files.into_iter().map(sentence).collect()
}

fn listed(cases: &[&str]) -> String {
    let more = cases.len().saturating_sub(SHOWN);
    let shown = cases[..cases.len().min(SHOWN)].join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

/// What the numbers do and do not mean.
pub(super) fn meaning(provenance: &Provenance, system: &str) -> Vec<String> {
    let mut out = vec![
        "The numbers say how closely two sets of masks agree on the slices that people annotated in these cases. The interval says how much the mean \
         would move with other patients drawn from the same source; it knows nothing of other scanners, hospitals or annotators, and two people who \
         annotate the same scan do not reach 1 either."
            .to_owned(),
        "They do not say whether a diagnosis is right, whether a lesion was caused by this disease or that, or whether a patient is helped. Slices without \
         labels were not looked at by anybody unless the settings say so: what is predicted there is listed apart and counts neither for nor against. \
         For research; not a medical device."
            .to_owned(),
    ];
    if provenance.prompted_with_ground_truth(system) {
        out.insert(
            1,
            "Start boxes taken from ground truth make every score an upper bound: a class that is not in the scan is never asked for, and the box already \
             gives place and size. Compare with “the box filled in” to see what the model adds to its prompt."
                .into(),
        );
    }
    out
}

/// Settings and versions.
pub(super) fn facts(cohort: &Cohort, provenance: &Provenance) -> Vec<(String, String)> {
    let settings = &provenance.settings;
    let mut out = vec![
        ("Program".to_owned(), provenance.program.clone()),
        ("Ground truth".into(), settings.gt.display().to_string()),
    ];
    for system in &cohort.systems {
        out.push((format!("Predictions: {}", system.name), system.folder.display().to_string()));
        let prompts = provenance.prompts.get(&system.name).into_iter().flatten();
        let prompts: Vec<String> = prompts
            .map(|(prompt, cases)| format!("{prompt} ({})", count(*cases, "case")))
            .collect();
        out.push((
            format!("Prompt: {}", system.name),
            if prompts.is_empty() { "–".into() } else { prompts.join("; ") },
        ));
        if let Some(models) =
            provenance.models.get(&system.name).filter(|models| !models.is_empty())
        {
            out.push((
                format!("Model: {}", system.name),
                models.iter().cloned().collect::<Vec<_>>().join("; "),
            ));
        }
    }
    out.extend([
        ("NSD tolerance".to_owned(), format!("{} mm", settings.nsd_tolerance_mm)),
        (
            "Lesion found when covered by".into(),
            format!("{} % of its voxels", 100.0 * settings.lesion_overlap),
        ),
        ("Annotated slices".into(), format!("{:?}", settings.annotated).to_lowercase()),
        (
            "Intervals".into(),
            format!(
                "bootstrap percentile, {} redraws of the patients, seed {}",
                settings.bootstrap, provenance.seed
            ),
        ),
        ("All settings".into(), serde_json::to_string(settings).unwrap_or_default()),
    ]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn difference(patients: usize, interval: [f64; 2], p: f64) -> Paired {
        Paired {
            n: patients,
            patients,
            difference: Some(0.1),
            interval: Some(interval),
            sign_test_p: Some(p),
            ..Paired::default()
        }
    }

    #[test]
    fn few_patients_carry_no_verdict_and_no_interval_in_words() {
        let two = difference(2, [0.1, 0.2], 0.5);
        assert_eq!(
            verdict(&two),
            "2 patients cannot show which of the two is better for other patients."
        );
        assert_eq!(spread(two.interval, two.patients), " (2 patients)");
        assert_eq!(spread(Some([0.1, 0.2]), 6), " (95 % interval 0.100 to 0.200, 6 patients)");
    }

    #[test]
    fn interval_and_sign_test_have_to_agree() {
        assert!(verdict(&difference(8, [0.1, 0.2], 0.008)).contains("sign test agrees (p 0.008)"));
        assert!(verdict(&difference(5, [0.1, 0.2], 0.0625)).contains("a hint, not a finding"));
        assert!(verdict(&difference(8, [-0.1, 0.2], 0.3)).contains("do not show which is better"));
    }
}
