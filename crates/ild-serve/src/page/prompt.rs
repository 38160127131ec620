//! A box or clicks on a slice become a mask there.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use ild_infer::coordinates::StackIndex;
use ild_infer::prompt::SlicePrompt;
use ild_model::{SliceBox, SlicePoint};
use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::cases::working;
use super::view::View;
use super::{Caller, place};
use crate::app::App;
use crate::clock;
use crate::draft::{Draft, Made, Runs, held};
use crate::error::{Answer, Problem};
use crate::json::Json;

/// Most points of one object.
const MOST_POINTS: usize = 200;

/// What somebody marks on a slice.
#[derive(Clone, Debug, Deserialize)]
pub struct Marks {
    /// The label.
    pub label: u8,
    /// The slice.
    pub k: usize,
    /// `i0, j0, i1, j1`, both corners belong to it.
    #[serde(rename = "box")]
    pub corners: Option<[f64; 4]>,
    /// Places inside and outside.
    #[serde(default)]
    pub points: Vec<Point>,
    /// The object that is marked: its next answer takes the place of this one.
    #[serde(default)]
    pub object: Option<String>,
    /// Whether voxels of other labels may be taken.
    #[serde(default)]
    pub over_others: bool,
}

/// A place on the slice.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    i: f64,
    j: f64,
    inside: bool,
}

impl Marks {
    /// As the model is asked.
    ///
    /// # Errors
    /// 400 for places off the slice, and marks without anything inside.
    pub fn prompt(&self, size: [usize; 2]) -> Answer<SlicePrompt> {
        let [height, width] = size.map(|n| n as f64);
        let on = |[i, j]: [f64; 2]| {
            (-0.5..width - 0.5).contains(&i) && (-0.5..height - 0.5).contains(&j)
        };
        let off = || Problem::bad("expected marks on the slice, found one beside it");
        if self.points.len() > MOST_POINTS {
            return Err(Problem::bad(format!("expected at most {MOST_POINTS} points")));
        }
        let mut points = Vec::new();
        for point in &self.points {
            let at = [point.i, point.j];
            if !on(at) {
                return Err(off());
            }
            let [x, y] = place::on_slice(at, size);
            points.push((SlicePoint { x, y }, point.inside));
        }
        let Some([i0, j0, i1, j1]) = self.corners else {
            if points.iter().any(|&(_, inside)| inside) {
                return Ok(SlicePrompt::Points(points));
            }
            return Err(Problem::bad("expected a box or a point inside the lesion; draw one"));
        };
        if !on([i0, j0]) || !on([i1, j1]) {
            return Err(off());
        }
        let [a, b] = [[i0, j0], [i1, j1]].map(|corner| place::on_slice(corner, size));
        let around =
            SliceBox::new([a[0].min(b[0]), a[1].min(b[1]), a[0].max(b[0]), a[1].max(b[1])]);
        Ok(match points.is_empty() {
            true => SlicePrompt::Box(around),
            false => SlicePrompt::BoxAndPoints(around, points),
        })
    }

    /// For the record of the mask.
    pub fn made(&self, app: &App, caller: &Caller, how: &str) -> Made {
        Made {
            when: clock::now(),
            who: caller.who.clone(),
            how: how.to_owned(),
            label: Some(app.models.table().name(self.label)),
            prompt: json!({ "slice": self.k, "box": self.corners, "points": self.points, "axes": "RAS" }),
        }
    }

    /// # Errors
    /// 400 for a label that is none, or a slice that is not there.
    pub fn check(&self, app: &App, depth: usize) -> Answer<()> {
        if !app.models.table().classes.contains_key(&self.label) {
            return Err(Problem::bad(format!("there is no label {} here", self.label)));
        }
        if self.k >= depth {
            return Err(Problem::bad(format!("expected a slice below {depth}, found {}", self.k)));
        }
        Ok(())
    }
}

/// Answers marks.
pub async fn prompt(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    caller: Caller,
    Json(marks): Json<Marks>,
) -> Answer<Json<View>> {
    let (id, case, draft) = working(&app, &id).await?;
    let [depth, height, width] = case.scan().grid().shape_zyx;
    marks.check(&app, depth)?;
    let prompt = marks.prompt([height, width])?;
    let answer = app.models.click(&case, StackIndex(marks.k), prompt).await?;
    let mask = answer.mask();
    let how = if marks.corners.is_some() { "box" } else { "points" };
    let made = marks.made(&app, &caller, how);
    let mut draft = held(&draft);
    let mut changed = marks.object.as_deref().map_or(Vec::new(), |o| draft.history.take_back(o));
    let new = painted(&draft, marks.k, mask.view(), marks.label, marks.over_others);
    changed.extend(draft.history.change(made, marks.object.clone(), new));
    let mut view = View::of(&app, (&id, &case), &caller, &draft, changed);
    if mask.iter().all(|&inside| !inside) {
        view.note = Some("the model found nothing there".to_owned());
    }
    drop(draft);
    app.models.look(&case, StackIndex(marks.k));
    Ok(Json(view))
}

/// Slice `z` with `label` where `mask` is; voxels of other labels only `over_others`.
pub fn painted(
    draft: &Draft,
    z: usize,
    mask: ArrayView2<bool>,
    label: u8,
    over_others: bool,
) -> Option<(usize, Runs)> {
    let mut slice: Array2<u8> = draft.history.slice(z)?.slice(draft.history.size())?;
    if slice.dim() != mask.dim() {
        return None;
    }
    slice.zip_mut_with(&mask, |id, &inside| {
        if inside && (over_others || *id == 0) {
            *id = label;
        }
    });
    Some((z, Runs::of(slice.view())))
}

/// Which slice is shown.
#[derive(Deserialize)]
pub struct Look {
    k: usize,
}

/// Somebody looks at a slice: it is encoded before he clicks.
pub async fn look(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Json(look): Json<Look>,
) -> Answer<(StatusCode, Json<Value>)> {
    let (_, case) = app.case(&id).await?;
    app.models.look(&case, StackIndex(look.k));
    Ok((StatusCode::ACCEPTED, Json(json!({}))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(text: &str) -> Answer<SlicePrompt> {
        serde_json::from_str::<Marks>(text).unwrap().prompt([40, 50])
    }

    #[test]
    fn a_box_may_be_drawn_from_any_corner() {
        let wanted = SlicePrompt::Box(SliceBox::new([29.0, 9.0, 39.0, 29.0]));
        for corners in ["[10,10,20,30]", "[20,30,10,10]", "[10,30,20,10]"] {
            let text = format!(r#"{{"label":1,"k":0,"box":{corners}}}"#);
            assert_eq!(marks(&text).unwrap(), wanted);
        }
    }

    #[test]
    fn points_correct_a_box_and_ask_alone_only_with_one_inside() {
        let point = |inside| format!(r#"{{"i":1,"j":2,"inside":{inside}}}"#);
        let both = format!(r#"{{"label":1,"k":0,"box":[1,1,9,9],"points":[{}]}}"#, point(false));
        assert!(
            matches!(marks(&both), Ok(SlicePrompt::BoxAndPoints(_, points)) if points.len() == 1)
        );
        let outside = format!(r#"{{"label":1,"k":0,"points":[{}]}}"#, point(false));
        assert!(marks(&outside).is_err());
        let inside = format!(r#"{{"label":1,"k":0,"points":[{}]}}"#, point(true));
        let SlicePrompt::Points(points) = marks(&inside).unwrap() else { panic!("points") };
        assert_eq!((points[0].0.x, points[0].0.y), (48.0, 37.0));
        assert!(marks(r#"{"label":1,"k":0,"box":[1,1,60,9]}"#).is_err(), "beside the slice");
    }
}
