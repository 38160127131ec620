//! Scores one pair of label maps on request, so that `tests/peers/metrics.py` can time it in
//! alternation with other programs.
//!
//! Each line on stdin is one request: `surfel` (what surface-distance computes), `voxel` (what
//! MedPy computes) or `all` (every number of a case). Each answer is one line of JSON with wall and
//! CPU seconds, peak memory, and the sum of the scores.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Parser;
use ild_metrics::{
    Aligned, Annotated, AnnotatedCase, BorderDistances, CaseScores, Mask, PairScan, Prediction,
    ScoreSettings, SurfelDistances,
};
use rayon::prelude::*;

/// Times the metrics on request.
#[derive(Parser)]
#[command(name = "metrics_engine")]
struct Cli {
    #[command(flatten)]
    common: ild_cli::Common,
    /// Ground truth, NIfTI.
    reference: PathBuf,
    /// Prediction, NIfTI.
    predicted: PathBuf,
}

const SETTINGS: ScoreSettings = ScoreSettings { nsd_tolerance_mm: 2.0, lesion_overlap: 0.1 };

fn surfel([reference, predicted]: [Mask; 2], scan: &PairScan, spacing: [f64; 3]) -> f64 {
    let Some(found) =
        SurfelDistances::new(reference, predicted, scan.extents[&reference.id], spacing)
    else {
        return 0.0;
    };
    found.nsd(SETTINGS.nsd_tolerance_mm)
        + found.hausdorff_mm(95.0)
        + found.average_mm().iter().sum::<f64>()
}

fn voxel([reference, predicted]: [Mask; 2], scan: &PairScan, spacing: [f64; 3]) -> f64 {
    let Some(found) =
        BorderDistances::new(reference, predicted, scan.extents[&reference.id], spacing)
    else {
        return 0.0;
    };
    found.hd95_mm().unwrap_or(0.0) + found.assd_mm().unwrap_or(0.0)
}

fn run(pair: &Aligned, request: &str) -> anyhow::Result<f64> {
    let one = match request {
        "all" => {
            let scores = CaseScores::new(pair, &BTreeSet::new(), SETTINGS);
            let surfels = scores.classes.values().filter_map(|class| class.surfel);
            return Ok(surfels
                .map(|s| {
                    s.nsd
                        + s.hd95_mm
                        + s.asd_reference_to_predicted_mm
                        + s.asd_predicted_to_reference_mm
                })
                .sum());
        }
        "surfel" => surfel,
        "voxel" => voxel,
        other => anyhow::bail!("expected surfel, voxel or all, found {other:?}"),
    };
    let predicted =
        pair.predicted.of(1).ok_or_else(|| anyhow::anyhow!("expected one label map"))?;
    let scan = PairScan::new(pair.reference.view(), predicted);
    let ids: Vec<u8> = scan.extents.keys().copied().collect();
    Ok(ids
        .par_iter()
        .map(|&id| {
            one(
                [pair.reference.view(), predicted].map(|labels| Mask { labels, id }),
                &scan,
                pair.spacing_zyx_mm,
            )
        })
        .sum())
}

fn serve(cli: &Cli) -> anyhow::Result<()> {
    let table = ild_io::LabelTable::default();
    let truth = AnnotatedCase::read(&cli.reference, Annotated::All, &table)?;
    let prediction = Prediction::read(&cli.predicted, &table)?;
    let pair = Aligned::new(&truth, Some(&prediction), &cli.predicted)?;
    ild_cli::serve_timings(|request| run(&pair, request))
}

fn main() -> std::process::ExitCode {
    ild_cli::main(|cli: &Cli| &cli.common, |cli| serve(&cli), ild_metrics::Error::rejects)
}
