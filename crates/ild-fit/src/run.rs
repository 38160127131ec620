//! The whole command: who, look, search, judge, write.

use std::collections::BTreeSet;

use ild_cli::{Common, FolderLock, RunReport};
use ild_infer::Engine;
use ild_infer::model::engine::ModelName;
use ild_model::Weights;

use crate::case::{FitCase, no_classes};
use crate::error::{Error, Result};
use crate::output;
use crate::patients::{Chosen, choose};
use crate::scores::Scores;
use crate::settings::FitSettings;
use crate::verdict::{Verdict, judge};

/// Everything that is written about a fit.
pub struct Fit<'a> {
    /// What was asked for.
    pub settings: &'a FitSettings,
    pub(crate) chosen: &'a Chosen,
    pub(crate) scores: &'a Scores<'a>,
    pub(crate) verdict: &'a Verdict,
    pub(crate) engine: &'a Engine,
}

/// Fits, writes and says what came out.
///
/// # Errors
/// When other than validation patients would be used, and what reading, the model and writing refuse.
pub fn run(settings: &FitSettings, common: &Common) -> Result<()> {
    let mut report = RunReport::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    let weights = Weights::read(&settings.checkpoint)?;
    if weights.lesion_classes()?.is_none() {
        return Err(no_classes(&settings.checkpoint));
    }
    let chosen = choose(settings, &weights)?;
    let _held = FolderLock::hold(&settings.output)?;
    output::may_write(settings)?;
    let name = ModelName { typed: settings.model.as_deref(), otherwise: None };
    let engine = Engine::load(&settings.checkpoint, name, common.device, settings.precision, None)?;
    let cases = look(settings, &chosen, &engine)?;
    let classes: BTreeSet<u8> = engine.model.lesion_head().map_or_else(BTreeSet::new, |head| {
        let own = head.classes().iter().copied();
        own.chain(cases.iter().flat_map(FitCase::classes)).collect()
    });
    let mut scores = Scores::new(&cases, classes);
    let verdict = judge(&mut scores, &chosen.patient_of, settings.bootstrap as usize, common.seed)?;
    let fit =
        Fit { settings, chosen: &chosen, scores: &scores, verdict: &verdict, engine: &engine };
    let fitted = fit.fitted();
    ild_cli::inputs::require_unchanged()?;
    for path in output::write(&fit, &fitted, weights)? {
        report.output(&path);
    }
    ild_cli::say(fit.table(&fitted))?;
    for (case, truth) in &chosen.cases {
        for path in case.files(None)?.iter().chain([truth]) {
            report.input(path)?;
        }
    }
    report.input(&settings.checkpoint)?;
    report.set("settings", settings);
    report.set("fitted", &fitted);
    Ok(report.write(common.report.as_deref())?)
}

fn look(settings: &FitSettings, chosen: &Chosen, engine: &Engine) -> Result<Vec<FitCase>> {
    let windowing = engine.window.ok_or_else(|| {
        Error::refused(
            &settings.checkpoint,
            "weights that say through which window they were trained",
            "none in its metadata",
            "take the weights that ild-train wrote",
        )
    })?;
    let table = engine.label_table.clone().unwrap_or_default();
    let bar = ild_cli::progress_bar(chosen.cases.len() as u64, "cases");
    let cases = chosen.cases.iter().map(|(case, truth)| {
        ild_cli::stop_if_interrupted()?;
        let looked = FitCase::open(engine, windowing, &table, case, truth);
        bar.inc(1);
        looked
    });
    let cases = cases.collect();
    bar.finish_and_clear();
    cases
}
