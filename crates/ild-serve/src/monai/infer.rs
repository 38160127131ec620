//! `POST /infer/{model}`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{FromRequest, Multipart, Path, Query, Request, State};
use axum::http::header;
use axum::response::Response;
use ild_infer::coordinates::{CtSlice, Span, StackIndex};
use ild_infer::merge::Merger;
use ild_infer::prompt::{SlicePrompt, Track};
use ild_infer::{JourneySettings, Stop};
use ild_io::{Geometry, LabelMap};
use ild_model::{SliceBox, SlicePoint};
use indicatif::ProgressBar;
use ndarray::Array3;
use serde::Deserialize;
use serde_json::{Value, json};

use super::reply::{self, Form};
use super::{AUTOMATIC, CLICKS};
use crate::app::App;
use crate::error::{Answer, Problem};
use crate::model::OpenCase;
use crate::studies::Study;
use crate::upload::{self, Passing};

/// Most points of one request.
const MOST_POINTS: usize = 2000;

/// On which CT, and how the answer is wanted.
#[derive(Deserialize)]
pub struct Asked {
    image: Option<String>,
    session_id: Option<String>,
    output: Option<String>,
}

/// Runs a model.
pub async fn infer(
    State(app): State<Arc<App>>,
    Path(model): Path<String>,
    Query(asked): Query<Asked>,
    request: Request,
) -> Answer<Response> {
    let params = params(&app, request).await?;
    let study = match asked.session_id.as_deref().filter(|id| !id.is_empty()) {
        Some(id) => app.sent.get(id)?.0,
        None => app.studies.get(asked.image.as_deref().unwrap_or_default())?,
    };
    let start = std::time::Instant::now();
    let (map, names) = match model.as_str() {
        AUTOMATIC => automatic(&app, &study).await?,
        CLICKS => clicks(&app, &study, &params).await?,
        other => {
            return Err(Problem::absent(format!(
                "expected the model {AUTOMATIC} or {CLICKS}, found `{}`",
                ild_cli::printable(other)
            )));
        }
    };
    let told = json!({
        "label_names": names,
        "latencies": { "total": start.elapsed().as_secs_f64() },
    });
    let form = if asked.output.as_deref() == Some("image") { Form::Image } else { Form::Both };
    let gzip = params["result_compress"].as_bool().unwrap_or(true);
    let made = tokio::task::spawn_blocking(move || reply::of(form, &map, &told, gzip)).await;
    made.map_err(|error| Problem::failed(error.to_string()))
}

/// `params`, in a form or, of simple clients, as the body itself.
async fn params(app: &App, request: Request) -> Answer<Value> {
    let kind = request.headers().get(header::CONTENT_TYPE);
    if kind.is_some_and(|kind| kind.as_bytes().starts_with(b"multipart/")) {
        let form = Multipart::from_request(request, &())
            .await
            .map_err(|error| Problem::bad(error.body_text()))?;
        let folder = Passing::in_folder(&app.studies.folders().state.join("sent"));
        return Ok(upload::read(form, &[], &folder.0).await?.params);
    }
    Ok(crate::json::Json::<Value>::from_request(request, &()).await?.0)
}

/// Gives the work up when nobody waits for it any more.
struct Waiting(Stop);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.ask();
    }
}

async fn automatic(app: &App, study: &Study) -> Answer<(LabelMap, Value)> {
    let waiting = Waiting(Stop::default());
    let asked = app.models.automatic(study, ProgressBar::hidden(), waiting.0.clone());
    let found = asked.await?;
    app.scores.note(&study.id, found.uncertainty);
    let table = app.models.table();
    let names = table.classes.iter().map(|(id, label)| (label.name.clone(), json!(id)));
    Ok((found.map, Value::Object(names.collect())))
}

/// What a viewer's points come to.
struct Clicked {
    /// By slice, in pixels of the arrays, with whether they lie inside.
    points: BTreeMap<usize, Vec<(SlicePoint, bool)>>,
    /// A region, in voxels of the arrays: both corners belong to it.
    region: Option<[[f64; 3]; 2]>,
}

async fn clicks(app: &App, study: &Study, params: &Value) -> Answer<(LabelMap, Value)> {
    let case = app.models.open(study).await?;
    let grid = case.scan().grid().clone();
    let clicked = Clicked::of(params, &grid)?;
    let name = params["label"].as_str().unwrap_or("lesion").to_owned();
    let follow = params["follow"].as_bool().unwrap_or(false);
    let tracks = clicked.tracks(follow, &case)?;
    let labels = if follow || clicked.region.is_some() {
        followed(app, &case, tracks).await?
    } else {
        let mut merger = Merger::new(case.scan().stack_shape(), false);
        for track in tracks {
            let answer = app.models.click(&case, track.start, track.prompt).await?;
            merger.add(1, track.start, &answer);
        }
        merger.labels
    };
    if let Some((&slice, _)) = clicked.points.iter().next_back() {
        app.models.look(&case, StackIndex(slice));
    }
    // The whole segment, of value 1: the viewer replaces what it has.
    Ok((LabelMap { labels, geometry: grid }, json!({ name: 1 })))
}

async fn followed(app: &App, case: &Arc<OpenCase>, tracks: Vec<Track>) -> Answer<Array3<u8>> {
    let waiting = Waiting(Stop::default());
    let (stop, case) = (waiting.0.clone(), Arc::clone(case));
    let journey: JourneySettings = app.models.settings().journey;
    let labels = app.models.long().ask(move || {
        let mut merger = Merger::new(case.scan().stack_shape(), false);
        let way = case.session.journey(journey);
        case.session.propagate(&way, &tracks, |answer| {
            stop.check()?;
            merger.add(1, answer.slice, &answer.prediction);
            Ok(())
        })?;
        Ok::<_, Problem>(merger.labels)
    });
    labels.await?
}

impl Clicked {
    /// `foreground`, `background` and `roi`, in voxels of the file.
    fn of(params: &Value, grid: &Geometry) -> Answer<Self> {
        let [depth, height, width] = grid.shape_zyx.map(|n| n as f64);
        let mut clicked = Self { points: BTreeMap::new(), region: None };
        let mut count = 0;
        for (key, inside) in [("foreground", true), ("background", false)] {
            for point in places(&params[key], key)? {
                let [x, y, z] = grid.array_xyz(point);
                let on = |v: f64, n: f64| (-0.5..n - 0.5).contains(&v);
                if !(on(x, width) && on(y, height) && on(z, depth)) {
                    let [nz, ny, nx] = grid.as_stored().shape_zyx;
                    return Err(Problem::bad(format!(
                        "expected points within {nx} × {ny} × {nz} voxels, found {point:?}"
                    )));
                }
                count += 1;
                // Half a voxel from the first slice is that slice.
                let slice = z.round().max(0.0) as usize;
                clicked.points.entry(slice).or_default().push((SlicePoint { x, y }, inside));
            }
        }
        if count > MOST_POINTS {
            return Err(Problem::bad(format!("expected at most {MOST_POINTS} points")));
        }
        if let Some(roi) = params["roi"].as_array().filter(|roi| !roi.is_empty()) {
            let numbers: Vec<f64> = roi.iter().filter_map(Value::as_f64).collect();
            let &[i0, i1, j0, j1, k0, k1] = numbers.as_slice() else {
                return Err(Problem::bad("expected six numbers as `roi`: i0, i1, j0, j1, k0, k1"));
            };
            let last = [width, height, depth].map(|n| n - 1.0);
            let corner = |at: [f64; 3]| {
                let at = grid.array_xyz(at);
                std::array::from_fn(|axis| at[axis].round().clamp(0.0, last[axis]))
            };
            clicked.region = Some([corner([i0, j0, k0]), corner([i1, j1, k1])]);
        }
        Ok(clicked)
    }

    /// One journey for each slice with a point inside; without points, one for the region. The
    /// answer to no point at all is an empty map: viewers ask so when the last one is taken away.
    fn tracks(&self, follow: bool, case: &OpenCase) -> Answer<Vec<Track>> {
        let whole = Span::whole(case.scan().z_index().len());
        let mut tracks = Vec::new();
        for (&z, points) in &self.points {
            if !points.iter().any(|&(_, inside)| inside) {
                continue;
            }
            let start = StackIndex(z);
            let span = if follow { whole } else { Span::only(start) };
            tracks.push(Track {
                label: 1,
                start,
                span,
                prompt: SlicePrompt::Points(points.clone()),
            });
        }
        if let Some([a, b]) = self.region
            && tracks.is_empty()
        {
            let ends = |axis: usize| [a[axis].min(b[axis]), a[axis].max(b[axis])];
            let ([x0, x1], [y0, y1], [z0, z1]) = (ends(0), ends(1), ends(2));
            let slices = Span { first: CtSlice(z0 as usize), last: CtSlice(z1 as usize) };
            let span = case.scan().stack_span(slices);
            let span = span.ok_or_else(|| Problem::bad("the region lies on no slice"))?;
            let prompt = SlicePrompt::Box(SliceBox::new([x0, y0, x1, y1]));
            tracks.push(Track { label: 1, start: span.middle(), span, prompt });
        }
        Ok(tracks)
    }
}

/// `[[i, j, k], …]`; left out: none.
fn places(value: &Value, key: &str) -> Answer<Vec<[f64; 3]>> {
    let wrong = || Problem::bad(format!("expected `{key}` as [[i, j, k], …]"));
    let Some(list) = value.as_array() else {
        return if value.is_null() { Ok(Vec::new()) } else { Err(wrong()) };
    };
    list.iter()
        .map(|place| {
            let numbers: Option<Vec<f64>> =
                place.as_array().map(|p| p.iter().filter_map(Value::as_f64).collect());
            numbers.and_then(|n| <[f64; 3]>::try_from(n).ok()).ok_or_else(wrong)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use ild_io::{Affine, StorageOrder};

    use super::*;

    fn grid(codes: &str) -> Geometry {
        let mut affine = Affine::from_spacing_xyz_mm([0.7, 0.7, 2.0]);
        (affine.0[0][0], affine.0[1][1]) = (-0.7, -0.7);
        let mut grid = Geometry::new([10, 20, 30], affine);
        grid.stored.order = StorageOrder::from_codes(codes, &affine).unwrap();
        grid
    }

    #[test]
    fn a_point_is_the_same_place_whatever_the_order_of_the_viewers_file() {
        for codes in ["LPS", "RAS", "SPL", "AIR"] {
            let grid = grid(codes);
            let at = grid.file_xyz([3.0, 4.0, 5.0]);
            let region = [grid.file_xyz([1.0, 2.0, 3.0]), grid.file_xyz([6.0, 7.0, 8.0])];
            let [[i0, j0, k0], [i1, j1, k1]] = region;
            let params = json!({ "foreground": [at], "roi": [i0, i1, j0, j1, k0, k1] });
            let clicked = Clicked::of(&params, &grid).unwrap();
            let points = &clicked.points[&5];
            assert_eq!((points[0].0.x, points[0].0.y, points[0].1), (3.0, 4.0, true), "{codes}");
            // The corners come in any order where an axis is flipped.
            let [a, b] = clicked.region.unwrap();
            let low: Vec<f64> = a.iter().zip(b).map(|(a, b)| a.min(b)).collect();
            assert_eq!(low, [1.0, 2.0, 3.0], "{codes}");
        }
    }

    #[test]
    fn points_beside_the_ct_and_things_that_are_no_points_are_refused() {
        let grid = grid("LPS");
        for params in [
            json!({ "foreground": [[30, 0, 0]] }),
            json!({ "foreground": [[-1, 0, 0]] }),
            json!({ "foreground": [[1, 2]] }),
            json!({ "background": "x" }),
            json!({ "roi": [1, 2, 3] }),
        ] {
            assert!(Clicked::of(&params, &grid).is_err(), "{params}");
        }
        assert!(Clicked::of(&json!({}), &grid).unwrap().points.is_empty());
    }
}
