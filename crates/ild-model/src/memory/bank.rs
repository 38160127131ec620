//! What one object remembers of the frames it has been seen on, and what of it a frame looks at.

use std::collections::BTreeMap;

use candle_core::Tensor;

/// Most object pointers that a frame looks at, its own place included
/// (`max_obj_ptrs_in_encoder`).
const MAX_POINTERS: usize = 16;

/// Which way frames are visited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To later frames (larger slice indices).
    Forward,
    /// To earlier ones.
    Reverse,
}

impl Direction {
    /// How many frames `then` lies behind `now`; negative where it is still to come.
    fn distance(self, now: i64, then: i64) -> i64 {
        match self {
            Self::Forward => now - then,
            Self::Reverse => then - now,
        }
    }
}

/// One frame in the memory of one object.
#[derive(Debug, Clone)]
pub struct Remembered {
    /// The frame: its slice index in the CT, so that a gap between slices is a distance in time.
    pub time: i64,
    /// What the memory encoder made of it: `[1, n, mem_dim]` of bf16. Dropped when no frame to come
    /// can look at it.
    pub map: Option<Tensor>,
    /// Object pointer: `[1, d]`.
    pub obj_ptr: Tensor,
}

/// The memory of one object.
///
/// Only the last `num_maskmem − 1` maps and 15 pointers on the way from a prompted frame are ever
/// looked at, so only those near the present frame or near a prompted one are kept: the bank is
/// bounded whatever the number of frames, and results are those of a bank that keeps all.
#[derive(Debug, Clone)]
pub struct Bank {
    num_maskmem: usize,
    /// In the order in which they were prompted.
    prompted: Vec<Remembered>,
    tracked: BTreeMap<i64, Remembered>,
}

/// What a frame looks at, in the order in which the memory attention gets it.
#[derive(Debug, Clone, Default)]
pub struct Recalled<'a> {
    /// Place in time and frame: 0 for prompted frames, then the distance counted backwards from
    /// `num_maskmem`, the farthest first.
    pub maps: Vec<(usize, &'a Remembered)>,
    /// Distance in frames, and frame: prompted ones first, then the nearest first.
    pub pointers: Vec<(i64, &'a Remembered)>,
}

impl Bank {
    /// Nothing yet.
    #[must_use]
    pub fn new(num_maskmem: usize) -> Self {
        Self { num_maskmem, prompted: Vec::new(), tracked: BTreeMap::new() }
    }

    /// Pointers of how many frames, the present one included, a video of `frames` frames looks at.
    #[must_use]
    pub fn pointer_reach(frames: usize) -> usize {
        frames.min(MAX_POINTERS)
    }

    /// Adds a prompted frame: every other frame looks at it.
    pub fn add_prompted(&mut self, frame: Remembered) {
        self.tracked.remove(&frame.time);
        match self.prompted.iter_mut().find(|known| known.time == frame.time) {
            Some(known) => *known = frame,
            None => self.prompted.push(frame),
        }
    }

    /// Adds a frame without a prompt, or one whose result was corrected.
    pub fn add_tracked(&mut self, frame: Remembered) {
        let now = frame.time;
        self.tracked.insert(now, frame);
        self.forget_what_is_out_of_reach(now);
    }

    /// Forgets every frame but the prompted ones: the way back then starts as fresh as the way
    /// there.
    pub fn forget_tracked(&mut self) {
        self.tracked.clear();
    }

    /// A frame that is remembered.
    #[must_use]
    pub fn get(&self, time: i64) -> Option<&Remembered> {
        let prompted = self.prompted.iter().find(|frame| frame.time == time);
        prompted.or_else(|| self.tracked.get(&time))
    }

    /// Whether an object was prompted at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.prompted.is_empty()
    }

    /// Maps that are held, those of prompted frames included.
    #[must_use]
    pub fn maps(&self) -> usize {
        self.prompted.iter().chain(self.tracked.values()).filter(|f| f.map.is_some()).count()
    }

    /// What frame `now` of a video of `frames` frames looks at.
    #[must_use]
    pub fn recall(&self, now: i64, direction: Direction, frames: usize) -> Recalled<'_> {
        let back = |distance: usize| match direction {
            Direction::Forward => now - distance as i64,
            Direction::Reverse => now + distance as i64,
        };
        let mut maps: Vec<_> = self.prompted.iter().map(|frame| (0, frame)).collect();
        for place in 1..self.num_maskmem {
            if let Some(frame) = self.tracked.get(&back(self.num_maskmem - place))
                && frame.map.is_some()
            {
                maps.push((place, frame));
            }
        }
        let past = self.prompted.iter().filter_map(|frame| {
            let distance = direction.distance(now, frame.time);
            (distance >= 0).then_some((distance, frame))
        });
        let near = (1..Self::pointer_reach(frames)).filter_map(|distance| {
            self.tracked.get(&back(distance)).map(|frame| (distance as i64, frame))
        });
        Recalled { maps, pointers: past.chain(near).collect() }
    }

    fn forget_what_is_out_of_reach(&mut self, now: i64) {
        let near = |time: i64, reach: usize| {
            let anchors = self.prompted.iter().map(|frame| frame.time).chain([now]);
            anchors.into_iter().any(|anchor| anchor.abs_diff(time) < reach as u64)
        };
        let (pointers, maps) = (MAX_POINTERS, self.num_maskmem);
        self.tracked.retain(|time, frame| {
            if !near(*time, maps) {
                frame.map = None;
            }
            near(*time, pointers)
        });
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    fn frame(time: i64) -> Remembered {
        let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
        Remembered { time, map: Some(zeros(&[1, 1, 1])), obj_ptr: zeros(&[1, 1]) }
    }

    fn bank(prompted: &[i64], tracked: impl IntoIterator<Item = i64>) -> Bank {
        let mut bank = Bank::new(7);
        prompted.iter().for_each(|time| bank.add_prompted(frame(*time)));
        tracked.into_iter().for_each(|time| bank.add_tracked(frame(time)));
        bank
    }

    fn places(recalled: &Recalled) -> Vec<(usize, i64)> {
        recalled.maps.iter().map(|(place, frame)| (*place, frame.time)).collect()
    }

    fn distances(recalled: &Recalled) -> Vec<(i64, i64)> {
        recalled.pointers.iter().map(|(distance, frame)| (*distance, frame.time)).collect()
    }

    #[test]
    fn the_prompted_map_comes_first_and_then_the_farthest_of_the_last_six() {
        let bank = bank(&[4], 5..=12);
        let recalled = bank.recall(13, Direction::Forward, 20);
        assert_eq!(places(&recalled), [(0, 4), (1, 7), (2, 8), (3, 9), (4, 10), (5, 11), (6, 12)]);
        assert_eq!(distances(&recalled)[..3], [(9, 4), (1, 12), (2, 11)]);
    }

    #[test]
    fn a_gap_is_a_distance_and_leaves_its_places_empty() {
        let bank = bank(&[10], [12, 20]);
        let recalled = bank.recall(22, Direction::Forward, 40);
        assert_eq!(places(&recalled), [(0, 10), (5, 20)]);
        assert_eq!(distances(&recalled), [(12, 10), (2, 20), (10, 12)]);
    }

    #[test]
    fn going_back_looks_at_later_frames_and_at_no_pointer_of_an_earlier_prompt() {
        let bank = bank(&[4, 9], [8, 7]);
        let recalled = bank.recall(6, Direction::Reverse, 20);
        assert_eq!(places(&recalled), [(0, 4), (0, 9), (5, 8), (6, 7)]);
        assert_eq!(distances(&recalled), [(3, 9), (1, 7), (2, 8)]);
    }

    #[test]
    fn a_short_video_looks_at_fewer_pointers() {
        let bank = bank(&[0], 1..=4);
        let recalled = bank.recall(5, Direction::Forward, 3);
        assert_eq!(distances(&recalled), [(5, 0), (1, 4), (2, 3)]);
    }

    #[test]
    fn what_is_forgotten_would_never_have_been_looked_at() {
        let (mut bounded, mut all) = (bank(&[50], []), bank(&[50], []));
        let way = (51..100).map(|t| (t, Direction::Forward));
        for (time, direction) in way.chain((0..50).rev().map(|t| (t, Direction::Reverse))) {
            let (a, b) = (bounded.recall(time, direction, 100), all.recall(time, direction, 100));
            assert_eq!((places(&a), distances(&a)), (places(&b), distances(&b)), "at {time}");
            bounded.add_tracked(frame(time));
            all.tracked.insert(time, frame(time));
            assert!(bounded.tracked.len() <= 46 && bounded.maps() <= 20, "at {time}");
        }
    }
}
