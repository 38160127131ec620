//! Dice plus binary cross-entropy, on logits.

use candle_core::{Device, Result, Tensor};

/// Added above and below the fraction of the Dice loss, MONAI's `smooth_nr` and `smooth_dr`.
const SMOOTH: f64 = 1e-5;

/// The loss of a batch and its two parts, each a scalar that carries gradient.
#[derive(Clone, Debug)]
pub struct Loss {
    /// `dice + bce`, what is minimised.
    pub total: Tensor,
    /// Dice loss of each mask, `[b]`.
    pub dice: Tensor,
    /// Cross-entropy of each mask, mean over pixels, `[b]`.
    pub bce: Tensor,
}

/// Loss of `logits` against binary masks; both parts are means over the batch.
///
/// - Dice: `1 − (2·Σpt + 1e-5) / (Σp² + Σt² + 1e-5)` with `p = sigmoid(logits)`, MONAI's
///   `DiceLoss(sigmoid=True, squared_pred=True)`;
/// - cross-entropy: PyTorch's `BCEWithLogitsLoss`, which stays finite for any finite logit.
///
/// Logits smaller than the masks are enlarged first, see [`enlarge`].
///
/// # Shapes
/// - `logits`: `[b, 1, h, w]`
/// - `masks`: `[b, 1, H, W]` of 0 and 1
///
/// # Errors
/// When the shapes do not fit together.
pub fn dice_and_cross_entropy(logits: &Tensor, masks: &Tensor) -> Result<Loss> {
    let (_, _, height, width) = masks.dims4()?;
    let logits = enlarge(logits, height, width)?;
    let sums = ild_model::ops::mask_sums(&logits, masks)?;
    let sum = |i: usize| sums.narrow(1, i, 1)?.squeeze(1); // [b]
    let size = (sum(1)? + sum(2)?)?;
    let dice = (1.0 - (((sum(0)? * 2.0)? + SMOOTH)? / (size + SMOOTH)?)?)?; // [b]
    let bce = (sum(3)? / (height * width) as f64)?; // [b]

    let total = (&dice + &bce)?.mean_all()?;
    Ok(Loss { total, dice, bce })
}

/// Bilinear resize (`align_corners=False`, no antialias) of `[b, c, h, w]` to `[b, c, height,
/// width]`; the same size is returned untouched.
///
/// Written as two products with fixed matrices, because Candle's own upsampling has no gradient.
///
/// # Errors
/// When `logits` has not four axes.
pub fn enlarge(logits: &Tensor, height: usize, width: usize) -> Result<Tensor> {
    let (b, c, h, w) = logits.dims4()?;
    if (h, w) == (height, width) {
        return Ok(logits.clone());
    }
    let rows = interpolation(h, height, logits.device())?; // [height, h]
    let columns = interpolation(w, width, logits.device())?.t()?; // [w, width]
    let wide = logits.reshape((b * c * h, w))?.matmul(&columns.contiguous()?)?; // [b·c·h, width]
    rows.broadcast_matmul(&wide.reshape((b * c, h, width))?)?.reshape((b, c, height, width))
}

/// `[to, from]`: each row holds the two weights with which an output pixel looks at the input
/// pixels.
fn interpolation(from: usize, to: usize, device: &Device) -> Result<Tensor> {
    let mut weights = vec![0f32; to * from];
    for (i, row) in weights.chunks_exact_mut(from).enumerate() {
        let source = ((i as f64 + 0.5) * from as f64 / to as f64 - 0.5).max(0.0);
        let low = (source as usize).min(from - 1);
        let high = (low + 1).min(from - 1);
        let share = (source - low as f64).min(1.0);
        row[low] += (1.0 - share) as f32;
        row[high] += share as f32;
    }
    Tensor::from_vec(weights, (to, from), device)
}

#[cfg(test)]
mod tests {
    use candle_core::Var;

    use super::*;

    #[test]
    fn extreme_logits_stay_finite_in_value_and_gradient() {
        let x = Var::new(&[[[[200f32, -200.0], [0.0, 1e4]]]], &Device::Cpu).unwrap();
        let t = Tensor::new(&[[[[0f32, 1.0], [1.0, 1.0]]]], &Device::Cpu).unwrap();
        let loss = dice_and_cross_entropy(x.as_tensor(), &t).unwrap();
        let bce = loss.bce.to_vec1::<f32>().unwrap()[0];
        assert!((bce - (200.0 + 200.0 + std::f32::consts::LN_2) / 4.0).abs() < 1e-4, "{bce}");
        let gradient = loss
            .total
            .backward()
            .unwrap()
            .get(&x)
            .unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1::<f32>()
            .unwrap();
        assert!(gradient.iter().all(|g| g.is_finite()), "{gradient:?}");
        assert!((gradient[0] - 0.25).abs() < 1e-6 && (gradient[1] + 0.25).abs() < 1e-6);
    }

    #[test]
    fn a_perfect_mask_costs_nothing_and_an_empty_one_a_whole_dice() {
        let t = Tensor::new(&[[[[0f32, 1.0], [1.0, 0.0]]]], &Device::Cpu).unwrap();
        let dice =
            |x: &Tensor| dice_and_cross_entropy(x, &t).unwrap().dice.to_vec1::<f32>().unwrap()[0];
        let right = ((&t * 80.0).unwrap() - 40.0).unwrap();
        assert!(dice(&right).abs() < 1e-5);
        assert!((dice(&Tensor::full(-40f32, t.shape(), &Device::Cpu).unwrap()) - 1.0).abs() < 1e-5);
    }

    #[test]
    fn enlarging_keeps_constants_and_ramps() {
        let flat = Tensor::full(3f32, (2, 1, 5, 7), &Device::Cpu).unwrap();
        let big = enlarge(&flat, 20, 28).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert!(big.iter().all(|v| (v - 3.0).abs() < 1e-6));
        let ramp = Tensor::arange(0f32, 8.0, &Device::Cpu)
            .unwrap()
            .reshape((1, 1, 1, 8))
            .unwrap()
            .repeat((1, 1, 4, 1))
            .unwrap();
        let big = enlarge(&ramp, 8, 16).unwrap().i_row();
        assert!((big[4] - 1.75).abs() < 1e-6 && (big[5] - 2.25).abs() < 1e-6, "{big:?}");
    }

    trait Row {
        fn i_row(&self) -> Vec<f32>;
    }

    impl Row for Tensor {
        fn i_row(&self) -> Vec<f32> {
            self.flatten_to(2).unwrap().get(0).unwrap().to_vec1().unwrap()
        }
    }
}
