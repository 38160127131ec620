//! A start prompt and how far it may be carried.

use crate::coordinates::{Span, StackIndex};
use crate::prompt::SlicePrompt;

/// Where a journey starts and how far it may go.
#[derive(Clone, Debug, PartialEq)]
pub struct Track {
    /// Label that the answers get.
    pub label: u8,
    /// Slice on which the start prompt is used.
    pub start: StackIndex,
    /// Slices it may visit; `start` is one of them.
    pub span: Span<StackIndex>,
    /// Start prompt.
    pub prompt: SlicePrompt,
}
