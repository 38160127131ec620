//! One table of operations and sizes; every check of values and gradients walks it.

use candle_core::{Result, Tensor};
use ild_ops::{self as ops, reference};

/// Which implementation a case runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// What the model calls.
    Fused,
    /// The plain implementation.
    Reference,
}

type Run = Box<dyn Fn(&[Tensor], Path) -> Result<Tensor>>;

/// One operation at one size.
pub struct Case {
    pub name: String,
    /// Shapes of the inputs; a gradient is asked for each.
    pub inputs: Vec<Vec<usize>>,
    /// Inputs the result does not depend on at this size.
    pub without_effect: Vec<usize>,
    run: Run,
}

impl Case {
    fn new(
        name: impl Into<String>,
        inputs: &[&[usize]],
        run: impl Fn(&[Tensor], Path) -> Result<Tensor> + 'static,
    ) -> Self {
        let name = format!("{} {inputs:?}", name.into());
        let inputs = inputs.iter().map(|shape| shape.to_vec()).collect();
        Self { name, inputs, without_effect: Vec::new(), run: Box::new(run) }
    }

    pub fn run(&self, inputs: &[Tensor], path: Path) -> Result<Tensor> {
        (self.run)(inputs, path)
    }
}

macro_rules! pick {
    ($path:expr, $name:ident($($argument:expr),*)) => {
        match $path {
            Path::Fused => ops::$name($($argument),*),
            Path::Reference => reference::$name($($argument),*),
        }
    };
}

/// Small and odd sizes: finite differences walk every element of these.
pub fn small() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(norms(&[(3, 5), (1, 3), (7, 33)]));
    cases.extend(linears(&[(3, 5, 7), (1, 1, 1), (2, 17, 3)]));
    cases.extend(attentions(&[(1, 1, 1, 3, 2), (2, 3, 5, 2, 3)]));
    cases.extend(windows(&[
        (1, 4, 4, 1, 3, 2, false),
        (2, 5, 3, 2, 2, 2, false),
        (1, 3, 5, 2, 2, 0, false),
        (1, 4, 6, 1, 2, 2, true),
        (1, 6, 4, 2, 1, 4, true),
        (1, 4, 6, 1, 3, 0, true),
    ]));
    cases.extend(maps(&[(1, 2, 2, 1), (2, 3, 5, 3), (1, 4, 6, 2)]));
    cases.extend(patches(&[(1, 9, 8, 3, 3, 2, 1), (2, 8, 12, 2, 7, 4, 3)]));
    cases.extend(rotations(&[(1, 1, 4, 0, 2), (2, 2, 3, 1, 6), (1, 0, 3, 2, 4)]));
    cases
}

/// Sizes met in the nano and tiny models, and sizes no block divides.
pub fn large() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(norms(&[(4096, 96), (1024, 144), (513, 257), (9, 256)]));
    cases.extend(linears(&[
        (1024, 96, 288),
        (1000, 384, 96),
        (9, 256, 2048),
        (513, 65, 33),
        (300, 32, 100),
    ]));
    cases.extend(attentions(&[
        (1, 1, 1024, 1024, 96),
        (2, 2, 300, 517, 24),
        (1, 8, 9, 1024, 16),
        (1, 8, 1024, 9, 16),
        (1, 2, 16, 1, 16),
        (2, 3, 544, 16, 64),
        (1, 8, 9, 9, 32),
        (3, 4, 64, 64, 56),
        (1, 1, 1024, 1100, 256),
    ]));
    cases.extend(windows(&[
        (1, 32, 32, 1, 96, 8, false),
        (1, 32, 32, 2, 48, 14, false),
        (2, 16, 16, 4, 24, 7, false),
        (1, 32, 32, 1, 32, 0, false),
        (1, 32, 32, 2, 96, 8, true),
        (2, 32, 32, 2, 24, 14, true),
        (1, 18, 22, 3, 9, 4, true),
        (1, 24, 24, 2, 72, 0, true),
        (1, 33, 20, 1, 4, 40, false),
    ]));
    cases.extend(maps(&[(2, 32, 32, 96), (1, 33, 17, 65), (1, 64, 64, 24)]));
    cases.extend(patches(&[(1, 64, 64, 96, 7, 4, 3), (2, 30, 32, 24, 7, 4, 3)]));
    cases.extend(rotations(&[(1, 7, 256, 64, 256), (2, 3, 121, 5, 34)]));
    cases
}

fn norms(sizes: &[(usize, usize)]) -> Vec<Case> {
    let mut cases = Vec::new();
    for &(n, c) in sizes {
        cases.push(Case::new("layer_norm", &[&[n, c], &[c], &[c]], |t, path| {
            pick!(path, layer_norm(&t[0], &t[1], &t[2], 1e-6))
        }));
        cases.push(Case::new("gelu", &[&[n, c]], |t, path| pick!(path, gelu(&t[0]))));
    }
    cases
}

fn linears(sizes: &[(usize, usize, usize)]) -> Vec<Case> {
    let mut cases = Vec::new();
    for &(n, c, out) in sizes {
        cases.push(Case::new("linear", &[&[n, c], &[out, c], &[out]], |t, path| {
            pick!(path, linear(&t[0], &t[1], Some(&t[2])))
        }));
        cases.push(Case::new("linear without bias", &[&[1, n, c], &[out, c]], |t, path| {
            pick!(path, linear(&t[0], &t[1], None))
        }));
        cases.push(Case::new("linear of a view", &[&[c, n], &[out, c], &[out]], |t, path| {
            pick!(path, linear(&t[0].t()?, &t[1], Some(&t[2])))
        }));
        cases.push(Case::new("linear_gelu", &[&[1, n, c], &[out, c], &[out]], |t, path| {
            pick!(path, linear_gelu(&t[0], &t[1], &t[2]))
        }));
        let shapes: &[&[usize]] = &[&[n, c], &[out, c], &[out], &[n, out]];
        cases.push(Case::new("linear_residual", shapes, |t, path| {
            pick!(path, linear_residual(&t[0], &t[1], &t[2], &t[3]))
        }));
        let shapes: &[&[usize]] = &[&[n, c], &[out, c], &[out], &[c, out], &[c], &[n, c]];
        cases.push(Case::new("mlp_residual", shapes, |t, path| {
            pick!(path, mlp_residual(&t[0], (&t[1], &t[2]), (&t[3], &t[4]), &t[5]))
        }));
    }
    cases
}

/// Channels of a head that the attention kernels know at most.
const WIDEST_KERNEL: usize = 96;

/// `(b, heads, nq, nk, d)`
fn attentions(sizes: &[(usize, usize, usize, usize, usize)]) -> Vec<Case> {
    let mut cases = Vec::new();
    for &(b, h, nq, nk, d) in sizes {
        // Heads as wide as the memory's, and values narrower than keys, have no kernel: on a GPU
        // plain operations do them, which are not what "attention" is to show.
        let name =
            |what: &str| if d > WIDEST_KERNEL { format!("wide_{what}") } else { what.to_owned() };
        let shapes: &[&[usize]] = &[&[b, nq, h, d], &[b, nk, h, d], &[b, nk, h, d]];
        cases.push(Case::new(name("attention"), shapes, |t, path| {
            pick!(path, attention(&t[0], &t[1], &t[2], 0.3))
        }));
        let shapes: &[&[usize]] = &[&[b, nq, h, d], &[b, nk, 2, h, d]];
        cases.push(Case::new(name("attention on views"), shapes, |t, path| {
            let (k, v) = (t[1].narrow(2, 0, 1)?.squeeze(2)?, t[1].narrow(2, 1, 1)?.squeeze(2)?);
            pick!(path, attention(&t[0], &k, &v, 0.3))
        }));
        for narrow in [1, d.div_ceil(4)] {
            let shapes: &[&[usize]] = &[&[b, nq, h, d], &[b, nk, h, d], &[b, nk, h, narrow]];
            cases.push(Case::new("narrow_attention", shapes, |t, path| {
                pick!(path, attention(&t[0], &t[1], &t[2], 0.3))
            }));
        }
    }
    cases
}

/// `(b, maps, places, rest, c)`
fn rotations(sizes: &[(usize, usize, usize, usize, usize)]) -> Vec<Case> {
    let rotation = |&(b, maps, places, rest, c): &(usize, usize, usize, usize, usize)| {
        let shape: &[usize] = &[b, maps * places + rest, c];
        Case::new(format!("rotary of {maps} maps of {places}"), &[shape], move |t, path| {
            // Any angles will do, as long as no two are the same.
            let table = |of: fn(f64) -> f64| {
                let values = (0..places * c / 2).map(|i| of(0.7 * i as f64));
                let table = Tensor::from_iter(values, t[0].device())?.reshape((places, c / 2))?;
                table.to_dtype(t[0].dtype())
            };
            let (cos, sin) = (table(f64::cos)?, table(f64::sin)?);
            pick!(path, rotary(&t[0], &cos, &sin, maps * places))
        })
    };
    sizes.iter().map(rotation).collect()
}

/// `(b, h, w, heads, d, window, pool_query)`
fn windows(sizes: &[(usize, usize, usize, usize, usize, usize, bool)]) -> Vec<Case> {
    let mut cases = Vec::new();
    for &(b, h, w, heads, d, window, pool) in sizes {
        let shapes: &[&[usize]] = &[&[b, h, w, 3 * heads * d], &[3 * heads * d]];
        let name = format!("window_attention heads {heads} window {window} pool {pool}");
        let mut case = Case::new(name, shapes, move |t, path| {
            pick!(path, window_attention(&t[0], &t[1], heads, window, pool))
        });
        if window == 0 || (h % window == 0 && w % window == 0) {
            case.without_effect = vec![1]; // the bias is what padding tokens are made of
        }
        cases.push(case);
    }
    cases
}

/// `(b, h, w, c)`
fn maps(sizes: &[(usize, usize, usize, usize)]) -> Vec<Case> {
    let mut cases = Vec::new();
    for &(b, h, w, c) in sizes {
        let map: &[usize] = &[b, h, w, c];
        cases.push(Case::new("max_pool_2x2", &[map], |t, path| pick!(path, max_pool_2x2(&t[0]))));
        cases.push(Case::new("upsample_nearest_2x", &[map], |t, path| {
            pick!(path, upsample_nearest_2x(&t[0]))
        }));
        cases.push(Case::new("add_position", &[map, &[1, h, w, c]], |t, path| {
            pick!(path, add_position(&t[0], &t[1]))
        }));
        cases.push(Case::new("add_position of a channel", &[map, &[c]], |t, path| {
            pick!(path, add_position(&t[0], &t[1]))
        }));
        cases.push(Case::new("mask_sums", &[&[b, 1, h, w]], |t, path| {
            let truth = t[0].detach().ge(0.3)?.to_dtype(t[0].dtype())?;
            pick!(path, mask_sums(&t[0], &truth))
        }));
        for kernel in [1, 3, 7] {
            let shapes: &[&[usize]] = &[map, &[c, 1, kernel, kernel], &[c]];
            cases.push(Case::new("conv_depthwise", shapes, |t, path| {
                pick!(path, conv_depthwise(&t[0], &t[1], &t[2]))
            }));
        }
        for out in [1, 5, 64] {
            if out == 64 && h * w < 100 {
                continue;
            }
            cases.push(Case::new(
                "conv_transpose_2x2",
                &[map, &[c, out, 2, 2], &[out]],
                |t, path| pick!(path, conv_transpose_2x2(&t[0], &t[1], &t[2])),
            ));
        }
        for (height, width) in [(2 * h, 3 * w), (h + 1, w), (4 * h, 4 * w), (h, w)] {
            cases.push(Case::new(
                format!("upsample_bilinear to {height}×{width}"),
                &[&[b, c.min(3), h, w]],
                move |t, path| pick!(path, upsample_bilinear(&t[0], height, width)),
            ));
        }
    }
    cases
}

/// `(b, height, width, c, kernel, stride, padding)`
fn patches(sizes: &[(usize, usize, usize, usize, usize, usize, usize)]) -> Vec<Case> {
    let mut cases = Vec::new();
    for &(b, h, w, c, kernel, stride, padding) in sizes {
        let shapes: &[&[usize]] = &[&[b, 3, h, w], &[c, 3, kernel, kernel], &[c]];
        let name = format!("patch_embed stride {stride} padding {padding}");
        cases.push(Case::new(name, shapes, move |t, path| {
            pick!(path, patch_embed(&t[0], &t[1], &t[2], stride, padding))
        }));
    }
    cases
}
