//! The lesion head of the checkpoint as a finder: one encoding a slice, whose features are kept for
//! the decoder where the head found something.

use std::sync::Arc;

use ild_model::LesionMaps;
use ndarray::Array2;

use super::finder::{LesionFinder, SliceLesions};
use crate::coordinates::StackIndex;
use crate::{Error, Range, Result, Session};

/// Lesion maps are enlarged to this before the sigmoid, as the labels of training have it, px.
const MAP_PX: usize = 256;
/// Looks at slices of an open case.
pub struct HeadFinder<'a, 'e> {
    session: &'a Session<'e>,
    classes: Vec<u8>,
    slices: Vec<StackIndex>,
    worth: f32,
}

impl<'a, 'e> HeadFinder<'a, 'e> {
    /// Of the weights of `session`, for these slices (ascending); `None` when they have no classes.
    /// Features of slices with an `S·p` above `worth` are kept.
    #[must_use]
    pub fn new(session: &'a Session<'e>, slices: Vec<StackIndex>, worth: f32) -> Option<Self> {
        let classes = session.engine().model.lesion_head()?.classes().to_vec();
        Some(Self { session, classes, slices, worth })
    }
}

impl LesionFinder for HeadFinder<'_, '_> {
    fn classes(&self) -> &[u8] {
        &self.classes
    }

    fn look(&mut self, take: &mut dyn FnMut(StackIndex, SliceLesions) -> Result<()>) -> Result<()> {
        for slices in self.slices.chunks(self.session.engine().batch) {
            ild_cli::stop_if_interrupted()?;
            let (features, maps) = self.session.look(slices)?;
            for (i, (&slice, features)) in slices.iter().zip(features).enumerate() {
                let views: ild_model::Result<Vec<SliceLesions>> =
                    maps.iter().map(|maps| lesions(maps, i)).collect();
                let Some(found) = mean(views.map_err(Error::Model)?) else { continue };
                if found.lesion.iter().any(|&p| found.gate * p > self.worth) {
                    self.session.keep(slice, Arc::new(features));
                }
                take(slice, found)?;
            }
        }
        Ok(())
    }
}

fn lesions(maps: &LesionMaps, i: usize) -> ild_model::Result<SliceLesions> {
    let (_, h, w) = maps.lesion.dims3()?;
    let fine = maps.probabilities(i, h.max(MAP_PX), w.max(MAP_PX))?;
    let coarse = maps.probabilities(i, h, w)?;
    Ok(SliceLesions {
        lesion: fine.lesion,
        class: coarse.class,
        gate: fine.gate,
        present: fine.present,
        range: None,
    })
}

/// The mean of several views and how far apart they are; one view is itself.
fn mean(mut views: Vec<SliceLesions>) -> Option<SliceLesions> {
    if views.len() < 2 {
        return views.pop();
    }
    let lesions: Vec<Array2<f32>> =
        views.iter().map(|view| view.lesion.mapv(|p| view.gate * p)).collect();
    let range = Range::of(&lesions);
    let n = views.len() as f32;
    let mut all = views.pop()?;
    for view in &views {
        all.lesion += &view.lesion;
        all.class += &view.class;
        all.gate += view.gate;
        all.present.iter_mut().zip(&view.present).for_each(|(all, &p)| *all += p);
    }
    all.lesion /= n;
    all.class /= n;
    all.gate /= n;
    all.present.iter_mut().for_each(|p| *p /= n);
    Some(SliceLesions { range, ..all })
}
