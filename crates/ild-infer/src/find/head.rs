//! The lesion head of the checkpoint as a finder: one encoding a slice, whose features are kept for
//! the decoder where the head found something.

use std::sync::Arc;

use ild_model::LesionMaps;

use super::finder::{LesionFinder, SliceLesions};
use crate::coordinates::StackIndex;
use crate::{Error, Result, Session};

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
            let Some(maps) = maps else { continue };
            for (i, (&slice, features)) in slices.iter().zip(features).enumerate() {
                let found = lesions(&maps, i).map_err(Error::Model)?;
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
    })
}
