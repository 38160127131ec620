//! What the answers on the start slices say about the prompts: a box that the model draws outside
//! of, or in which it finds nothing, is told to the user.

use ild_io::LabelTable;

use crate::Scan;
use crate::coordinates::StackIndex;
use crate::prompt::Track;
use crate::propagate::Answer;

/// How many places a note names.
const SHOWN: usize = 4;

/// Start prompts that were not answered inside themselves.
#[derive(Clone, Debug, Default)]
pub struct Starts {
    /// Label and slice of boxes whose answer lies wholly outside them.
    outside: Vec<(u8, StackIndex)>,
    /// Label and slice of prompts without an answer.
    empty: Vec<(u8, StackIndex)>,
}

impl Starts {
    /// Looks at an answer for `track`; any but that on its start slice is passed over.
    pub fn look(&mut self, track: &Track, answer: &Answer) {
        if answer.slice != track.start {
            return;
        }
        let mask = answer.prediction.mask();
        let mut drawn = mask.indexed_iter().filter(|&(_, &inside)| inside).map(|(at, _)| at);
        let place = (track.label, answer.slice);
        if mask.iter().all(|&inside| !inside) {
            self.empty.push(place);
        } else if let Some(b) = track.prompt.around()
            && !drawn.any(|(y, x)| b.holds(x, y))
        {
            self.outside.push(place);
        }
    }

    /// In words, one note for each kind.
    #[must_use]
    pub fn notes(&self, scan: &Scan) -> Vec<String> {
        let of_all = |places: &[(u8, StackIndex)], what: &str| {
            (!places.is_empty()).then(|| format!("{what}: {}", listed(places, scan)))
        };
        let outside = of_all(&self.outside, "the model drew wholly outside the start box of");
        let empty = of_all(&self.empty, "the model found nothing at the start prompt of");
        outside.into_iter().chain(empty).collect()
    }
}

fn listed(places: &[(u8, StackIndex)], scan: &Scan) -> String {
    let name = |table: &LabelTable, &(label, slice): &(u8, StackIndex)| {
        format!("{} on slice {}", table.name(label), scan.ct_slice(slice).0)
    };
    let mut names: Vec<String> =
        places.iter().take(SHOWN).map(|place| name(&scan.label_table, place)).collect();
    if places.len() > SHOWN {
        names.push(format!("and {} more", places.len() - SHOWN));
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use ild_io::{Affine, Geometry, Volume, Voxels};
    use ild_model::SliceBox;
    use ndarray::{Array2, Array3, s};

    use super::*;
    use crate::Prediction;
    use crate::coordinates::Span;
    use crate::prompt::SlicePrompt;

    fn scan() -> Scan {
        let geometry = Geometry::new([3, 20, 20], Affine::from_spacing_xyz_mm([1.0, 1.0, 5.0]));
        let ct = Volume { voxels: Voxels::I16(Array3::zeros((3, 20, 20))), geometry };
        Scan::of_ct("a", ct, ild_preprocess::Windowing::default(), &LabelTable::default())
    }

    fn note(drawn: std::ops::Range<usize>) -> Vec<String> {
        let track = Track {
            label: 5,
            start: StackIndex(1),
            span: Span::whole(3),
            prompt: SlicePrompt::Box(SliceBox::new([2.0, 2.0, 8.0, 8.0])),
        };
        let mut probability = Array2::zeros((20, 20));
        probability.slice_mut(s![drawn.clone(), drawn]).fill(0.9);
        let prediction = Prediction { probability, scores: None, range: None };
        let mut starts = Starts::default();
        for slice in [StackIndex(1), StackIndex(2)] {
            starts.look(&track, &Answer { track: 0, slice, prediction: prediction.clone() });
        }
        starts.notes(&scan())
    }

    #[test]
    fn an_answer_wholly_outside_its_box_is_told_and_one_that_touches_it_is_not() {
        assert_eq!(note(8..12), Vec::<String>::new());
        let text = note(9..12).join("");
        assert!(text.contains("outside the start box of: Honeycombing on slice 1"), "{text}");
        assert!(note(0..0).join("").contains("nothing at the start prompt of: Honeycombing"));
    }
}
