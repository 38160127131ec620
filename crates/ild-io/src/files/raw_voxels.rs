//! A block of numbers in a file becomes an array: guards, then one inflate straight into place.

use bytemuck::Pod;
use ndarray::Array3;

use crate::files::input::Input;
use crate::files::nifti::DataType;
use crate::{Result, Voxels};

/// How voxels are stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub data_type: DataType,
    pub shape_zyx: [usize; 3],
    pub big_endian: bool,
    /// Where the voxels start in the stream, bytes.
    pub offset: u64,
}

/// Reads the voxels and everything behind them; `position` is where the stream stands.
pub(crate) fn read(input: &mut Input, layout: Layout, position: u64) -> Result<Voxels> {
    let voxels = layout.shape_zyx.iter().fold(1u64, |product, &n| product.saturating_mul(n as u64));
    let bytes = voxels.saturating_mul(layout.data_type.bytes() as u64);
    input.check_promise(bytes.saturating_add(layout.offset), "voxels")?;
    input.skip(layout.offset - position, position)?;
    let voxels = match layout.data_type {
        DataType::U8 => Voxels::U8(typed(input, layout)?),
        DataType::I8 => Voxels::I8(typed(input, layout)?),
        DataType::U16 => Voxels::U16(typed(input, layout)?),
        DataType::I16 => Voxels::I16(typed(input, layout)?),
        DataType::U32 => Voxels::U32(typed(input, layout)?),
        DataType::I32 => Voxels::I32(typed(input, layout)?),
        DataType::U64 => Voxels::U64(typed(input, layout)?),
        DataType::I64 => Voxels::I64(typed(input, layout)?),
        DataType::F32 => Voxels::F32(typed(input, layout)?),
        DataType::F64 => Voxels::F64(typed(input, layout)?),
    };
    input.drain()?;
    Ok(voxels)
}

/// Voxels in their stored type, in this machine's byte order.
fn typed<T: Pod + Default>(input: &mut Input, layout: Layout) -> Result<Array3<T>> {
    let [z, y, x] = layout.shape_zyx;
    // Zeroed memory costs nothing until it is touched, so a promise that the file does not keep
    // takes no pages.
    let mut voxels = vec![T::default(); z * y * x];
    let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut voxels);
    input.fill(bytes, layout.offset)?;
    let size = size_of::<T>();
    if size > 1 && layout.big_endian != cfg!(target_endian = "big") {
        bytes.chunks_exact_mut(size).for_each(<[u8]>::reverse);
    }
    Ok(Array3::from_shape_vec((z, y, x), voxels)
        .unwrap_or_else(|_| unreachable!("the vector was made for this shape")))
}
