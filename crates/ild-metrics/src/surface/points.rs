//! Finding the few marked voxels of a plane.

/// Calls `found` with the index of every non-zero entry of `plane`, ascending; blocks of zeros are
/// passed over eight at a time.
pub(crate) fn collect_marked(plane: &[u8], mut found: impl FnMut(usize)) {
    let (blocks, rest) = plane.as_chunks::<8>();
    for (block, bytes) in blocks.iter().enumerate() {
        if u64::from_ne_bytes(*bytes) != 0 {
            bytes
                .iter()
                .enumerate()
                .filter(|(_, v)| **v != 0)
                .for_each(|(i, _)| found(block * 8 + i));
        }
    }
    let start = blocks.len() * 8;
    rest.iter().enumerate().filter(|(_, v)| **v != 0).for_each(|(i, _)| found(start + i));
}
