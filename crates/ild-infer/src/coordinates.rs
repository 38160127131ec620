//! Which slice: of the stack that is segmented, or of the CT; and stretches of slices.
//!
//! Places on a slice and on the model's input are ild-model's ([`ild_model::SliceBox`],
//! [`ild_model::InputBox`]).

use serde::{Serialize, Serializer};

/// A slice of the stack that is segmented, from 0. The stack of an NPZ holds some of the CT's
/// slices, that of a CT all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct StackIndex(pub usize);

/// An axial slice of the CT, from 0 at the feet, whatever the order of its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct CtSlice(pub usize);

/// A stretch of slices; both ends belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span<I> {
    /// First slice.
    pub first: I,
    /// Last slice.
    pub last: I,
}

impl<I: Copy + PartialOrd> Span<I> {
    /// One slice.
    pub fn only(slice: I) -> Self {
        Self { first: slice, last: slice }
    }

    /// Whether `slice` belongs to it.
    pub fn holds(&self, slice: I) -> bool {
        self.first <= slice && slice <= self.last
    }

    /// The shortest span that holds this one and `slice`.
    #[must_use]
    pub fn with(self, slice: I) -> Self {
        Self {
            first: if slice < self.first { slice } else { self.first },
            last: if slice > self.last { slice } else { self.last },
        }
    }
}

impl Span<StackIndex> {
    /// The whole of a stack of `slices` (at least one).
    #[must_use]
    pub fn whole(slices: usize) -> Self {
        Self { first: StackIndex(0), last: StackIndex(slices.saturating_sub(1)) }
    }

    /// The slice in the middle; of two, the lower.
    #[must_use]
    pub fn middle(self) -> StackIndex {
        StackIndex(self.first.0 + (self.last.0 - self.first.0) / 2)
    }
}

impl<I: Serialize> Serialize for Span<I> {
    /// As `[first, last]`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&self.first, &self.last).serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_of_a_span_belong_to_it() {
        let span = Span::only(StackIndex(4)).with(StackIndex(7)).with(StackIndex(5));
        assert!(span.holds(StackIndex(4)) && span.holds(StackIndex(7)));
        assert!(!span.holds(StackIndex(3)) && !span.holds(StackIndex(8)));
        assert_eq!(span.middle(), StackIndex(5));
        assert_eq!(serde_json::to_string(&span).unwrap(), "[4,7]");
    }
}
