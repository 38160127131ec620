//! SAM 2's memory in place of the box's journey: each slice looks at what was found on the slices
//! before, and at the prompted one.
//!
//! The way up and the way down share nothing but the prompt. Distances are counted in slices of the
//! CT, so a gap in the stack is a distance in time. A way ends where the object's score has said
//! "not there" on some slices in a row.

use ild_model::memory::{Direction, FrameOutput, Memory, Prompt, Sam2Video, Tracker};
use ild_model::{FrameFeatures, Sam2, SliceSize};
use ndarray::Array2;

use super::journey::Direction as Way;
use super::sweep::sweeps;
use super::{Answer, Propagator};
use crate::coordinates::{CtSlice, StackIndex};
use crate::prompt::{InputPrompt, Track};
use crate::{Error, Prediction, Result, Scores, SliceSegmenter};

/// Carries objects through a stack by what the model remembers of them.
pub struct MemoryPropagation<'a> {
    /// The model, and what it remembers with.
    pub video: Sam2Video<'a>,
    /// Each slice of the stack in the CT.
    pub times: Vec<CtSlice>,
    /// Slices of the whole CT.
    pub frames: usize,
    /// A way ends after this many slices in a row without the object; `None`: never.
    pub stop_after: Option<usize>,
    /// Of the slices.
    pub slice_size: SliceSize,
}

/// One object under way.
struct Object<'a> {
    track: &'a Track,
    tracker: Tracker<'a>,
    /// Slices in a row without the object, on this way.
    absent: usize,
    absent_at_start: bool,
    way: Way,
}

impl<'a> MemoryPropagation<'a> {
    /// Through a stack whose slices lie at `times` in a CT of `frames` slices.
    #[must_use]
    pub fn new(
        (sam2, memory): (&'a Sam2, &'a Memory),
        times: Vec<CtSlice>,
        frames: usize,
        stop_after: Option<usize>,
        slice_size: SliceSize,
    ) -> Self {
        Self { video: Sam2Video::new(sam2, memory), times, frames, stop_after, slice_size }
    }

    fn time(&self, slice: StackIndex) -> i64 {
        self.times[slice.0].0 as i64
    }

    fn lost(&self, object: &Object) -> bool {
        self.stop_after.is_some_and(|limit| object.absent >= limit)
    }

    /// Whether the object is looked for on `slice` on this way; turns it around where the way down
    /// begins.
    fn wants(&self, object: &mut Object, slice: StackIndex, way: Way) -> bool {
        if way != object.way {
            object.way = way;
            object.tracker.turn();
            object.absent = usize::from(object.absent_at_start);
        }
        let Track { start, span, .. } = *object.track;
        let ahead = match way {
            Way::Up => slice >= start,
            Way::Down => slice < start,
        };
        ahead && span.holds(slice) && (slice == start || !self.lost(object))
    }

    fn look(
        &self,
        object: &mut Object,
        slice: StackIndex,
        frame: &FrameFeatures,
    ) -> ild_model::Result<FrameOutput> {
        let time = self.time(slice);
        let direction = match object.way {
            Way::Up => Direction::Forward,
            Way::Down => Direction::Reverse,
        };
        let at_start = slice == object.track.start;
        let output = if at_start {
            let side = self.video.sam2.config().image_size;
            let prompt = prompt_of(&object.track.prompt.to_input(self.slice_size, side));
            object.tracker.prompt(time, frame, &prompt)?
        } else {
            object.tracker.track(time, frame, direction)?
        };
        object.absent = if output.is_present() { 0 } else { object.absent + 1 };
        if at_start {
            object.absent_at_start = !output.is_present();
        }
        Ok(output)
    }

    fn prediction(&self, output: &FrameOutput) -> ild_model::Result<Prediction> {
        let SliceSize { height, width } = self.slice_size;
        let logits = output.logits(height, width)?.flatten_all()?.to_vec1::<f32>()?;
        let probability = logits.into_iter().map(|logit| 1.0 / (1.0 + (-logit).exp())).collect();
        let probability = Array2::from_shape_vec((height, width), probability)
            .map_err(|error| candle_core::Error::Msg(error.to_string()))?;
        let scores = Scores { iou: output.iou, object: output.object_score };
        Ok(Prediction { probability, scores: Some(scores), range: None })
    }
}

fn prompt_of(prompt: &InputPrompt) -> Prompt {
    match prompt {
        InputPrompt::Box(corners) => Prompt::of_box(corners.to_f32()),
        prompt => Prompt::Points(prompt.as_points()),
    }
}

impl Propagator for MemoryPropagation<'_> {
    fn visits(&self, tracks: &[Track]) -> Vec<StackIndex> {
        sweeps(tracks).map(|visit| visit.slice).collect()
    }

    fn propagate(
        &self,
        tracks: &[Track],
        model: &mut dyn SliceSegmenter,
        take: &mut dyn FnMut(Answer) -> Result<()>,
    ) -> Result<()> {
        let mut objects: Vec<Object> = tracks
            .iter()
            .map(|track| Object {
                track,
                tracker: Tracker::new(self.video, self.frames),
                absent: 0,
                absent_at_start: false,
                way: Way::Up,
            })
            .collect();
        for visit in sweeps(tracks) {
            ild_cli::stop_if_interrupted()?;
            let here: Vec<usize> = (0..objects.len())
                .filter(|i| self.wants(&mut objects[*i], visit.slice, visit.direction))
                .collect();
            if here.is_empty() {
                continue;
            }
            let features = model.features(visit.slice)?;
            let features = features.first().ok_or(Error::NoFeatures(visit.slice.0))?;
            let frame = self.video.sam2.frame_of(features).map_err(Error::Model)?;
            for track in here {
                let output = self.look(&mut objects[track], visit.slice, &frame);
                let prediction = output.and_then(|output| self.prediction(&output));
                let prediction = prediction.map_err(Error::Model)?;
                take(Answer { track, slice: visit.slice, prediction })?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use candle_core::{Device, Tensor};
    use ild_model::memory::{MemoryConfig, Version};
    use ild_model::{Sam2Config, SliceBox, Weights};

    use super::*;
    use crate::coordinates::Span;
    use crate::model::views::Views;
    use crate::prompt::SlicePrompt;

    const SIZE: SliceSize = SliceSize { height: 40, width: 48 };

    /// A bias of the object score with which every object is there, or none.
    fn model(object_score: f32) -> (Sam2, Memory) {
        let config = Sam2Config::from_name_or_file("nano").unwrap();
        let sizes = MemoryConfig {
            mem_dim: config.d_model / 4,
            layers: 1,
            dim_feedforward: 64,
            fuser_layers: 1,
            ..MemoryConfig::published(Version::Sam2_1)
        };
        let weights = Weights::random(&config, 5).unwrap();
        let mut weights = weights.with_random_memory(&config, &sizes, 5).unwrap();
        let bias = Tensor::new(&[object_score], &Device::Cpu).unwrap();
        weights.insert("sam_mask_decoder.pred_obj_score_head.layers.2.bias", bias);
        let (sam2, _) = Sam2::load(&config, &weights, &Device::Cpu).unwrap();
        let (memory, _) = Memory::load(&config, &weights, &Device::Cpu).unwrap();
        (sam2, memory)
    }

    /// Encodes slices of one grey level each, and counts.
    struct Slices<'a> {
        sam2: &'a Sam2,
        visited: Vec<usize>,
    }

    impl SliceSegmenter for Slices<'_> {
        fn segment(&mut self, _: StackIndex, _: &[InputPrompt]) -> Result<Vec<Prediction>> {
            unreachable!("the decoder is asked through the memory")
        }

        fn features(&mut self, slice: StackIndex) -> Result<Arc<Views>> {
            self.visited.push(slice.0);
            let s = self.sam2.config().image_size;
            let input = Tensor::full(slice.0 as f32 / 5.0 - 1.0, (1, 3, s, s), &Device::Cpu);
            let features = self.sam2.encode_image(&input.unwrap()).map_err(Error::Model)?;
            Ok(Arc::new(Views::of(features)))
        }
    }

    fn track(label: u8, start: usize, [first, last]: [usize; 2], x0: f64) -> Track {
        Track {
            label,
            start: StackIndex(start),
            span: Span { first: StackIndex(first), last: StackIndex(last) },
            prompt: SlicePrompt::Box(SliceBox::new([x0, 6.0, x0 + 20.0, 30.0])),
        }
    }

    type Found = BTreeMap<(u8, usize), Array2<f32>>;

    fn run(
        (sam2, memory): &(Sam2, Memory),
        times: &[usize],
        stop_after: Option<usize>,
        tracks: &[Track],
    ) -> (Found, Vec<usize>) {
        let times: Vec<CtSlice> = times.iter().map(|z| CtSlice(*z)).collect();
        let propagation = MemoryPropagation::new((sam2, memory), times, 60, stop_after, SIZE);
        let mut slices = Slices { sam2, visited: Vec::new() };
        let mut found = Found::new();
        propagation
            .propagate(tracks, &mut slices, &mut |answer| {
                let key = (tracks[answer.track].label, answer.slice.0);
                found.insert(key, answer.prediction.probability);
                Ok(())
            })
            .unwrap();
        (found, slices.visited)
    }

    fn apart(a: &Array2<f32>, b: &Array2<f32>) -> f32 {
        a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn objects_share_slices_and_nothing_else() {
        let model = model(20.0);
        let times: Vec<usize> = (0..7).collect();
        let tracks = [track(1, 2, [0, 6], 4.0), track(2, 4, [3, 5], 20.0)];
        let (together, visited) = run(&model, &times, Some(3), &tracks);
        assert_eq!(visited, [2, 3, 4, 5, 6, 3, 1, 0], "one look at a slice serves both");
        for track in &tracks {
            let (alone, _) = run(&model, &times, Some(3), std::slice::from_ref(track));
            for (key, probability) in alone {
                assert_eq!(probability, together[&key], "{key:?}");
            }
        }
    }

    #[test]
    fn a_gap_is_a_distance() {
        let model = model(20.0);
        let tracks = [track(1, 0, [0, 4], 8.0)];
        let (near, _) = run(&model, &[10, 11, 12, 13, 14], None, &tracks);
        let (far, _) = run(&model, &[10, 11, 12, 40, 41], None, &tracks);
        assert_eq!(near[&(1, 2)], far[&(1, 2)], "before the gap nothing differs");
        assert!(apart(&near[&(1, 3)], &far[&(1, 3)]) > 1e-5, "behind it the last maps are too far");
    }

    #[test]
    fn a_way_ends_where_the_object_is_gone() {
        let model = model(-20.0);
        let times: Vec<usize> = (0..20).collect();
        let (found, visited) = run(&model, &times, Some(3), &[track(1, 10, [0, 19], 8.0)]);
        assert_eq!(visited, [10, 11, 12, 9, 8], "an absent start counts for both ways");
        assert!(found.values().all(|p| p.iter().all(|p| *p == 0.0)), "absent is empty");
        let (_, visited) = run(&model, &times, None, &[track(1, 10, [0, 19], 8.0)]);
        assert_eq!(visited.len(), 20, "without the rule both ends are reached");
    }
}
