//! A buffer whose rows are written by several threads.

use std::marker::PhantomData;

/// A buffer of which each place is used by one thread at a time; its users see to that.
pub(crate) struct Shared<'a> {
    data: *mut f32,
    len: usize,
    borrow: PhantomData<&'a mut [f32]>,
}

// SAFETY: only `slice` uses the pointer, and its callers give each place to one thread.
unsafe impl Sync for Shared<'_> {}
// SAFETY: as above.
unsafe impl Send for Shared<'_> {}

impl<'a> Shared<'a> {
    pub fn new(data: &'a mut [f32]) -> Self {
        Self { data: data.as_mut_ptr(), len: data.len(), borrow: PhantomData }
    }

    /// The numbers at `start .. start + len`.
    ///
    /// # Safety
    /// Nobody else may use these places while the slice lives.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn slice(&self, start: usize, len: usize) -> &mut [f32] {
        assert!(start + len <= self.len, "{start} + {len} is beyond {}", self.len);
        // SAFETY: inside the buffer, and the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.data.add(start), len) }
    }
}
