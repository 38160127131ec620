//! One object from its prompted slice through a stack.

use crate::error::Result;
use crate::features::FrameFeatures;
use crate::memory::bank::{Bank, Direction, Remembered};
use crate::memory::video::{FrameOutput, Prompt, Sam2Video};

/// One object and its memory. Frames are handed in by whoever has them: features of one encoding
/// serve every object and both directions.
///
/// # Example
/// ```
/// use candle_core::{Device, Tensor};
/// use ild_model::memory::{Direction, Memory, MemoryConfig, Prompt, Sam2Video, Tracker, Version};
/// use ild_model::{Sam2, Sam2Config, Weights, image_to_input};
/// use ndarray::Array3;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let config = Sam2Config::from_name_or_file("nano")?;
/// let sizes = MemoryConfig { mem_dim: 16, dim_feedforward: 64, ..MemoryConfig::published(Version::Sam2_1) };
/// let weights = Weights::random(&config, 7)?.with_random_memory(&config, &sizes, 7)?; // or Weights::read(…)
/// let (model, _) = Sam2::load(&config, &weights, &Device::Cpu)?;
/// let (memory, _) = Memory::load(&config, &weights, &Device::Cpu)?;
/// let s = config.image_size;
///
/// let frames = 5..8; // slices 5, 6 and 7 of a CT of 200
/// let encode = |z: i64| -> Result<_, Box<dyn std::error::Error>> {
///     let slice = Array3::<u8>::from_elem((64, 64, 3), 10 * z as u8);
///     let input = image_to_input(slice.view(), s).into_raw_vec_and_offset().0;
///     Ok(model.encode_frame(&Tensor::from_vec(input, (1, 3, s, s), &Device::Cpu)?)?)
/// };
/// let mut tracker = Tracker::new(Sam2Video::new(&model, &memory), 200);
/// let mut found = vec![tracker.prompt(5, &encode(5)?, &Prompt::of_box([60.0, 80.0, 120.0, 140.0]))?];
/// for z in 6..8 {
///     found.push(tracker.track(z, &encode(z)?, Direction::Forward)?);
/// }
/// let inside = found[2].logits(64, 64)?.gt(0f64)?; // [64, 64]
/// # assert_eq!(inside.dims(), [64, 64]);
/// # assert_eq!(frames.len(), found.len());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Tracker<'a> {
    video: Sam2Video<'a>,
    bank: Bank,
    frames: usize,
}

impl<'a> Tracker<'a> {
    /// Nothing known yet. `frames` is how many slices the whole stack has: in a stack of fewer than
    /// 16 the same distance has another code, so a crop is not the whole.
    #[must_use]
    pub fn new(video: Sam2Video<'a>, frames: usize) -> Self {
        Self { video, bank: Bank::new(video.memory.config().num_maskmem), frames }
    }

    /// What it remembers.
    #[must_use]
    pub fn bank(&self) -> &Bank {
        &self.bank
    }

    /// Adds a frame that is known from elsewhere: tracked, not prompted.
    pub fn remember(&mut self, frame: Remembered) {
        self.bank.add_tracked(frame);
    }

    /// The object on a frame where it is pointed out, remembered as prompted: every other frame
    /// looks at it.
    ///
    /// # Errors
    /// As [`Sam2Video::prompt`].
    pub fn prompt(
        &mut self,
        time: i64,
        frame: &FrameFeatures,
        prompt: &Prompt,
    ) -> Result<FrameOutput> {
        self.prompt_again(time, frame, prompt, None)
    }

    /// [`Tracker::prompt`] once more, with more clicks; `previous` is what the last ones gave.
    ///
    /// # Errors
    /// As [`Sam2Video::prompt`].
    pub fn prompt_again(
        &mut self,
        time: i64,
        frame: &FrameFeatures,
        prompt: &Prompt,
        previous: Option<&FrameOutput>,
    ) -> Result<FrameOutput> {
        let output = self.video.prompt(frame, prompt, previous)?;
        self.bank.add_prompted(self.video.remember(time, frame, &output, true)?);
        Ok(output)
    }

    /// The object on the next frame of a direction, remembered.
    ///
    /// # Errors
    /// As [`Sam2Video::track`].
    pub fn track(
        &mut self,
        time: i64,
        frame: &FrameFeatures,
        direction: Direction,
    ) -> Result<FrameOutput> {
        let recalled = self.bank.recall(time, direction, self.frames);
        let output = self.video.track(frame, &recalled, self.frames)?;
        self.bank.add_tracked(self.video.remember(time, frame, &output, false)?);
        Ok(output)
    }

    /// The object on a frame that [`Tracker::track`] has visited, corrected by the user. Frames
    /// behind it are as they were: track them again from here.
    ///
    /// # Errors
    /// As [`Sam2Video::correct`].
    pub fn correct(
        &mut self,
        time: i64,
        frame: &FrameFeatures,
        direction: Direction,
        prompt: &Prompt,
        previous: &FrameOutput,
    ) -> Result<FrameOutput> {
        let recalled = self.bank.recall(time, direction, self.frames);
        let output = self.video.correct(frame, &recalled, self.frames, prompt, previous)?;
        self.bank.add_tracked(self.video.remember(time, frame, &output, true)?);
        Ok(output)
    }

    /// Forgets all but the prompted frames, before the other direction: the two then share nothing
    /// but the prompt.
    pub fn turn(&mut self) {
        self.bank.forget_tracked();
    }
}
