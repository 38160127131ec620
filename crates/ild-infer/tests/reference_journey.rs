//! The journey slice for slice as an independent implementation (tests/golden/infer/journey.py) and
//! the older scripts make it.
//!
//! A threshold stands in for the model: inside the box, every pixel of at least 128. Boxes are
//! compared to the last bit.

use std::path::{Path, PathBuf};

use ild_infer::coordinates::StackIndex;
use ild_infer::prompt::truth::{by_class, reference_ids};
use ild_infer::prompt::{InputPrompt, Track};
use ild_infer::propagate::journey::{Journey, Rules};
use ild_infer::propagate::{BoxJourney, Propagator};
use ild_infer::{Prediction, Result, SliceSegmenter};
use ild_io::{BoundingBox, Images, NpzFile, read_npz};
use ild_model::{InputBox, SliceSize};
use ndarray::{Array2, Array3, Axis};
use serde::Deserialize;

const SIDE: usize = 1024;

#[derive(Debug, Deserialize)]
struct Call {
    z: usize,
    #[serde(rename = "box")]
    corners: [Real; 4],
    n: usize,
}

impl Call {
    fn prompt(&self) -> InputPrompt {
        InputPrompt::Box(InputBox::new(self.corners.each_ref().map(Real::value)))
    }
}

/// A number, or its digits: serde_json may be off by one bit where `str::parse` is exact.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Real {
    Digits(String),
    Number(f64),
}

impl Real {
    fn value(&self) -> f64 {
        match self {
            Self::Digits(text) => text.parse().unwrap(),
            Self::Number(value) => *value,
        }
    }
}

struct Case {
    imgs: Array3<u8>,
    gts: Array3<u8>,
    calls: Vec<Call>,
}

fn case(npz: &Path, calls: &Path) -> Case {
    let stack = read_npz(npz).unwrap();
    let Images::Grey(imgs) = stack.images else { panic!("grey slices") };
    Case {
        imgs,
        gts: stack.labels.unwrap(),
        calls: serde_json::from_slice(&std::fs::read(calls).unwrap()).unwrap(),
    }
}

fn rules(case: &Case) -> Rules {
    let (_, height, width) = case.imgs.dim();
    Rules {
        side: SIDE,
        bbox_shift: 5,
        stop_after: None,
        restarts: vec![],
        slice_size: SliceSize { height, width },
    }
}

fn tracks(case: &Case) -> Vec<Track> {
    by_class::tracks(case.gts.view(), &reference_ids(case.gts.view()), 5)
}

struct Threshold<'a>(&'a Array3<u8>);

impl SliceSegmenter for Threshold<'_> {
    fn segment(&mut self, z: StackIndex, prompts: &[InputPrompt]) -> Result<Vec<Prediction>> {
        let slice = self.0.index_axis(Axis(0), z.0);
        let (height, width) = slice.dim();
        let answer = |prompt: &InputPrompt| {
            let InputPrompt::Box(b) = prompt else { panic!("only boxes here") };
            let corners = [b.x0, b.y0, b.x1, b.y1];
            let sides = [width, height, width, height].map(|n| n as f64);
            let [x0, y0, x1, y1]: [f64; 4] =
                std::array::from_fn(|i| corners[i] / SIDE as f64 * sides[i]);
            let inside = |y: f64, x: f64| x >= x0 && x <= x1 && y >= y0 && y <= y1;
            let probability = Array2::from_shape_fn((height, width), |(y, x)| {
                f32::from(u8::from(slice[[y, x]] >= 128 && inside(y as f64, x as f64)))
            });
            Prediction { probability, scores: None, range: None }
        };
        Ok(prompts.iter().map(answer).collect())
    }
}

/// Every call of the reference, in its order, and its masks in `pred` under `keys`.
fn check(case: &Case, pred: &Path, key_of: impl Fn(u8) -> String) {
    let rules = rules(case);
    let tracks = tracks(case);
    let mut calls = case.calls.iter();
    for track in &tracks {
        let mut journey = Journey::new(track, &rules);
        let mut volume = Array3::<u8>::zeros(case.gts.dim());
        while let Some(stop) = journey.next().cloned() {
            let expected = calls.next().expect("no more stops than the reference has");
            let mask = Threshold(&case.imgs)
                .segment(stop.slice, std::slice::from_ref(&stop.prompt))
                .unwrap()[0]
                .mask();
            assert_eq!(
                (stop.slice.0, &stop.prompt),
                (expected.z, &expected.prompt()),
                "label {}",
                track.label
            );
            assert_eq!(
                mask.iter().filter(|&&v| v).count(),
                expected.n,
                "label {} slice {}",
                track.label,
                stop.slice.0
            );
            volume
                .index_axis_mut(Axis(0), stop.slice.0)
                .zip_mut_with(&mask, |out, &inside| *out |= u8::from(inside));
            journey.advance(mask.view(), &rules);
        }
        assert_eq!(
            volume,
            reference_mask(pred, &key_of(track.label)),
            "masks of label {}",
            track.label
        );
    }
    assert!(calls.next().is_none(), "no fewer stops than the reference has");
    sweeping_gives_the_same(case, &rules, pred, &key_of);
}

/// Both sweeps together instead of label after label.
fn sweeping_gives_the_same(
    case: &Case,
    rules: &Rules,
    pred: &Path,
    key_of: &impl Fn(u8) -> String,
) {
    let tracks = tracks(case);
    let mut volumes = vec![Array3::<u8>::zeros(case.gts.dim()); tracks.len()];
    BoxJourney(rules.clone())
        .propagate(&tracks, &mut Threshold(&case.imgs), &mut |answer| {
            let mask = answer.prediction.mask().mapv(u8::from);
            volumes[answer.track].index_axis_mut(Axis(0), answer.slice.0).assign(&mask);
            Ok(())
        })
        .unwrap();
    for (track, volume) in tracks.iter().zip(volumes) {
        assert_eq!(
            volume,
            reference_mask(pred, &key_of(track.label)),
            "swept masks of label {}",
            track.label
        );
    }
}

fn reference_mask(pred: &Path, key: &str) -> Array3<u8> {
    ild_io::read_npz_u8(pred, key).unwrap().into_dimensionality().unwrap()
}

#[test]
fn stops_boxes_and_masks_are_those_of_the_independent_driver() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/infer");
    let case = case(&folder.join("vol.npz"), &folder.join("calls.json"));
    check(&case, &folder.join("pred.npz"), |label| label.to_string());
}

fn shared_fixtures() -> Option<PathBuf> {
    ild_test_support::shared("fixtures/infer")
}

#[test]
fn stops_boxes_and_masks_are_those_of_the_older_scripts() {
    let Some(folder) = shared_fixtures() else { return };
    let case = case(&folder.join("vol.npz"), &folder.join("calls.json"));
    let pred = folder.join("pred/vol.npz");
    let keys = NpzFile::open(&pred).unwrap().keys();
    let ids = reference_ids(case.gts.view());
    check(&case, &pred, |label| keys[ids.iter().position(|&id| id == label).unwrap()].clone());
}

#[derive(Deserialize)]
struct BoxSample {
    shape: [usize; 2],
    mask: Vec<u8>,
    shift: usize,
    #[serde(rename = "box")]
    corners: [f64; 4],
}

#[test]
fn prompt_boxes_are_those_of_the_older_scripts() {
    let Some(folder) = shared_fixtures() else { return };
    let samples: Vec<BoxSample> =
        serde_json::from_slice(&std::fs::read(folder.join("get_bbox.json")).unwrap()).unwrap();
    assert!(samples.len() > 10);
    for sample in samples {
        let [height, width] = sample.shape;
        let bit = |i: usize| sample.mask[i / 8] >> (7 - i % 8) & 1 == 1;
        let mask = Array2::from_shape_fn((height, width), |(y, x)| bit(y * width + x));
        let found = BoundingBox::around(mask.view(), |v| v).unwrap().prompt_px(
            [sample.shift; 4],
            width,
            height,
        );
        assert_eq!(found, sample.corners, "shift {}", sample.shift);
    }
}
