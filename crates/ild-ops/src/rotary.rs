//! Rotary position embedding: neighbouring channels are turned by the angle of their token's place.
//!
//! `(a, b) → (a·cos − b·sin, a·sin + b·cos)`. The gradient is turned back. The tables get none.

use candle_core::{Result, Tensor, bail};
use rayon::prelude::*;

use super::node::{Fused, apply};

/// Tokens handled as one task.
const ROWS: usize = 64;

/// Checks the shapes; returns the tokens of the tables and the channels.
pub(crate) fn sizes(
    x: &Tensor,
    cos: &Tensor,
    sin: &Tensor,
    turned: usize,
) -> Result<(usize, usize)> {
    let (_, tokens, channels) = x.dims3()?;
    let (places, pairs) = cos.dims2()?;
    let fits = sin.dims() == cos.dims() && 2 * pairs == channels && places > 0;
    if !fits || turned > tokens || !turned.is_multiple_of(places) {
        bail!(
            "rotary: expected tables [places, {}] for {:?} and a multiple of places up to {tokens} to turn, found {:?}, {:?} and {turned}",
            channels / 2,
            x.dims(),
            cos.dims(),
            sin.dims()
        );
    }
    Ok((places, channels))
}

pub(crate) fn rotary(x: &Tensor, cos: &Tensor, sin: &Tensor, turned: usize) -> Result<Tensor> {
    let (places, channels) = sizes(x, cos, sin, turned)?;
    let op = Rotary { tokens: x.dim(1)?, turned, places, channels };
    apply(op, x.shape(), &[x, &cos.detach(), &sin.detach()])
}

struct Rotary {
    tokens: usize,
    turned: usize,
    places: usize,
    channels: usize,
}

impl Rotary {
    /// Turns every token, backwards for a gradient (`sign` −1).
    fn turn(&self, x: &[f32], (cos, sin): (&[f32], &[f32]), sign: f32, out: &mut [f32]) {
        let (c, pairs) = (self.channels, self.channels / 2);
        let blocks = out.par_chunks_mut(ROWS * c).zip(x.par_chunks(ROWS * c)).enumerate();
        blocks.for_each(|(block, (out, x))| {
            for (i, (out, x)) in out.chunks_exact_mut(c).zip(x.chunks_exact(c)).enumerate() {
                let token = (block * ROWS + i) % self.tokens;
                if token >= self.turned {
                    out.copy_from_slice(x);
                    continue;
                }
                let at = token % self.places * pairs;
                let angles = cos[at..at + pairs].iter().zip(&sin[at..at + pairs]);
                let points = out.chunks_exact_mut(2).zip(x.chunks_exact(2));
                for ((out, x), (cos, sin)) in points.zip(angles) {
                    let sin = sign * sin;
                    out[0] = x[0] * cos - x[1] * sin;
                    out[1] = x[0] * sin + x[1] * cos;
                }
            }
        });
    }
}

impl Fused for Rotary {
    const NAME: &'static str = "rotary";

    fn forward(&self, inputs: &[&[f32]], out: &mut [f32]) {
        let &[x, cos, sin] = inputs else { unreachable!("rotary has three inputs") };
        self.turn(x, (cos, sin), 1.0, out);
    }

    fn backward(
        &self,
        inputs: &[&[f32]],
        _: &[f32],
        grad: &[f32],
        gradients: &mut [Option<&mut [f32]>],
    ) {
        let &[_, cos, sin] = inputs else { unreachable!("rotary has three inputs") };
        if let Some(dx) = &mut gradients[0] {
            self.turn(grad, (cos, sin), -1.0, dx);
        }
    }
}
