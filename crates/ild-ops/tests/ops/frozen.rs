//! Operations on layers that do not change: in each precision against their parts, one by one, in f64.

use std::sync::Arc;

use candle_core::{DType, Device, Result, Tensor, Var};
use ild_ops::{self as ops, Frozen, Norm, PackedWeight, Precision, WindowBlock, reference};

use crate::FUSED;
use crate::gradients::{numbers, random, relative_error};

/// f16 against f64: operands and short sums with eleven digits.
const HALF: f64 = 6e-3;

/// bf16 against f64: operands with eight digits, sums in f32.
const BF16: f64 = 3e-2;

/// The operation's result against the exact one, in every precision that runs here.
fn is_close(what: &str, exact: &Tensor, run: impl Fn(Precision) -> Result<Option<Tensor>>) {
    for (precision, from, to) in [
        (Precision::F32, 0.0, FUSED),
        (Precision::F16, FUSED, HALF),
        (Precision::Bf16, HALF / 10.0, BF16),
    ] {
        if precision.runs_on(&Device::Cpu) {
            let error =
                relative_error(&numbers(&run(precision).unwrap().unwrap()), &numbers(exact));
            assert!((from..to).contains(&error), "{what} in {}: {error:.2e}", precision.name());
        }
    }
}

fn tensor(shape: &[usize], seed: u64) -> Tensor {
    random(shape, seed, DType::F32)
}

fn exact(x: &Tensor) -> Tensor {
    x.to_dtype(DType::F64).unwrap()
}

/// A layer's weight and bias.
struct Layer([Tensor; 2], Arc<PackedWeight>);

impl Layer {
    fn new(weight: &[usize], outputs: usize, seed: u64) -> Self {
        let scale = 1.0 / (weight[1..].iter().product::<usize>() as f64).sqrt();
        Self(
            [(tensor(weight, seed) * scale).unwrap(), tensor(&[outputs], seed + 1)],
            Arc::default(),
        )
    }

    fn frozen(&self) -> Frozen<'_> {
        Frozen { weight: &self.0[0], bias: &self.0[1], packed: self.1.clone() }
    }

    fn exact(&self) -> [Tensor; 2] {
        self.0.each_ref().map(exact)
    }
}

fn norm([weight, bias]: &[Tensor; 2]) -> Norm<'_> {
    Norm { weight, bias, eps: 1e-6 }
}

fn exact_norm(x: &Tensor, [weight, bias]: &[Tensor; 2]) -> Result<Tensor> {
    reference::layer_norm(x, &exact(weight), &exact(bias), 1e-6)
}

/// The attention half of a block: `(b, h, w, channels, outputs, heads, window, pool_query)`.
struct Half {
    sizes: (usize, usize, usize, usize, usize, usize, usize, bool),
    x: Tensor,
    norm: [Tensor; 2],
    qkv: Layer,
    proj: Layer,
    shortcut: Option<Layer>,
}

impl Half {
    fn new(sizes: (usize, usize, usize, usize, usize, usize, usize, bool)) -> Self {
        let (b, h, w, c, d, ..) = sizes;
        Self {
            sizes,
            x: tensor(&[b, h, w, c], 1),
            norm: [tensor(&[c], 2), tensor(&[c], 3)],
            qkv: Layer::new(&[3 * d, c], 3 * d, 4),
            proj: Layer::new(&[d, d], d, 6),
            shortcut: (c != d).then(|| Layer::new(&[d, c], d, 8)),
        }
    }

    fn run(&self, x: &Tensor, precision: Precision) -> Result<Option<Tensor>> {
        let (_, _, _, _, _, heads, window, pool_query) = self.sizes;
        let (norm, qkv, proj) = (norm(&self.norm), self.qkv.frozen(), self.proj.frozen());
        let shortcut = self.shortcut.as_ref().map(Layer::frozen);
        ops::window_block(
            x,
            &WindowBlock { norm, qkv, proj, shortcut, heads, window, pool_query, precision },
        )
    }

    fn by_parts(&self) -> Result<Tensor> {
        let (_, _, _, _, _, heads, window, pool_query) = self.sizes;
        let x = exact(&self.x);
        let normed = exact_norm(&x, &self.norm)?;
        let mut shortcut = x;
        if let Some(layer) = &self.shortcut {
            let [weight, bias] = layer.exact();
            shortcut = reference::linear(&normed, &weight, Some(&bias))?;
        }
        if pool_query {
            shortcut = reference::max_pool_2x2(&shortcut)?;
        }
        let [weight, bias] = self.qkv.exact();
        let qkv = reference::linear(&normed, &weight, Some(&bias))?;
        let attended = reference::window_attention(&qkv, &bias, heads, window, pool_query)?;
        let [weight, bias] = self.proj.exact();
        reference::linear_residual(&attended, &weight, &bias, &shortcut)
    }
}

#[test]
fn half_a_block_in_windows_equals_its_parts() {
    for sizes in [
        (1, 16, 16, 24, 24, 1, 8, false),
        (2, 20, 33, 24, 24, 2, 7, false), // windows that do not fit
        (1, 32, 32, 24, 48, 2, 8, true),
        (2, 18, 22, 12, 24, 3, 4, true),
        (1, 16, 12, 24, 24, 2, 0, false), // the whole map
        (3, 5, 7, 9, 9, 3, 0, false),
        (1, 8, 8, 16, 16, 1, 4, true), // pooled without a change of width
        (1, 9, 6, 8, 20, 4, 3, false), // a change of width without pooling
        (1, 26, 30, 14, 14, 2, 13, false), // an odd number of keys, more than one block of queries
        (1, 23, 19, 18, 18, 2, 0, false), // an odd number of keys, more than one block of them
    ] {
        let half = Half::new(sizes);
        for _ in 0..2 {
            // The second time with the weights packed before.
            is_close(&format!("{sizes:?}"), &half.by_parts().unwrap(), |p| half.run(&half.x, p));
        }
        assert!(
            half.run(Var::from_tensor(&half.x).unwrap().as_tensor(), Precision::F32)
                .unwrap()
                .is_none(),
            "a gradient would be lost"
        );
    }
    let wrong = Half { x: tensor(&[1, 8, 8, 25], 1), ..Half::new((1, 8, 8, 24, 24, 2, 4, false)) };
    assert!(wrong.run(&wrong.x, Precision::F32).unwrap_err().to_string().contains("do not meet"));
}

#[test]
fn the_normed_mlp_equals_its_parts() {
    for (n, c, hidden) in
        [(1, 24, 96), (300, 24, 96), (97, 33, 71), (50, 200, 500), (1000, 96, 384)]
    {
        let (x, weights) = (tensor(&[n, c], 1), [tensor(&[c], 2), tensor(&[c], 3)]);
        let (first, second) = (Layer::new(&[hidden, c], hidden, 4), Layer::new(&[c, hidden], c, 6));
        let run = |x: &Tensor, precision| {
            ops::normed_mlp(x, &norm(&weights), [&first.frozen(), &second.frozen()], precision)
        };
        let normed = exact_norm(&exact(&x), &weights).unwrap();
        let ([w1, b1], [w2, b2]) = (first.exact(), second.exact());
        let parts = reference::mlp_residual(&normed, (&w1, &b1), (&w2, &b2), &exact(&x)).unwrap();
        is_close(&format!("{n} × {c}, {hidden} hidden"), &parts, |p| run(&x, p));
        assert!(
            run(Var::from_tensor(&x).unwrap().as_tensor(), Precision::F32).unwrap().is_none(),
            "a gradient would be lost"
        );
    }
}

#[test]
fn upscaling_equals_its_parts() {
    for (b, h, w, c, out, normed) in
        [(1, 8, 8, 32, 16, true), (2, 5, 3, 9, 7, true), (1, 16, 16, 16, 8, false)]
    {
        let (x, residual, weights) = (
            tensor(&[b, h, w, c], 1),
            tensor(&[b, 2 * h, 2 * w, out], 2),
            [tensor(&[out], 3), tensor(&[out], 4)],
        );
        let conv = Layer::new(&[c, out, 2, 2], out, 5);
        let run = |x: &Tensor| {
            ops::upscale(x, &conv.frozen(), &residual, normed.then(|| norm(&weights)).as_ref())
        };
        let [weight, bias] = conv.exact();
        let mut parts = (reference::conv_transpose_2x2(&exact(&x), &weight, &bias).unwrap()
            + exact(&residual))
        .unwrap();
        if normed {
            parts = exact_norm(&parts, &weights).unwrap();
        }
        let (found, exact) = (run(&x).unwrap().unwrap(), reference::gelu(&parts).unwrap());
        let error = relative_error(&numbers(&found), &numbers(&exact));
        assert!(error < FUSED, "{b} × {h} × {w} × {c} to {out}: {error:.2e}");
        assert!(
            run(Var::from_tensor(&x).unwrap().as_tensor()).unwrap().is_none(),
            "a gradient would be lost"
        );
    }
}
