//! Features of the slices, fetched by slice: encoded [`ahead`] of the decoder by a [`plan`], or
//! [`kept`] from click to click.

pub mod ahead;
pub mod kept;
pub mod plan;

use std::sync::Arc;

use crate::Result;
use crate::coordinates::StackIndex;
use crate::model::views::Views;

/// Where the features of a slice are had.
pub trait SliceFeatures {
    /// The features of `slice`.
    ///
    /// # Errors
    /// When encoding failed, or `slice` was not announced to one that works ahead.
    fn at(&mut self, slice: StackIndex) -> Result<Arc<Views>>;
}
