//! Pixels of one bit: the first in the lowest bit of a byte, frames joined without a gap (PS3.5 8.1.1,
//! D.3).

use ndarray::{ArrayView2, ArrayView3, Axis};
use rayon::prelude::*;

/// Bytes for `frames` frames of `pixels` pixels, without padding.
pub(super) fn packed_bytes(frames: usize, pixels: usize) -> usize {
    (frames * pixels).div_ceil(8)
}

/// A frame: where the slice holds the label.
pub(super) type Frame = (usize, u8);

/// Packs frames of `labels` (`[slice, row, column]`, contiguous), one after the other.
pub(super) fn pack(labels: ArrayView3<u8>, frames: &[Frame]) -> Vec<u8> {
    let (_, rows, columns) = labels.dim();
    let pixels = rows * columns;
    let mut out = vec![0u8; packed_bytes(frames.len(), pixels)];
    // Eight frames end at a byte whatever their size.
    let parts = out.par_chunks_mut(pixels.max(1)).zip(frames.par_chunks(8));
    parts.for_each(|(bytes, frames)| {
        for (i, &(slice, label)) in frames.iter().enumerate() {
            pack_frame(labels.index_axis(Axis(0), slice), label, bytes, i * pixels);
        }
    });
    out
}

fn pack_frame(slice: ArrayView2<u8>, label: u8, bytes: &mut [u8], first_bit: usize) {
    let slice = slice.as_standard_layout();
    let values = slice.as_slice().unwrap_or_else(|| unreachable!("standard layout is contiguous"));
    let mut at = first_bit;
    let mut values = values;
    while !at.is_multiple_of(8) && !values.is_empty() {
        bytes[at / 8] |= u8::from(values[0] == label) << (at % 8);
        (at, values) = (at + 1, &values[1..]);
    }
    let mut chunks = values.chunks_exact(8);
    for (byte, eight) in bytes[at / 8..].iter_mut().zip(&mut chunks) {
        *byte = (0..8).fold(0, |byte, bit| byte | u8::from(eight[bit] == label) << bit);
    }
    at += values.len() / 8 * 8;
    for (i, &value) in chunks.remainder().iter().enumerate() {
        bytes[(at + i) / 8] |= u8::from(value == label) << ((at + i) % 8);
    }
}

/// Whether pixel `i` of all frames is set.
#[cfg(test)]
pub(super) fn bit(bytes: &[u8], i: usize) -> bool {
    bytes[i / 8] >> (i % 8) & 1 == 1
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;

    /// Three frames of 5 × 5 are 75 bits in 10 bytes; their centres are bits 12, 37 and 62.
    #[test]
    fn frames_are_joined_without_a_gap() {
        let mut labels = Array3::<u8>::zeros((3, 5, 5));
        for z in 0..3 {
            labels[[z, 2, 2]] = 7;
        }
        let bytes = pack(labels.view(), &[(0, 7), (1, 7), (2, 7)]);
        assert_eq!(bytes.len(), 10);
        let set: Vec<usize> = (0..80).filter(|&i| bit(&bytes, i)).collect();
        assert_eq!(set, [12, 37, 62]);
    }

    #[test]
    fn what_is_packed_is_what_is_read_for_every_size() {
        for (rows, columns) in [(1, 1), (3, 5), (4, 4), (7, 9), (16, 16)] {
            let labels = Array3::from_shape_fn((19, rows, columns), |(z, y, x)| {
                (z * 31 + y * 7 + x * 3) as u8 % 3
            });
            let frames: Vec<Frame> =
                (0..19).flat_map(|z| [(z, 1u8), (z, 2)]).filter(|(z, _)| z % 4 != 1).collect();
            let bytes = pack(labels.view(), &frames);
            for (i, &(z, label)) in frames.iter().enumerate() {
                for (pixel, &value) in labels.index_axis(Axis(0), z).iter().enumerate() {
                    assert_eq!(bit(&bytes, i * rows * columns + pixel), value == label);
                }
            }
        }
    }
}
