//! The three layers everything else is made of, with their tensors and their initial values.

use std::sync::Arc;

use candle_core::{Result, Tensor};
use candle_nn::{Init, VarBuilder};

use ild_ops::{self as ops, Frozen, Norm, PackedWeight};

/// An affine map of the last axis; also a 1×1 convolution of a channels-last map.
#[derive(Debug, Clone)]
pub struct Linear {
    weight: Tensor,
    bias: Tensor,
    packed: Arc<PackedWeight>,
}

/// PyTorch's initial values of linear and convolution layers: uniform within ±1/√fan_in.
pub(crate) fn uniform(fan_in: usize) -> Init {
    let bound = 1.0 / (fan_in as f64).sqrt();
    Init::Uniform { lo: -bound, up: bound }
}

impl Linear {
    /// Reads `weight` `[output, input]` and `bias` `[output]`.
    ///
    /// # Errors
    /// When a tensor is missing or has another shape.
    pub fn new(input: usize, output: usize, vb: VarBuilder) -> Result<Self> {
        let weight = vb.get_with_hints((output, input), "weight", uniform(input))?;
        let bias = vb.get_with_hints(output, "bias", uniform(input))?;
        Ok(Self::of(weight, bias))
    }

    /// Reads a 1×1 convolution: `weight` `[output, input, 1, 1]` and `bias` `[output]`.
    ///
    /// # Errors
    /// When a tensor is missing or has another shape.
    pub fn conv_1x1(input: usize, output: usize, vb: VarBuilder) -> Result<Self> {
        let weight = vb.get_with_hints((output, input, 1, 1), "weight", uniform(input))?;
        let bias = vb.get_with_hints(output, "bias", uniform(input))?;
        Ok(Self::of(weight.reshape((output, input))?, bias))
    }

    fn of(weight: Tensor, bias: Tensor) -> Self {
        Self { weight, bias, packed: Arc::default() }
    }

    /// For operations on layers that do not change any more.
    #[must_use]
    pub fn frozen(&self) -> Frozen<'_> {
        Frozen { weight: &self.weight, bias: &self.bias, packed: self.packed.clone() }
    }

    /// Weight `[output, input]` and bias `[output]`.
    #[must_use]
    pub fn parts(&self) -> (&Tensor, &Tensor) {
        (&self.weight, &self.bias)
    }

    /// # Shapes
    /// - `x`: `[.., input]`; returns `[.., output]`
    ///
    /// # Errors
    /// Shapes other than these.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        ops::linear(x, &self.weight, Some(&self.bias))
    }

    /// `residual + forward(x)`.
    ///
    /// # Shapes
    /// - `x`: `[.., input]`, `residual`: `[.., output]`; returns `[.., output]`
    ///
    /// # Errors
    /// Shapes other than these.
    pub fn forward_residual(&self, x: &Tensor, residual: &Tensor) -> Result<Tensor> {
        ops::linear_residual(x, &self.weight, &self.bias, residual)
    }

    /// The one layer that does what `before` and then this one do: `W·(W₀x + b₀) + b = (W·W₀)x +
    /// (W·b₀ + b)`.
    ///
    /// # Errors
    /// When the widths do not meet.
    pub fn after(&self, before: &Self) -> Result<Self> {
        let weight = self.weight.matmul(&before.weight)?;
        let bias =
            ops::linear(&before.bias.unsqueeze(0)?, &self.weight, Some(&self.bias))?.squeeze(0)?;
        Ok(Self::of(weight, bias))
    }
}

/// Normalisation of each token over its channels.
#[derive(Debug, Clone)]
pub struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
}

impl LayerNorm {
    /// Reads `weight` and `bias`, both `[channels]`.
    ///
    /// # Errors
    /// When a tensor is missing or has another shape.
    pub fn new(channels: usize, eps: f64, vb: VarBuilder) -> Result<Self> {
        let weight = vb.get_with_hints(channels, "weight", Init::Const(1.0))?;
        let bias = vb.get_with_hints(channels, "bias", Init::Const(0.0))?;
        Ok(Self { weight, bias, eps })
    }

    /// Its tensors.
    #[must_use]
    pub fn parts(&self) -> Norm<'_> {
        Norm { weight: &self.weight, bias: &self.bias, eps: self.eps }
    }

    /// # Shapes
    /// - `x`: `[.., channels]`; returns the same
    ///
    /// # Errors
    /// Shapes other than these.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        ops::layer_norm(x, &self.weight, &self.bias, self.eps)
    }
}

/// Linear layers `layers.0`, `layers.1`, … with ReLU between them (SAM 2's `MLP`).
#[derive(Debug, Clone)]
pub struct Mlp {
    layers: Vec<Linear>,
}

impl Mlp {
    /// `widths` are those of the input, of every hidden layer, and of the output.
    ///
    /// # Errors
    /// When a tensor is missing or has another shape.
    pub fn new(widths: &[usize], vb: VarBuilder) -> Result<Self> {
        let vb = vb.pp("layers");
        let layers = widths
            .windows(2)
            .enumerate()
            .map(|(i, w)| Linear::new(w[0], w[1], vb.pp(i)))
            .collect::<Result<_>>()?;
        Ok(Self { layers })
    }

    /// # Shapes
    /// - `x`: `[.., input]`; returns `[.., output]`
    ///
    /// # Errors
    /// Shapes other than these.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut x = x.clone();
        for (i, layer) in self.layers.iter().enumerate() {
            x = layer.forward(&x)?;
            if i + 1 < self.layers.len() {
                x = x.relu()?;
            }
        }
        Ok(x)
    }
}
