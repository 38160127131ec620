//! Working memory that starts at a cache line, so that no load or store of a whole register touches
//! two.

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use super::memory::{Number, unspecified};

/// A cache line, and a register of AVX-512.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; 64]);

// SAFETY: any bytes are a line.
unsafe impl Number for Line {}

/// Numbers that are written before they are read.
#[derive(Default)]
pub(crate) struct Buffer<T = f32> {
    lines: Vec<Line>,
    len: usize,
    numbers: PhantomData<T>,
}

impl<T: Number> Buffer<T> {
    pub fn unspecified(len: usize) -> Self {
        let lines = unspecified((len * size_of::<T>()).div_ceil(size_of::<Line>()));
        Self { lines, len, numbers: PhantomData }
    }

    /// The first `len` places; it grows, and forgets, when it must.
    pub fn room(&mut self, len: usize) -> &mut [T] {
        if self.len < len {
            *self = Self::unspecified(len);
        }
        &mut self[..len]
    }

    /// The first `len` places for numbers of another kind.
    pub fn room_of<U: Number>(&mut self, len: usize) -> &mut [U] {
        let room = self.room((len * size_of::<U>()).div_ceil(size_of::<T>()));
        // SAFETY: the room is large enough, aligned for any, and any bytes are numbers.
        unsafe { std::slice::from_raw_parts_mut(room.as_mut_ptr().cast(), len) }
    }
}

impl<T: Number> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: the lines hold `len` numbers, aligned for any.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl<T: Number> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}

impl<T> std::fmt::Debug for Buffer<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{} numbers", self.len)
    }
}
