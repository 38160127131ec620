//! A case that is open: what the program does with it from end to end, another program can do click
//! by click.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ild_model::LesionMaps;
use indicatif::ProgressBar;
use ndarray::{Array3, Axis};

use crate::coordinates::{CtSlice, StackIndex};
use crate::merge::Merger;
use crate::model::decode::Decoder;
use crate::model::features::ahead::{Ahead, with_features};
use crate::model::features::kept::{CaseKey, Kept};
use crate::model::features::plan::Plan;
use crate::model::views::Views;
use crate::prompt::{InputPrompt, SlicePrompt, Track};
use crate::propagate::journey::Rules;
use crate::propagate::{Answer, BoxJourney, GapRule, MemoryPropagation, Propagation, Propagator};
use crate::{Engine, Error, Prediction, Result, Scan, SliceSegmenter, Stop};

/// How boxes travel, before it is known through which stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JourneySettings {
    /// Outward move of each side of a box taken from a mask, px: of the slice for start boxes, of
    /// the model's input for boxes that travel.
    pub bbox_shift: usize,
    /// What happens between slices that are not neighbours in the CT.
    pub gap: GapRule,
    /// A journey ends after this many empty answers in a row; `None`: never.
    pub stop_after: Option<usize>,
}

/// A scan and a model that looks at it; each slice is encoded once as long as memory allows.
///
/// # Example
/// ```
/// use ild_infer::merge::Merger;
/// use ild_infer::prompt::{SlicePrompt, Track};
/// use ild_infer::propagate::GapRule;
/// use ild_infer::coordinates::{Span, StackIndex};
/// use ild_infer::{Engine, JourneySettings, Scan, Session};
/// use ild_model::{SliceBox, SlicePoint};
/// # use ild_model::{Sam2, Sam2Config, Weights};
/// # use ild_io::{Affine, Geometry, Volume, Voxels};
/// # use ndarray::Array3;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let config = Sam2Config::from_name_or_file("nano")?;
/// # let (model, _) = Sam2::load(&config, &Weights::random(&config, 7)?, &candle_core::Device::Cpu)?;
/// # let ct = Volume {
/// #     voxels: Voxels::I16(Array3::from_elem((5, 64, 64), -850)),
/// #     geometry: Geometry::new([5, 64, 64], Affine::from_spacing_xyz_mm([0.7, 0.7, 5.0])),
/// # };
/// # let table = ild_io::LabelTable::default();
/// let engine = Engine::of_model(model); // or Engine::load(checkpoint, …)
/// let scan = Scan::of_ct("patient", ct, "lung".parse()?, &table); // or Scan::from_nifti(path, …)
/// let session = Session::open(&engine, scan);
///
/// // A click, and another one: the slice is encoded for the first.
/// let slice = StackIndex(2);
/// let click = SlicePrompt::Points(vec![(SlicePoint { x: 30.0, y: 41.0 }, true)]);
/// let answer = session.answer(slice, &[click])?.remove(0);
/// println!("{} px", answer.mask().iter().filter(|&&inside| inside).count());
/// let drawn = SlicePrompt::Box(SliceBox::new([20.0, 30.0, 44.0, 52.0]));
/// session.answer(slice, std::slice::from_ref(&drawn))?;
/// assert_eq!(session.encoded(), 1);
///
/// // The box travels through the stack; its answers become a label map.
/// let track = Track { label: 3, start: slice, span: Span::whole(5), prompt: drawn };
/// let journey = session.journey(JourneySettings {
///     bbox_shift: 5,
///     gap: GapRule::Near,
///     stop_after: Some(3),
/// });
/// let mut merger = Merger::new(session.scan().stack_shape(), false);
/// session.segment(&journey, &[track], &mut merger, None, |_| ())?;
/// let labels = session.scan().placement.in_ct(merger.labels); // [z, y, x] of the CT
/// # assert_eq!(labels.dim(), (5, 64, 64));
/// # Ok(())
/// # }
/// ```
pub struct Session<'e> {
    engine: &'e Engine,
    scan: Scan,
    kept: Arc<FeatureStore>,
    case: CaseKey,
    encoded: AtomicUsize,
    progress: ProgressBar,
    stop: Stop,
}

/// Features of slices, of one case or of all that are open at once.
pub type FeatureStore = Kept<Views>;

/// Memory for features unless told otherwise, MiB.
const FEATURE_MEMORY_MIB: usize = 2048;

impl<'e> Session<'e> {
    /// Looks at `scan` with the model of `engine`; features may take 2 GiB.
    #[must_use]
    pub fn open(engine: &'e Engine, scan: Scan) -> Self {
        Self::sharing(engine, scan, Arc::new(engine.feature_store(FEATURE_MEMORY_MIB)))
    }

    /// The same with features in `store`, which other open cases of the same engine may use too
    /// ([`Engine::feature_store`]); what does not fit is encoded again.
    #[must_use]
    pub fn sharing(engine: &'e Engine, scan: Scan, store: Arc<FeatureStore>) -> Self {
        Self {
            case: store.case(),
            kept: store,
            engine,
            scan,
            encoded: AtomicUsize::new(0),
            progress: ProgressBar::hidden(),
            stop: Stop::default(),
        }
    }

    /// The same with this much memory for features; what does not fit is encoded again.
    #[must_use]
    pub fn with_feature_memory(mut self, mib: usize) -> Self {
        self.kept = Arc::new(self.engine.feature_store(mib));
        self.case = self.kept.case();
        self
    }

    /// The same, given up at the next slice once `stop` says so.
    #[must_use]
    pub fn with_stop(mut self, stop: Stop) -> Self {
        self.stop = stop;
        self
    }

    /// The same with a bar that advances slice by slice.
    #[must_use]
    pub fn with_progress(mut self, progress: ProgressBar) -> Self {
        self.progress = progress;
        self
    }

    /// The case.
    #[must_use]
    pub fn scan(&self) -> &Scan {
        &self.scan
    }

    /// Closes the session and hands the case back.
    #[must_use]
    pub fn into_scan(self) -> Scan {
        self.kept.forget(self.case);
        self.scan
    }

    /// Forgets the features of this case; for stores that outlive it.
    pub fn forget_features(&self) {
        self.kept.forget(self.case);
    }

    /// The model.
    #[must_use]
    pub fn engine(&self) -> &'e Engine {
        self.engine
    }

    /// Encodings so far.
    #[must_use]
    pub fn encoded(&self) -> usize {
        self.encoded.load(Ordering::Relaxed)
    }

    /// The features of `slice`, kept for the next question.
    ///
    /// # Errors
    /// When the model fails.
    pub fn encode(&self, slice: StackIndex) -> Result<Arc<Views>> {
        let features = self.features(&[slice])?.remove(0);
        self.keep(slice, Arc::clone(&features));
        Ok(features)
    }

    /// Encodes `slices` and says what the lesion head of each view finds on them; nothing where the
    /// weights have none. Features are kept only with [`Session::keep`].
    ///
    /// # Errors
    /// When the model fails.
    pub fn look(&self, slices: &[StackIndex]) -> Result<(Vec<Views>, Vec<LesionMaps>)> {
        self.stop.check()?;
        let found = self.engine.encode_with_lesions(&self.scan, slices)?;
        self.encoded.fetch_add(slices.len(), Ordering::Relaxed);
        self.progress.inc(slices.len() as u64);
        Ok(found)
    }

    /// Keeps the features of `slice` for the next question, as long as there is room.
    pub fn keep(&self, slice: StackIndex, features: Arc<Views>) {
        self.kept.keep((self.case, slice), features);
    }

    /// Whether the features of `slice` are kept.
    #[must_use]
    pub fn is_encoded(&self, slice: StackIndex) -> bool {
        self.kept.get((self.case, slice)).is_some()
    }

    /// The bar that advances slice by slice.
    #[must_use]
    pub fn progress(&self) -> &ProgressBar {
        &self.progress
    }

    /// One answer for each prompt on `slice`.
    ///
    /// # Errors
    /// When the model fails.
    pub fn answer(&self, slice: StackIndex, prompts: &[SlicePrompt]) -> Result<Vec<Prediction>> {
        let features = self.encode(slice)?;
        let (size, side) = (self.scan.slice_size(), self.engine.side());
        let prompts: Vec<InputPrompt> =
            prompts.iter().map(|prompt| prompt.to_input(size, side)).collect();
        self.engine.decode(&features, &prompts, size)
    }

    /// The reference's propagation through this stack.
    #[must_use]
    pub fn journey(&self, settings: JourneySettings) -> BoxJourney {
        BoxJourney(Rules {
            side: self.engine.side(),
            bbox_shift: settings.bbox_shift,
            stop_after: settings.stop_after,
            restarts: self.scan.breaks(settings.gap),
            slice_size: self.scan.slice_size(),
        })
    }

    /// Propagation by SAM 2's memory through this stack.
    ///
    /// # Errors
    /// When the engine has none ([`Engine::with_memory`]).
    pub fn memory(&self, settings: JourneySettings) -> Result<MemoryPropagation<'e>> {
        let memory = self.engine.memory.as_ref().ok_or_else(|| {
            let path = &self.engine.origin.checkpoint;
            Error::refused(path, "a memory that was loaded", "none", "see Engine::with_memory")
        })?;
        Ok(MemoryPropagation::new(
            (&self.engine.model, memory),
            self.scan.z_index().iter().map(|&z| CtSlice(z)).collect(),
            self.scan.grid().shape_zyx[0],
            settings.stop_after,
            self.scan.slice_size(),
        ))
    }

    /// The propagation that was asked for.
    ///
    /// # Errors
    /// As [`Session::memory`].
    pub fn propagator(
        &self,
        how: Propagation,
        settings: JourneySettings,
    ) -> Result<Box<dyn Propagator + 'e>> {
        Ok(match how {
            Propagation::Box => Box::new(self.journey(settings)),
            Propagation::Memory => Box::new(self.memory(settings)?),
        })
    }

    /// Carries `tracks` through the stack and hands over each answer, while slices are encoded
    /// ahead on another thread.
    ///
    /// # Errors
    /// When the model or `take` fails, and the interruption by the user.
    pub fn propagate(
        &self,
        propagator: &dyn Propagator,
        tracks: &[Track],
        mut take: impl FnMut(Answer) -> Result<()>,
    ) -> Result<()> {
        self.propagate_within(None, propagator, tracks, &mut take)
    }

    /// The same, as if the model saw nothing outside `region` (`[n, y, x]`).
    fn propagate_within(
        &self,
        region: Option<&Array3<bool>>,
        propagator: &dyn Propagator,
        tracks: &[Track],
        take: &mut dyn FnMut(Answer) -> Result<()>,
    ) -> Result<()> {
        let order = propagator.visits(tracks);
        self.progress.inc_length(order.len() as u64);
        let room = self.kept.capacity().saturating_sub(self.kept.len());
        let plan = Plan::new(order, room.max(2 * self.engine.batch));
        with_features(
            &plan,
            self.engine.batch,
            |slices| self.features(slices),
            |features: &mut Ahead<_>| {
                let decoder =
                    Decoder { engine: self.engine, features, slice_size: self.scan.slice_size() };
                let mut watched = Watched { inner: decoder, region, progress: &self.progress };
                propagator.propagate(tracks, &mut watched, take)
            },
        )
    }

    /// [`Session::propagate`] into one label map. Where `region` (`[n, y, x]`) is given, nothing is
    /// seen outside it. `look` sees each answer before it is merged.
    ///
    /// # Errors
    /// As [`Session::propagate`].
    pub fn segment(
        &self,
        propagator: &dyn Propagator,
        tracks: &[Track],
        merger: &mut Merger,
        region: Option<&Array3<bool>>,
        mut look: impl FnMut(&Answer),
    ) -> Result<()> {
        self.propagate_within(region, propagator, tracks, &mut |mut answer| {
            if let Some(region) = region {
                confine(&mut answer.prediction, region, answer.slice);
            }
            look(&answer);
            merger.add(tracks[answer.track].label, answer.slice, &answer.prediction);
            Ok(())
        })
    }

    /// The features of `slices`: kept ones, and the others encoded together.
    fn features(&self, slices: &[StackIndex]) -> Result<Vec<Arc<Views>>> {
        let mut found: Vec<Option<Arc<Views>>> =
            slices.iter().map(|&slice| self.kept.get((self.case, slice))).collect();
        let missing: Vec<StackIndex> = slices
            .iter()
            .zip(&found)
            .filter(|(_, features)| features.is_none())
            .map(|(&slice, _)| slice)
            .collect();
        self.stop.check()?;
        if !missing.is_empty() {
            let new = self.engine.encode(&self.scan, &missing)?;
            self.encoded.fetch_add(new.len(), Ordering::Relaxed);
            let gaps = found.iter_mut().filter(|features| features.is_none());
            gaps.zip(new).for_each(|(gap, features)| *gap = Some(Arc::new(features)));
        }
        Ok(found.into_iter().flatten().collect())
    }
}

/// A segmenter that counts slices for the progress bar and may be confined to a region.
struct Watched<'a, S> {
    inner: S,
    region: Option<&'a Array3<bool>>,
    progress: &'a ProgressBar,
}

impl<S: SliceSegmenter> SliceSegmenter for Watched<'_, S> {
    fn segment(&mut self, slice: StackIndex, prompts: &[InputPrompt]) -> Result<Vec<Prediction>> {
        let mut predictions = self.inner.segment(slice, prompts)?;
        if let Some(region) = self.region {
            predictions.iter_mut().for_each(|prediction| confine(prediction, region, slice));
        }
        self.progress.inc(1);
        Ok(predictions)
    }

    fn features(&mut self, slice: StackIndex) -> Result<Arc<Views>> {
        let features = self.inner.features(slice)?;
        self.progress.inc(1);
        Ok(features)
    }
}

/// Nothing outside `region` (`[n, y, x]`) stays in the answer on `slice`.
fn confine(prediction: &mut Prediction, region: &Array3<bool>, slice: StackIndex) {
    let region = region.index_axis(Axis(0), slice.0);
    let Prediction { probability, range, .. } = prediction;
    let range = range.iter_mut().flat_map(|range| [&mut range.lowest, &mut range.highest]);
    for map in std::iter::once(probability).chain(range) {
        map.zip_mut_with(&region, |p, &inside| *p = if inside { *p } else { 0.0 });
    }
}
