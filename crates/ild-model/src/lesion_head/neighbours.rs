//! The 3×3 neighbourhood of every pixel of a channels-last map as its channels, and its gradient.

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

/// Each pixel with its eight neighbours, zeros beyond the edge.
pub(super) const NEIGHBOURS: usize = 9;

/// The 3×3 neighbourhood of each pixel, row by row.
///
/// # Shapes
/// - `x`: `[b, h, w, c]`; returns `[b, h, w, 9c]`
pub(super) fn neighbourhoods(x: &Tensor) -> Result<Tensor> {
    if x.device().is_cpu() && x.dtype() == DType::F32 {
        return x.contiguous()?.apply_op1(Gather);
    }
    plain(x)
}

/// The same in Candle's own operations.
fn plain(x: &Tensor) -> Result<Tensor> {
    let (_, h, w, _) = x.dims4()?;
    let padded = x.pad_with_zeros(1, 1, 1)?.pad_with_zeros(2, 1, 1)?;
    let shifted = |i: usize| padded.narrow(1, i / 3, h)?.narrow(2, i % 3, w);
    let shifted = (0..NEIGHBOURS).map(shifted).collect::<Result<Vec<_>>>()?;
    Tensor::cat(&shifted, 3)
}

/// `[b, h, w, c]` to `[b, h, w, 9c]`.
struct Gather;

/// The sum of what the neighbourhoods say of each pixel: `[b, h, w, 9c]` to `[b, h, w, c]`.
struct Scatter;

/// The row `row + i − 1` of an image of `height` rows, where there is one.
fn neighbour(row: usize, i: usize, height: usize) -> Option<usize> {
    (row + i).checked_sub(1).filter(|at| *at < height)
}

fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
        None => bail!("neighbourhoods: expected a contiguous tensor"),
    }
}

impl CustomOp1 for Gather {
    fn name(&self) -> &'static str {
        "neighbourhoods"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (b, h, w, c) = layout.shape().dims4()?;
        let x = values(storage, layout)?;
        let mut out = vec![0f32; b * h * w * NEIGHBOURS * c];
        out.par_chunks_mut((w * NEIGHBOURS * c).max(1)).enumerate().for_each(|(line, out)| {
            let (image, y) = (line / h, line % h);
            for i in 0..3 {
                let Some(from) = neighbour(y, i, h) else { continue };
                let row = &x[(image * h + from) * w * c..][..w * c];
                for (at, out) in out.chunks_exact_mut(NEIGHBOURS * c).enumerate() {
                    // Three pixels side by side are one stretch of the row.
                    let (first, last) = (at.max(1) - 1, (at + 2).min(w));
                    let skip = first + 1 - at;
                    let to = &mut out[(3 * i + skip) * c..][..(last - first) * c];
                    to.copy_from_slice(&row[first * c..last * c]);
                }
            }
        });
        Ok((CpuStorage::F32(out), Shape::from((b, h, w, NEIGHBOURS * c))))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(grad.contiguous()?.apply_op1_no_bwd(&Scatter)?))
    }
}

impl CustomOp1 for Scatter {
    fn name(&self) -> &'static str {
        "neighbourhoods-gradient"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (b, h, w, wide) = layout.shape().dims4()?;
        let c = wide / NEIGHBOURS;
        let grad = values(storage, layout)?;
        let mut out = vec![0f32; b * h * w * c];
        out.par_chunks_mut((w * c).max(1)).enumerate().for_each(|(line, out)| {
            let (image, y) = (line / h, line % h);
            for i in 0..3 {
                // Row `y` is row `i` in the neighbourhoods of row `y + 1 − i`.
                let Some(around) = neighbour(y, 2 - i, h) else { continue };
                let row = &grad[(image * h + around) * w * wide..][..w * wide];
                for (at, grad) in row.chunks_exact(wide).enumerate() {
                    let (first, last) = (at.max(1) - 1, (at + 2).min(w));
                    let skip = first + 1 - at;
                    let grad = &grad[(3 * i + skip) * c..][..(last - first) * c];
                    out[first * c..last * c].iter_mut().zip(grad).for_each(|(to, g)| *to += g);
                }
            }
        });
        Ok((CpuStorage::F32(out), Shape::from((b, h, w, c))))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    #[test]
    fn neighbourhoods_are_rows_of_three_with_zeros_beyond_the_edge() {
        let x = Tensor::arange(1f32, 5.0, &Device::Cpu).unwrap().reshape((1, 2, 2, 1)).unwrap();
        let found = neighbourhoods(&x).unwrap().reshape((4, 9)).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(found[0], [0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 0.0, 3.0, 4.0]);
        assert_eq!(found[3], [1.0, 2.0, 0.0, 3.0, 4.0, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn values_and_gradients_are_those_of_the_plain_form() {
        for (b, h, w, c) in [(2, 5, 4, 3), (1, 1, 1, 2), (1, 1, 6, 1), (3, 7, 1, 2)] {
            let n = b * h * w * c;
            let x = (0..n).map(|i| (i * 37 % 101) as f32 / 50.0 - 1.0).collect::<Vec<_>>();
            let x = Tensor::from_vec(x, (b, h, w, c), &Device::Cpu).unwrap();
            let x = Var::from_tensor(&x).unwrap();
            let weight = Tensor::arange(0f32, (9 * c) as f32, &Device::Cpu).unwrap();
            let run = |f: fn(&Tensor) -> Result<Tensor>| {
                let y = f(x.as_tensor()).unwrap();
                let loss = y.sqr().unwrap().broadcast_mul(&weight).unwrap().sum_all().unwrap();
                let gradient = loss.backward().unwrap().get(&x).unwrap().clone();
                [y, gradient].map(|t| t.flatten_all().unwrap().to_vec1::<f32>().unwrap())
            };
            let (ours, plain) = (run(neighbourhoods), run(plain));
            assert_eq!(ours[0], plain[0]);
            for (a, b) in ours[1].iter().zip(&plain[1]) {
                assert!((a - b).abs() < 1e-4, "{a} against {b}");
            }
        }
    }
}
