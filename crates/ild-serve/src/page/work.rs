//! Work that takes a while: a mark is followed through the CT, lesions are looked for.

use std::sync::{Arc, Mutex};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use ild_infer::coordinates::{CtSlice, Span, StackIndex};
use ild_infer::merge::Merger;
use ild_infer::merge::islands::drop_islands;
use ild_infer::prompt::{SlicePrompt, Track};
use ild_io::BoundingBox;
use ild_model::SliceBox;
use ndarray::{Array2, Array3, Axis};
use serde::Deserialize;

use super::Caller;
use super::cases::working;
use super::prompt::{Marks, painted};
use crate::app::App;
use crate::clock;
use crate::draft::{Draft, Made, Runs, held};
use crate::error::{Answer, Problem};
use crate::jobs::{Job, Report};
use crate::json::Json;
use crate::model::OpenCase;

/// A mark, or what is drawn on its slice already, and how far it may be followed.
#[derive(Deserialize)]
pub struct Follow {
    #[serde(flatten)]
    marks: Marks,
    /// First and last slice; all of the CT where it is left out.
    #[serde(default)]
    span: Option<[usize; 2]>,
}

/// Follows a mark through the CT.
pub async fn propagate(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    caller: Caller,
    Json(follow): Json<Follow>,
) -> Answer<(StatusCode, Json<Report>)> {
    let (id, case, draft) = working(&app, &id).await?;
    let marks = follow.marks;
    let [depth, height, width] = case.scan().grid().shape_zyx;
    marks.check(&app, depth)?;
    let prompt = match marks.corners.is_some() || !marks.points.is_empty() {
        true => marks.prompt([height, width])?,
        false => drawn(&held(&draft), marks.k, marks.label)?,
    };
    let span = span(follow.span, marks.k, &case)?;
    let track = Track { label: marks.label, start: StackIndex(marks.k), span, prompt };
    let made = marks.made(&app, &caller, "propagate");
    let job = app.jobs.begin(&id, "propagate")?;
    job.progress.set_length((span.last.0 - span.first.0 + 1) as u64);
    let begun = Propagation { case, draft, track, made, over_others: marks.over_others };
    let (work, smallest) = (Arc::clone(&job), app.models.settings().smallest_ml);
    let journey = app.models.settings().journey;
    if !app.models.long().push(move || {
        let outcome = begun.run(&work, journey, smallest);
        work.end(outcome.map_err(|problem| problem.detail));
    }) {
        job.end(Err("too many wait for the model".to_owned()));
        return Err(Problem::busy("too many wait for the model; come again"));
    }
    Ok((StatusCode::ACCEPTED, Json(job.report())))
}

struct Propagation {
    case: Arc<OpenCase>,
    draft: Arc<Mutex<Draft>>,
    track: Track,
    made: Made,
    over_others: bool,
}

impl Propagation {
    /// Carries the mark, drops islands as `ild-infer` does, and makes one step of it.
    fn run(
        self,
        job: &Job,
        journey: ild_infer::JourneySettings,
        smallest_ml: f64,
    ) -> Answer<Vec<String>> {
        let (scan, session) = (self.case.scan(), &self.case.session);
        let label = self.track.label;
        let mut merger = Merger::new(scan.stack_shape(), false);
        let way = session.journey(journey);
        job.stop.check().map_err(ild_infer::Error::from)?;
        session.propagate(&way, std::slice::from_ref(&self.track), |answer| {
            job.stop.check()?;
            merger.add(label, answer.slice, &answer.prediction);
            job.progress.inc(1);
            Ok(())
        })?;
        let voxel_ml = scan.grid().voxel_volume_ml();
        drop_islands(&mut merger.labels, &scan.breaks(journey.gap), smallest_ml, voxel_ml);
        job.progress.set_position(job.progress.length().unwrap_or(0));
        let mut draft = held(&self.draft);
        let slices = merger.labels.outer_iter().enumerate().filter_map(|(z, slice)| {
            let mask = slice.mapv(|id| id == label);
            painted(&draft, z, mask.view(), label, self.over_others)
        });
        let slices: Vec<(usize, Runs)> = slices.collect();
        let changed = draft.history.change(self.made, None, slices);
        let note = format!("followed over {} slices", changed.len());
        Ok(vec![if changed.is_empty() { "nothing more was found".to_owned() } else { note }])
    }
}

/// The box around what is drawn on slice `k` in `label`.
fn drawn(draft: &Draft, k: usize, label: u8) -> Answer<SlicePrompt> {
    let slice: Option<Array2<u8>> =
        draft.history.slice(k).and_then(|runs| runs.slice(draft.history.size()));
    let around = slice.as_ref().and_then(|s| BoundingBox::around(s.view(), |id| id == label));
    let b = around.ok_or_else(|| {
        Problem::bad("expected a mark, or something drawn in this label on this slice")
    })?;
    let corners = [b.x0, b.y0, b.x1 - 1, b.y1 - 1].map(|v| v as f64);
    Ok(SlicePrompt::Box(SliceBox::new(corners)))
}

fn span(asked: Option<[usize; 2]>, k: usize, case: &OpenCase) -> Answer<Span<StackIndex>> {
    let depth = case.scan().z_index().len();
    let Some([a, b]) = asked else { return Ok(Span::whole(depth)) };
    let asked = Span { first: CtSlice(a.min(b)), last: CtSlice(a.max(b)) };
    let found = case.scan().stack_span(asked).filter(|span| span.holds(StackIndex(k)));
    found.ok_or_else(|| Problem::bad(format!("expected a span around slice {k}")))
}

/// Looks for lesions in the whole CT, and fills what is empty in the mask with them.
pub async fn automatic(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    caller: Caller,
) -> Answer<(StatusCode, Json<Report>)> {
    let (id, _, draft) = working(&app, &id).await?;
    let study = app.studies.get(&id)?;
    let job = app.jobs.begin(&id, "auto")?;
    let (all, work) = (Arc::clone(&app), Arc::clone(&job));
    tokio::spawn(async move {
        let asked = all.models.automatic(&study, work.progress.clone(), work.stop.clone());
        let outcome = asked.await.map(|found| {
            all.scores.note(&id, found.uncertainty);
            let made = Made {
                when: clock::now(),
                who: caller.who.clone(),
                how: "auto".to_owned(),
                label: None,
                prompt: found.provenance,
            };
            fill(&mut held(&draft), &found.map.labels, made);
            found.notes
        });
        work.end(outcome.map_err(|problem| problem.detail));
    });
    Ok((StatusCode::ACCEPTED, Json(job.report())))
}

/// What is empty in the mask becomes what was found.
fn fill(draft: &mut Draft, found: &Array3<u8>, made: Made) {
    let size = draft.history.size();
    let mut new = Vec::new();
    for (z, found) in found.axis_iter(Axis(0)).enumerate() {
        let Some(mut slice) = draft.history.slice(z).and_then(|runs| runs.slice(size)) else {
            continue;
        };
        slice.zip_mut_with(&found, |id, &found| *id = if *id == 0 { found } else { *id });
        new.push((z, Runs::of(slice.view())));
    }
    draft.history.change(made, None, new);
}

/// How the last job on the case stands.
pub async fn report(State(app): State<Arc<App>>, Path(id): Path<String>) -> Answer<Json<Report>> {
    let job = app.jobs.of(&id).ok_or_else(|| Problem::absent("nothing was asked for here"))?;
    Ok(Json(job.report()))
}

/// Gives the job on the case up.
pub async fn cancel(State(app): State<Arc<App>>, Path(id): Path<String>) -> Answer<Json<Report>> {
    let job = app.jobs.of(&id).ok_or_else(|| Problem::absent("nothing was asked for here"))?;
    job.stop.ask();
    Ok(Json(job.report()))
}
